"""Tests of webhooks over the API and the worker's turn, with a real receiver: sent once, signed, retried, and never to
a private address.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
import socket
import threading
from datetime import timedelta

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.app_migrations.models import MigrationState
from greenroom.apps import actions as apps
from greenroom.basics import clock, outgoing
from greenroom.config_vars.actions import write
from greenroom.releases.actions import conclude, release
from greenroom.webhooks import loop, rules
from greenroom.webhooks.actions import deliveries, events
from greenroom.webhooks.models import Event, Webhook, WebhookDelivery
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.django_db
JSON = "application/json"
HERE = outgoing.networks(["127.0.0.0/8"])


@pytest.fixture(autouse=True)
def place(settings, monkeypatch, home):
    settings.PRIVATE_TARGETS = HERE
    monkeypatch.setattr("greenroom.entrypoints.api.views_webhooks.HOME", home)
    events.read_audit()


@pytest.fixture
def receiver():
    with receiving() as made:
        yield made


@pytest.fixture
def turn(home):
    return loop.Loop(home, HERE, hands=0).turn


def client_of(actor):
    plain = accounts.create_token(actor=actor, account=Account.objects.get(pk=actor.account_id))[1]
    return Client(headers={"Authorization": f"Bearer {plain}"})


def add(client, url, **other):
    body = {"url": url, "include": ["api:release", "api:domain"], "level": "sync", **other}
    return client.post("/apps/shop/webhooks", body, JSON)


def make_release(alice, shop, home, **options):
    config = write(app=shop, home=home, values={"N": "1"}, actor=alice)
    return release(actor=alice, app=shop, kind="config", description="Set N", slug=None, config=config, **options)


def test_a_release_is_told_once_and_signed(alice, shop, home, receiver, turn):
    make_release(alice, shop, home)
    answer = add(client_of(alice), receiver.url, secret="s3cret", authorization="Bearer abc")
    assert (answer.status_code, answer["Heroku-Webhook-Secret"]) == (201, "s3cret")
    turn()
    assert receiver.got == []  # earlier events are not sent
    row = make_release(alice, shop, home)
    for _ in range(3):
        turn()
    ((headers, body),) = receiver.got
    mac = base64.b64encode(hmac.new(b"s3cret", body, hashlib.sha256).digest()).decode()
    assert (headers["Heroku-Webhook-Hmac-SHA256"], headers["Authorization"]) == (mac, "Bearer abc")
    told = json.loads(body)
    assert (told["resource"], told["action"], told["data"]["id"], told["data"]["version"]) == (
        "release",
        "create",
        str(row.pk),
        row.version,
    )
    assert told["actor"]["email"] == alice.email
    assert WebhookDelivery.objects.get().status == "succeeded"


def test_what_the_radar_finds_is_told_and_told_again_when_it_changes(alice, shop, home, receiver, turn):
    add(client_of(alice), receiver.url, include=["migrations"])
    state = MigrationState.objects.create(release=make_release(alice, shop, home), app=shop)
    turn()
    assert receiver.got == [], "nothing is known yet"
    facts = {
        "pending": ["shop.0003"],
        "missing": ["shop.0009"],
        "conflicts": {"shop": ["a", "b"]},
        "unmade": ["shop: Add field x"],
    }
    MigrationState.objects.filter(pk=state.pk).update(status="ok", **facts)
    turn()
    turn()
    MigrationState.objects.filter(pk=state.pk).update(pending=[])
    turn()
    first, second = (json.loads(body) for _, body in receiver.got)
    assert {name: first["data"][name] for name in facts} == facts
    assert (first["data"]["release"]["version"], second["data"]["pending"]) == (state.release.version, [])


def test_a_change_in_the_audit_log_is_told_to_those_who_asked(alice, shop, receiver, turn):
    client = client_of(alice)
    add(client, receiver.url)
    add(client, receiver.url, include=["api:build"])
    apps.add_domain(actor=alice, app=shop, hostname="www.example.org")
    turn()
    assert [json.loads(body)["data"]["hostname"] for _, body in receiver.got] == ["www.example.org"]


def test_a_failure_is_tried_again_later_and_a_redirect_is_one(alice, shop, home, receiver, turn):
    client = client_of(alice)
    add(client, receiver.url)
    receiver.answers = [500, 302]
    make_release(alice, shop, home)
    for status, code, count in (("retrying", 500, 1), ("retrying", 302, 2), ("succeeded", 204, 3)):
        turn()
        turn()
        (shown,) = client.get("/apps/shop/webhook-deliveries", headers={"Range": "seq ..; order=desc,max=1000"}).json()
        assert (shown["status"], shown["last_attempt"]["code"], shown["num_attempts"]) == (status, code, count)
        WebhookDelivery.objects.filter(status="retrying").update(next_attempt_at=clock.now())
    assert len(receiver.got) == 3
    assert len({json.loads(body)["webhook_metadata"]["delivery"]["id"] for _, body in receiver.got}) == 1


def test_notify_is_tried_once(alice, shop, home, receiver, turn):
    add(client_of(alice), receiver.url, level="notify")
    receiver.answers = [500]
    make_release(alice, shop, home)
    turn()
    row = WebhookDelivery.objects.get()
    assert (row.status, row.num_attempts, row.next_attempt_at) == ("failed", 1, None)


def test_a_delivery_whose_process_died_is_sent_again(alice, shop, home, receiver, turn):
    add(client_of(alice), receiver.url)
    make_release(alice, shop, home)
    events.look_at(app=shop)
    (taken,) = deliveries.claim()  # and the process is killed here
    turn()
    assert receiver.got == []
    WebhookDelivery.objects.filter(pk=taken.pk).update(next_attempt_at=clock.now() - timedelta(seconds=1))
    turn()
    assert len(receiver.got) == 1
    assert WebhookDelivery.objects.get().status == "succeeded"


def test_a_name_that_leads_to_this_machine_is_not_connected_to(alice, shop, home, receiver):
    add(client_of(alice), receiver.url)
    make_release(alice, shop, home)
    loop.Loop(home, (), hands=0).turn()
    assert receiver.got == []
    assert (WebhookDelivery.objects.get().error, WebhookDelivery.objects.get().code) == ("refused-address", None)


def test_secrets_are_sealed_and_stand_nowhere_else(alice, shop, home):
    client = client_of(alice)
    canary = "canary-0123456789"
    made = add(client, "https://example.com/x", secret=canary, authorization=canary).json()
    row = Webhook.objects.get()
    assert canary.encode() not in bytes(row.secret) + bytes(row.authorization)
    seen = client.get("/apps/shop/webhooks").content + client.get(f"/apps/shop/webhooks/{made['id']}").content
    assert canary.encode() not in seen
    assert canary not in str(list(AuditEntry.objects.values_list("detail", flat=True)))


def test_what_cannot_be_is_refused_with_the_reason(alice, shop, settings):
    settings.PRIVATE_TARGETS = ()
    client = client_of(alice)
    urls = [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "169.254.169.254",
        "10.1.2.3",
        "localhost",
        "a.localhost",
    ]
    for host in urls:
        assert add(client, f"http://{host}/").status_code == 422, host
    for url in (
        "file:///etc/passwd",
        "gopher://example.com/",
        "https://u:p@example.com/",
        "https://exa mple.com/",
        "https://",
        "x",
    ):
        assert add(client, url).status_code == 422, url
    bad = (
        {"include": ["api:nothing"]},
        {"include": []},
        {"include": "api:release"},
        {"level": "often"},
        {"secret": "a\nb"},
        {"authorization": "a\r\nb"},
    )
    for other in bad:
        assert add(client, "https://example.com/", **other).status_code == 422, other
    assert not Webhook.objects.exists()


def test_a_webhook_is_changed_and_removed_by_operators_alone(alice, bob, shop):
    client = client_of(alice)
    made = add(client, "https://example.com/").json()
    path = f"/apps/shop/webhooks/{made['id']}"
    assert client_of(bob).get(path).status_code == 403
    changed = client.patch(path, {"include": ["dyno"], "level": "notify", "url": "https://example.org/"}, JSON).json()
    assert (changed["include"], changed["level"], changed["url"]) == (["dyno"], "notify", "https://example.org/")
    assert client.delete(path).status_code == 200
    assert client.get(path).status_code == 404
    assert client.get("/apps/shop/webhooks/x").status_code == 404
    assert not Event.objects.exists()


def test_pauses_grow_and_end():
    pauses = [rules.pause(level="sync", attempts=count) for count in range(1, 13)]
    assert pauses == [20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600, None]


@pytest.mark.parametrize(
    "text", ["64:ff9b::7f00:1", "2002:7f00:1::", "fe80::1", "fc00::1", "224.0.0.1", "100.64.0.1", "192.168.1.1", "::"]
)
def test_addresses_that_are_not_public(text):
    assert not outgoing.may_connect(ipaddress.ip_address(text))
    assert outgoing.may_connect(ipaddress.ip_address("8.8.8.8"))


def test_a_release_that_ends_is_told_as_an_update(alice, shop, home, receiver, turn):
    row = make_release(alice, shop, home)
    type(row).objects.filter(pk=row.pk).update(status="pending")
    add(client_of(alice), receiver.url)
    conclude(release=row, status="failed", reason="no")
    turn()
    told = json.loads(receiver.got[0][1])
    assert (told["action"], told["data"]["status"]) == ("update", "failed")


def test_an_answer_that_drips_for_ever_is_cut_off():
    stop = threading.Event()

    def drip(server):
        peer = server.accept()[0]
        try:
            peer.sendall(b"HTTP/1.1 ")
            while not stop.wait(0.05):
                peer.sendall(b"2")
        except OSError:
            return
        finally:
            peer.close()

    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=drip, args=(server,), daemon=True).start()
        safety = threading.Timer(30, stop.set)
        safety.start()
        with pytest.raises(outgoing.OutgoingError, match="no answer"):
            outgoing.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"{}", {}, allowed=HERE, seconds=0.5)
        assert not stop.is_set()
        safety.cancel()
        stop.set()
