"""Notifications over the API and the worker's turn: an SMTP server and a chat service on loopback, each event once, and
no secret in a text or a list.
"""

from __future__ import annotations

import json
import socketserver
import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account, AuditEntry
from greenroom.accounts.rules import PLATFORM
from greenroom.app_migrations.models import MigrationState
from greenroom.basics import backup_record, clock, outgoing
from greenroom.config_vars.actions import write
from greenroom.deliveries.models import Delivery
from greenroom.dynos.models import CRASHES, Dyno
from greenroom.project.installation import DEFAULTS
from greenroom.releases.actions import release
from greenroom.router.models import SniEndpoint
from greenroom.webhooks import loop
from greenroom.webhooks.actions import events
from greenroom.webhooks.models import Event, Notification, WebhookDelivery
from greenroom.webhooks.rules.mail_server import MailServer
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.django_db
JSON = "application/json"
HERE = outgoing.networks(["127.0.0.0/8"])


class Smtp(socketserver.StreamRequestHandler):
    """Takes mail; refuses recipients that begin with ``gone`` for good, and with ``busy`` for now."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line.split(b":")[0].strip().upper()
            if word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                lines = []
                while (line := self.rfile.readline()) not in (b".\r\n", b""):
                    lines.append(line)
                self.server.got.append(b"".join(lines).decode())
                self.wfile.write(b"250 taken\r\n")
            elif word == b"RCPT TO" and b"<gone" in line:
                self.wfile.write(b"550 nobody\r\n")
            elif word == b"RCPT TO" and b"<busy" in line:
                self.wfile.write(b"450 later\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 ok\r\n")


@pytest.fixture
def mailbox(settings):
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Smtp) as server:
        server.got = []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        settings.MAIL_SERVER = MailServer(host="127.0.0.1", port=server.server_address[1])
        yield server.got
        server.shutdown()


@pytest.fixture(autouse=True)
def place(settings, monkeypatch, home):
    settings.PRIVATE_TARGETS, settings.MAIL_SERVER = HERE, None
    settings.MAIL_FROM = "Greenroom <greenroom@staging.example.org>"
    monkeypatch.setattr("greenroom.entrypoints.api.views_notifications.HOME", home)
    events.read_audit()


@pytest.fixture
def turn(home):
    made = loop.Loop(home, HERE, hands=0, installation={**DEFAULTS, "http_port": 80, "https_port": 443})

    def turn():
        made.looked = clock.now() - timedelta(minutes=1)
        made.turn()

    return turn


def client_of(actor):
    plain = accounts.create_token(actor=actor, account=Account.objects.get(pk=actor.account_id))[1]
    return Client(headers={"Authorization": f"Bearer {plain}"})


def add(client, target="mailto:ops@example.org", where="/apps/shop/notifications", **body):
    return client.post(where, {"target": target, **body}, JSON)


def deliver(shop, state, account, **columns):
    seq = Delivery.objects.count() + 1
    row = Delivery.objects.create(app=shop, seq=seq, kind="push", sha="1a2b3c4d" * 5, account=account)
    row.state, row.finished_at = state, clock.now()
    for name, value in columns.items():
        setattr(row, name, value)
    row.save()
    return row


def test_a_withheld_push_is_told_once_by_mail_with_the_reason_and_the_next_command(alice, shop, home, turn, mailbox):
    assert add(client_of(alice)).status_code == 201
    turn()
    who = Account.objects.get(pk=alice.account_id)
    write(app=shop, home=home, values={"API_TOKEN": "t0psecret"}, actor=alice)
    row = deliver(shop, "refused", who, reason="`tests` failed: 2 of 214: t0psecret\nhint: none")
    for _ in range(3):
        turn()
    (mail,) = mailbox
    assert "Subject: [shop] 1a2b3c4d is withheld" in mail
    assert "1a2b3c4d is withheld. By alice@example.com." in mail
    assert "`tests` failed: 2 of 214: ***" in mail
    assert "Nothing of this app runs yet." in mail
    assert "It is the turn of alice@example.com:" in mail
    assert "greenroom checks 1a2b3c4d -a shop" in mail
    assert f"Message-ID: <{WebhookDelivery.objects.get().pk}@staging.example.org>" in mail
    assert "t0psecret" not in mail
    assert Event.objects.get().payload["data"]["id"] == str(row.pk)


def test_what_was_before_a_notification_is_not_told(alice, shop, turn, mailbox):
    deliver(shop, "failed", None, reason="x")
    turn()
    add(client_of(alice))
    turn()
    assert mailbox == []


def test_more_changes_than_one_look_reads_are_all_told_in_the_next_ones(alice, shop, turn, mailbox, monkeypatch):
    monkeypatch.setattr("greenroom.webhooks.queries.notices.MOST", 3)
    add(client_of(alice))
    turn()
    for _ in range(8):
        deliver(shop, "failed", None)
    for _ in range(12):
        turn()
    assert len(mailbox) == 8


def test_chosen_events_of_chosen_apps(alice, charlie, shop, cafe, turn, mailbox):
    assert add(client_of(alice), events=["live"]).json()["events"] == ["live"]
    turn()
    for state in ("failed", "superseded", "live"):
        deliver(shop, state, None)
    deliver(cafe, "live", None)
    turn()
    turn()
    assert ["is live" in mail for mail in mailbox] == [True]
    assert "http://shop.localhost/" in mailbox[0]


def test_an_administrator_is_told_of_all_apps_and_of_the_installation(alice, shop, cafe, turn, mailbox, monkeypatch):
    Account.objects.filter(pk=alice.account_id).update(is_admin=True)
    assert add(client_of(alice), where="/notifications").status_code == 201
    turn()
    deliver(cafe, "failed", None, reason="boom")
    monkeypatch.setattr(
        "greenroom.webhooks.queries.notices.disk.lacking", lambda home: "Greenroom's disk has 1 MB free"
    )
    for _ in range(3):
        turn()
    assert sorted("The disk of Greenroom is low" in mail for mail in mailbox) == [False, True]
    assert sorted("[cafe]" in mail for mail in mailbox) == [False, True]


def test_a_failed_backup_is_told_once_and_an_old_one_too(alice, home, turn, mailbox):
    Account.objects.filter(pk=alice.account_id).update(is_admin=True)
    add(client_of(alice), where="/notifications")
    (home / backup_record.FOLDER).mkdir()
    begun = backup_record.begin(home, origin="given")
    backup_record.end(home, begun, error="no space left on the disk")
    for _ in range(3):
        turn()
    (mail,) = mailbox
    assert "The backup of Greenroom failed." in mail
    assert "no space left on the disk" in mail
    old = replace(begun, state="succeeded", started=begun.started - 3 * 86400)
    backup_record.end(home, old, path="x")
    for _ in range(3):
        turn()
    assert "The last backup of Greenroom is 3 days old." in mailbox[1]
    assert len(mailbox) == 2


def test_who_is_no_administrator_may_not(alice, bob, shop):
    assert add(client_of(alice), where="/notifications").status_code == 403
    assert add(client_of(bob)).status_code == 403
    assert client_of(alice).get("/notifications").status_code == 403


def test_alerts(alice, shop, home, turn, mailbox):
    add(client_of(alice))
    turn()
    config = write(app=shop, home=home, values={"N": "1"}, actor=alice)
    made = release(actor=alice, app=shop, kind="config", description="Set N", slug=None, config=config)
    common = {"app": shop, "release": made, "kind": "web", "type": "web", "ordinal": 1, "command": "x"}
    Dyno.objects.create(**common, engine_id="1", restarts=CRASHES - 1, state="crashed", last_words="a\nValueError: b\n")
    Dyno.objects.create(**common, engine_id="2", restarts=CRASHES)
    Dyno.objects.create(**common, engine_id="3", restarts=CRASHES + 1)
    ends = clock.now() + timedelta(days=10)
    SniEndpoint.objects.create(app=shop, name="stego-1", chain="", sealed=b"", names=["a.example"], expires_at=ends)
    audit(actor=PLATFORM, action="addon.quota", app=shop, detail={"addon": "db-1", "bytes": 5e6, "over": "full"})
    for _ in range(3):
        turn()
    text = "\n".join(mailbox)
    assert len(mailbox) == 3
    assert f"web.1 of v{made.version} crashed 3 times in succession." in text
    assert "ValueError: b" in text
    assert f"The certificate stego-1 ends on {ends:%Y-%m-%d}." in text
    assert "db-1 reached its limit and is read-only." in text


def test_a_webhook_gets_the_same_events(alice, shop, home, turn, monkeypatch):
    monkeypatch.setattr("greenroom.entrypoints.api.views_webhooks.HOME", home)
    with receiving() as receiver:
        body = {"url": receiver.url, "include": ["deliveries"], "level": "sync"}
        assert client_of(alice).post("/apps/shop/webhooks", body, JSON).status_code == 201
        turn()
        deliver(shop, "refused", None, reason="`scan` failed: 1 finding")
        turn()
        turn()
        ((_, sent),) = receiver.got
    data = json.loads(sent)["data"]
    assert (data["event"], data["state"], data["app"]["name"]) == ("withheld", "refused", "shop")
    assert "`scan` failed" in data["text"]


def test_a_lost_receiver_is_tried_again_and_a_refusal_for_good_is_not(alice, shop, turn, mailbox):
    client = client_of(alice)
    for name in ("gone", "busy"):
        add(client, f"mailto:{name}@example.org")
    turn()
    deliver(shop, "failed", None)
    turn()
    found = dict(WebhookDelivery.objects.values_list("notification__shown", "status"))
    assert found == {"mailto:gone@example.org": "failed", "mailto:busy@example.org": "retrying"}
    assert {row.error for row in WebhookDelivery.objects.all()} == {"refused-recipient"}


def test_a_chat_gets_title_and_text_and_its_token_is_nowhere(alice, shop, turn, home):
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        client = client_of(alice)
        made = add(client, f"json://user:t0ken@127.0.0.1:{port}/hook").json()
        turn()
        deliver(shop, "held", None, reason="2 migrations are pending")
        turn()
        turn()
        ((_, sent),) = receiver.got
    assert json.loads(sent)["title"] == "[shop] 1a2b3c4d is held for its migrations"
    assert "2 migrations are pending" in json.loads(sent)["message"]
    listed = client.get("/apps/shop/notifications").json()
    assert [(row["target"], row["last_delivery"]["status"]) for row in listed] == [("json://***", "succeeded")]
    row = Notification.objects.get(pk=made["id"])
    assert b"t0ken" not in bytes(row.url)
    assert not [entry for entry in AuditEntry.objects.all() if "t0ken" in json.dumps(entry.detail)]


def test_a_chat_at_a_private_address_is_refused(alice, shop, settings, home):
    from greenroom.webhooks.channels.chat import CHANNEL
    from greenroom.webhooks.channels.kind import Message

    message = Message(body={"data": {"subject": "a", "text": "b"}}, secret="", authorization="")
    with receiving() as receiver:
        port = receiver.url.rpartition(":")[2].partition("/")[0]
        assert CHANNEL.deliver(f"json://127.0.0.1:{port}/x", message, ()).error == "refused-address"
        assert receiver.got == []


def test_a_test_message_goes_to_its_target_alone(alice, shop, turn, mailbox):
    client = client_of(alice)
    first = add(client).json()["id"]
    add(client, "mailto:others@example.org")
    sent = client.post(f"/apps/shop/notifications/{first}/actions/test", {}, JSON)
    assert (sent.status_code, sent.json()["event"]) == (202, "test")
    turn()
    (mail,) = mailbox
    assert "To: ops@example.org" in mail
    assert "alice@example.com asked for it." in mail
    assert client.get(f"/apps/shop/notifications/{first}").json()["last_delivery"]["status"] == "succeeded"
    assert client.delete(f"/apps/shop/notifications/{first}").status_code == 200
    assert client.get(f"/apps/shop/notifications/{first}").status_code == 404


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"target": "mailto:nobody"}, "must be mailto:NAME@HOST"),
        ({"target": "https://example.org/x"}, "target must begin with"),
        ({"target": "slack://"}, "is not complete for its service"),
        ({"target": "mailto:a@example.org", "events": ["live", "dead"]}, "events has 'dead'; allowed are all, opened"),
        ({"target": "mailto:a@example.org", "events": ["disk"]}, "of the installation"),
        ({"target": "mailto:a@example.org", "events": "live"}, "events must be a list of strings"),
    ],
)
def test_a_wrong_move_is_refused_with_the_way(alice, shop, mailbox, body, said):
    answer = client_of(alice).post("/apps/shop/notifications", body, JSON)
    assert answer.status_code in (400, 422)
    assert said in answer.json()["message"]
    assert not Notification.objects.exists()


def test_without_a_mail_server_an_address_is_refused_with_the_setting(alice, shop):
    answer = add(client_of(alice))
    assert "this installation has no mail server" in answer.json()["message"]
    assert "GREENROOM_SMTP_URL" in answer.json()["hint"]


def test_a_mail_server_that_is_not_there_is_a_word(settings, home):
    from greenroom.webhooks.channels.email import CHANNEL
    from greenroom.webhooks.channels.kind import Message

    settings.MAIL_SERVER = MailServer(host="127.0.0.1", port=1)
    message = Message(body={"data": {}}, secret="", authorization="")
    assert CHANNEL.deliver("mailto:a@example.org", message, ()).error == "no-connection"


def test_a_live_release_with_pending_migrations_says_how_to_run_them(alice, shop, home, turn, mailbox):
    add(client_of(alice))
    turn()
    config = write(app=shop, home=home, values={"N": "1"}, actor=alice)
    made = release(actor=alice, app=shop, kind="config", description="Set N", slug=None, config=config)
    names = [f"shop.000{number}_x" for number in range(1, 5)]
    MigrationState.objects.create(app=shop, release=made, status="ok", pending=names)
    deliver(shop, "live", Account.objects.get(pk=alice.account_id), release=made)
    turn()
    turn()
    (mail,) = mailbox
    assert "4 migrations are pending: shop.0001_x, shop.0002_x, shop.0003_x and 1 more." in mail.replace("=\n", "")
    assert "greenroom run -a shop python manage.py migrate" in mail
