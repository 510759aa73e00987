"""Tests of the unmodified Heroku CLI's webhook commands, with a real receiver that the installation may reach."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re

import pytest

from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.story


def delivered(app, identity: str) -> dict | None:
    """The delivery of this id if it has succeeded. A change tells of other releases too: the former one is updated."""
    rows = {row["id"]: row for row in app.get("/webhook-deliveries")}
    return rows[identity] if rows[identity]["status"] == "succeeded" else None


def test_webhooks_are_added_told_shown_changed_and_removed(app):
    with receiving() as receiver:
        assert "has no webhooks" in app("webhooks")
        said = app(f"webhooks:add -i api:release -l sync -u {receiver.url}")
        secret = re.search(r"^[0-9a-f]{64}$", said, re.MULTILINE)[0]
        (hook,) = app.get("/webhooks")
        assert hook["id"] in app("webhooks")
        assert receiver.url in app(f"webhooks:info {hook['id']}")
        app("config:set COLOUR=green")
        headers, body = app.until(lambda: [one for one in receiver.got if b"COLOUR" in one[1]], bool)[0]
        assert (
            headers["Heroku-Webhook-Hmac-SHA256"]
            == base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()
        )
        told = app.until(lambda: delivered(app, json.loads(body)["webhook_metadata"]["delivery"]["id"]), bool)
        assert "succeeded" in app("webhooks:deliveries")
        assert "COLOUR" in app(f"webhooks:deliveries:info {told['id']}")
        assert told["event"]["id"] in app("webhooks:events")
        assert "COLOUR" in app(f"webhooks:events:info {told['event']['id']}")
        app(f"webhooks:update {hook['id']} -i dyno -l notify -u {receiver.url}")
        assert app.get(f"/webhooks/{hook['id']}")["include"] == ["dyno"]
        app(f"webhooks:remove {hook['id']}")
        assert app.get("/webhooks") == []
    assert "not a public address" in app("webhooks:add -i api:release -l sync -u http://169.254.169.254/", code=2)
