"""The contract of every notification channel, and CONTRIBUTING's recipe for a new one."""

from __future__ import annotations

import json
import re

import pytest

from greenroom.basics import outgoing
from greenroom.basics.errors import UserError
from greenroom.webhooks import actions, channels
from greenroom.webhooks.actions import events
from greenroom.webhooks.channels.kind import Message
from greenroom.webhooks.loop import Loop
from greenroom.webhooks.models import WebhookDelivery
from tests.contracts.kinds.recipes import added, recipe

MESSAGE = Message(body={"id": "1", "action": "create"}, secret="s", authorization="")
TOY = '''"""A toy channel: a line in a file."""

import json
import os

from greenroom.webhooks.channels.kind import Outcome, Problem


class Toy:
    name = "toy"
    schemes = ("toy",)
    hidden = False

    def problem(self, url, allowed):
        return None if url.startswith("toy:///") else Problem(text="must be toy:///FILE", hint="toy:///tmp/x")

    def shown(self, url):
        return url

    def deliver(self, url, message, allowed):
        path = url.removeprefix("toy://")
        if not os.path.isdir(os.path.dirname(path)):
            return Outcome(error="no-folder")
        with open(path, "a") as stream:
            stream.write(json.dumps(message.body) + "\\n")
        return Outcome()


CHANNEL = Toy()
'''


@pytest.fixture(params=[channel.name for channel in channels.every()])
def channel(request):
    return next(channel for channel in channels.every() if channel.name == request.param)


def test_a_channel_is_found_by_its_schemes_alone(channel):
    assert channel.schemes
    for scheme in channel.schemes:
        assert channels.of(f"{scheme}://example.com/x") is channel
        assert channels.of(f"{scheme.upper()}://example.com/x") is channel
    every = channels.schemes() + channels.schemes(hidden=True)
    assert len(set(every)) == len(every)
    assert channels.of("nonsense") is channels.of("ftp://example.com") is None


def test_a_channel_says_why_a_url_is_no_target(channel):
    for url in (f"{channel.schemes[0]}:", f"{channel.schemes[0]}://", f"{channel.schemes[0]}://a b"):
        problem = channel.problem(url, ())
        assert problem
        assert problem.text


def test_a_target_that_is_not_there_is_an_error_in_one_word_and_never_an_exception(channel):
    outcome = channel.deliver(f"{channel.schemes[0]}://127.0.0.1:1/x", MESSAGE, outgoing.networks(["127.0.0.0/8"]))
    assert re.fullmatch(r"[a-z-]{1,60}", outcome.error)
    assert outcome.code is None


@pytest.mark.django_db
def test_a_channel_made_by_the_recipe_takes_events_and_is_tried_again(alice, shop, home, tmp_path):
    steps = recipe("Add a notification channel")
    assert "webhooks/channels/<name>/__init__.py" in steps
    assert "`CHANNEL`" in steps
    events.read_audit()
    target = tmp_path / "there" / "events"
    new = {"include": ["api:app"], "level": "sync"}
    with pytest.raises(UserError, match=r"^url must begin with https:// or http:// and a host name\.$"):
        actions.add(actor=alice, app=shop, home=home, url=f"toy://{target}", **new)
    with added(channels, tmp_path / "kinds", "toy", {"__init__.py": TOY}):
        with pytest.raises(UserError, match=r"must be toy:///FILE"):
            actions.add(actor=alice, app=shop, home=home, url="toy://x", **new)
        row, _ = actions.add(actor=alice, app=shop, home=home, url=f"toy://{target}", **new)
        actor = {"id": "", "email": "greenroom"}
        event = events.record(
            app=shop, include="api:app", action="update", data={"a": 1}, actor=actor, at=row.created_at
        )
        Loop(home, hands=0).turn()
        delivery = WebhookDelivery.objects.get()
        assert (delivery.status, delivery.error, delivery.num_attempts) == ("retrying", "no-folder", 1)
        target.parent.mkdir()
        WebhookDelivery.objects.update(next_attempt_at=row.created_at)
        Loop(home, hands=0).turn()
        delivery.refresh_from_db()
        assert (delivery.status, delivery.error, delivery.num_attempts) == ("succeeded", "", 2)
        told = json.loads(target.read_text())
        assert told["id"] == str(event.pk)
        assert told["data"] == {"a": 1}
        assert told["webhook_metadata"]["delivery"]["id"] == str(delivery.pk)
