"""Mail traps on a real server in a dyno: Django's mail of each kind, limits, restarts, passwords, the relay."""

from __future__ import annotations

import smtplib
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from django.core import mail
from django.core.mail.backends.smtp import EmailBackend

from greenroom.addons import actions, queries, registry
from greenroom.addons.actions import servers as addon_servers
from greenroom.addons.mail import actions as traps
from greenroom.addons.mail import queries as facts
from greenroom.addons.mail import rules
from greenroom.addons.mail.actions import relayed
from greenroom.addons.mail.drivers import relays
from greenroom.addons.mail.loop import Loop
from greenroom.addons.mail.loop.relays import Loop as RelayLoop
from greenroom.addons.models import Addon, RelayedMail
from greenroom.addons.queries import server_dyno, server_key
from greenroom.basics import clock, outgoing
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.engine import names
from tests.addons.machines import machine, place  # noqa: F401 -- fixtures
from tests.addons.smtp_sink import Sink
from tests.engine.machine import MODES, PYTHON

pytestmark = [pytest.mark.django_db, pytest.mark.neighbours]
LOOPBACK = outgoing.networks(["127.0.0.0/8"])
TO = ["qa@example.com"]
ONE_MODE = pytest.mark.parametrize("machine", MODES[:1], indirect=True)
"""For what does not depend on the engine's mode."""


@pytest.fixture
def trap(alice, shop, place) -> Addon:
    """A trap of the smallest plan for Alice's app."""
    return made(alice, shop, place)


def made(alice, shop, place, plan="mini", attachment="EMAIL") -> Addon:
    row = actions.record(actor=alice, app=shop, home=place, kind="mail", attachment=attachment, plan=f"mail:{plan}")
    assert actions.finish(addon=row, home=place)
    return row


@contextmanager
def mailing(machine, addon, place, password="") -> Iterator[EmailBackend]:
    """Django's mail backend with the app's config vars, behind a forward like that of its dynos."""
    values = registry.kind("mail").values(addon, place)
    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=copy_all, args=(machine, addon, door), daemon=True).start()
        yield EmailBackend(
            host=values["_HOST"],
            port=door.getsockname()[1],
            username=values["_HOST_USER"],
            password=password or values["_HOST_PASSWORD"],
            use_tls=values["_USE_TLS"] == "True",
            timeout=10,
        )


def copy_all(machine, addon, door):
    """Copy both ways, as the forward of a dyno does."""
    while True:
        try:
            left, _ = door.accept()
        except OSError:
            return
        right = machine.engine.connect(names.service(server_key(addon)), timeout=10)
        for ends in ((left, right), (right, left)):
            threading.Thread(target=copy, args=ends, daemon=True).start()


def copy(source, target):
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        pass
    finally:
        target.close()


def sent(machine, addon, place, *messages) -> int:
    with mailing(machine, addon, place) as backend:
        return backend.send_messages(messages)


def letter(**values) -> mail.EmailMultiAlternatives:
    return mail.EmailMultiAlternatives(**{"subject": "Hello", "body": "Text", "to": TO, **values})


def listed(addon, place, limit=50, before=0, **words) -> list[dict]:
    return facts.messages(addon, place, before=before, limit=limit, words=words)


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def test_mail_of_each_kind_is_kept_and_shown(machine, trap, place, settings):
    settings.ADMINS = [("Ada", "ada@example.com")]
    pdf = b"%PDF-1.7 " + bytes(range(256))
    full = letter(subject="Grüße ✓", from_email="Jürgen <j@example.com>", to=["Käthe <k@example.com>"])
    full.attach_alternative("<p>Grüße <b>fett</b></p>", "text/html")
    full.attach("Rechnung ü.pdf", pdf, "application/pdf")
    many = letter(subject="Many", bcc=[f"user{number}@example.com" for number in range(300)])
    dots = letter(subject="Dots", body="one\n.\n..\n.two\n")
    with mailing(machine, trap, place) as backend:
        assert backend.send_messages([full, many, dots]) == 3
        mail.mail_admins("Server error", "Traceback", connection=backend)
    rows = listed(trap, place)
    assert [row["subject"] for row in rows] == ["[Django] Server error", "Dots", "Many", "Grüße ✓"]
    assert [row["number"] for row in rows] == [4, 3, 2, 1]
    assert rows[0]["to"] == ["ada@example.com"]
    assert (rows[2]["recipients"], len(rows[2]["to"])) == (301, 10)
    assert rows[3]["header_from"] == "Jürgen <j@example.com>"
    first = facts.message(trap, place, 1)
    assert first["text"].strip() == "Text"
    assert first["html"].strip() == "<p>Grüße <b>fett</b></p>"
    assert {"name": "To", "value": "Käthe <k@example.com>"} in first["headers"]
    attached = first["attachments"][0]
    assert (attached["name"], attached["type"], attached["size"]) == ("Rechnung ü.pdf", "application/pdf", len(pdf))
    content = facts.attachment(trap, place, 1, attached["number"])
    assert content == ("Rechnung ü.pdf", "application/pdf", pdf)
    assert len(facts.message(trap, place, 2)["to"]) == 301
    assert facts.message(trap, place, 3)["text"].rstrip() == "one\n.\n..\n.two"
    assert facts.message(trap, place, 0)["number"] == 4, "the newest"
    assert facts.raw(trap, place, 4)[1].startswith(b"Content-Type: text/plain")
    with pytest.raises(NotFoundError, match="no mail 9"):
        facts.message(trap, place, 9)


@ONE_MODE
def test_the_list_is_filtered_and_paged(machine, trap, place):
    batch = [letter(subject=f"No {number}", to=[f"u{number}@example.com"]) for number in range(5)]
    sent(machine, trap, place, *batch, letter(subject="Other", from_email="x@other.example"))
    assert [row["number"] for row in listed(trap, place, limit=2)] == [6, 5]
    assert [row["number"] for row in listed(trap, place, limit=2, before=5)] == [4, 3]
    assert [row["subject"] for row in listed(trap, place, to="U3@")] == ["No 3"]
    assert [row["subject"] for row in listed(trap, place, **{"from": "other.example"})] == ["Other"]
    assert len(listed(trap, place, subject="no ")) == 5
    assert listed(trap, place, to="nobody") == []


def test_a_mail_above_the_plans_size_is_refused_with_a_reason_and_a_larger_plan_keeps_it(machine, alice, shop, place):
    small, large = made(alice, shop, place), made(alice, shop, place, plan="standard", attachment="MAIL_AMBER")
    big = "x" * 70 + "\n"
    message = letter(body=big * (20_000_000 // len(big)))
    with pytest.raises(smtplib.SMTPSenderRefused, match=r"Message too large: the plan allows 10.0 MB"):
        sent(machine, small, place, message)
    assert sent(machine, small, place, letter()) == 1, "the trap goes on"
    found = facts.info(small, place)
    assert (found["answers"], found["count"], found["refused"]) == (True, 1, 1)
    assert sent(machine, large, place, message) == 1
    shown = facts.message(large, place, 0)
    assert shown["truncated"]
    assert len(shown["text"]) == 200_000
    assert len(facts.raw(large, place, 0)[1]) > 20_000_000


def test_without_the_password_nothing_is_taken(machine, trap, place):
    with pytest.raises(smtplib.SMTPAuthenticationError), mailing(machine, trap, place, password="wrong") as backend:
        backend.send_messages([letter()])
    with pytest.raises(smtplib.SMTPSenderRefused, match="EMAIL_HOST_USER"), mailing(machine, trap, place) as backend:
        backend.username = ""
        backend.send_messages([letter()])
    with pytest.raises(smtplib.SMTPNotSupportedError), mailing(machine, trap, place) as backend:
        backend.use_tls = True
        backend.send_messages([letter()])
    assert listed(trap, place) == []


def test_an_app_reaches_its_trap_from_its_dynos_and_another_app_does_not(machine, trap, place):
    port = int(registry.kind("mail").values(trap, place)["_PORT"])
    says = f"import socket; print(socket.create_connection(('127.0.0.1', {port})).recv(99))"
    spec = machine.spec(PYTHON, "-c", says, forwards=registry.kind("mail").forwards([trap]), output=True)
    assert b"220 mail.localhost" in ended(machine, spec)
    stranger = machine.spec(PYTHON, "-c", says, output=True)
    assert b"ConnectionRefusedError" in ended(machine, stranger)


def ended(machine, spec) -> bytes:
    machine.engine.start(spec)
    until(lambda: machine.engine.describe(spec.id).phase == "exited")
    return machine.engine.output(spec.id, 0).data


def test_no_password_stands_in_a_command_line_an_environment_or_a_file_of_the_home(machine, trap, alice, place):
    traps.set_relay(
        actor=alice, addon=trap, home=place, url="smtp://u@127.0.0.1:2525", password="of-the-relay", allowed=LOOPBACK
    )
    trap.refresh_from_db()
    secrets = [word.encode() for word in queries.secret_of(trap, place).values()]
    assert b"of-the-relay" in secrets
    state = machine.engine.describe(server_dyno(trap))
    for pid in (state.pid, state.host_pid):
        line = Path(f"/proc/{pid}/cmdline").read_bytes() + Path(f"/proc/{pid}/environ").read_bytes()
        assert not [word for word in secrets if word in line]
    for path in place.rglob("*"):
        if path.is_file() and not path.is_symlink():
            assert not [word for word in secrets if word in path.read_bytes()], path


def test_a_server_that_was_killed_is_started_again_with_its_mail(machine, trap, place):
    sent(machine, trap, place, letter())
    machine.engine.signal(server_dyno(trap), "KILL")
    until(lambda: machine.engine.describe(server_dyno(trap)).ended)
    assert facts.info(trap, place)["answers"] is False
    Loop(place).turn()
    trap.refresh_from_db()
    assert trap.data["starts"] == 2
    assert traps.is_ready(addon=trap, home=place)
    assert [row["number"] for row in listed(trap, place)] == [1]
    sent(machine, trap, place, letter())
    assert [row["number"] for row in listed(trap, place)] == [2, 1], "numbers go on"


@ONE_MODE
def test_a_cleared_trap_is_empty_and_never_reuses_a_number(machine, alice, trap, place):
    sent(machine, trap, place, letter(), letter())
    assert traps.clear(actor=alice, addon=trap, home=place) == 2
    assert listed(trap, place) == []
    sent(machine, trap, place, letter())
    assert [row["number"] for row in listed(trap, place)] == [3]


@ONE_MODE
def test_a_new_password_works_at_once_and_the_former_one_for_a_while(machine, alice, trap, place, monkeypatch):
    former = registry.kind("mail").values(trap, place)["_HOST_PASSWORD"]
    traps.new_password(actor=alice, addon=trap, home=place)
    trap.refresh_from_db()
    assert registry.kind("mail").values(trap, place)["_HOST_PASSWORD"] != former
    for password in ("", former):
        with mailing(machine, trap, place, password=password) as backend:
            assert backend.send_messages([letter()]) == 1
    monkeypatch.setattr(addon_servers, "FORMER", timedelta(0))
    traps.new_password(actor=alice, addon=trap, home=place)
    with pytest.raises(smtplib.SMTPAuthenticationError), mailing(machine, trap, place, password=former) as backend:
        backend.send_messages([letter()])
    trap.refresh_from_db()
    later = clock.now() + timedelta(minutes=11)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert len(facts.passwords_of(trap, place)) == 1


def test_a_removed_trap_leaves_no_process_and_no_file(machine, trap, shop, place):
    sent(machine, trap, place, letter())
    volume = place / "volumes" / shop.id.hex / server_key(trap)
    assert volume.is_dir()
    actions.deprovision(addon=trap, home=place)
    assert machine.engine.list() == []
    assert not volume.exists()
    assert not list((place / "run" / "addons").iterdir())


@ONE_MODE
def test_a_test_run_gets_the_names_and_no_server(machine, trap, shop):
    made = actions.make_doubles(app=shop, label="test-1")
    assert made.values["EMAIL_HOST"] == "127.0.0.1"
    assert made.values["EMAIL_URL"] == "smtp://127.0.0.1:1"
    assert [one for one in made.forwards if "mail" in one.service] == []


@ONE_MODE
def test_the_relay_sends_to_allowed_recipients_and_to_nobody_else(machine, alice, trap, place):
    sent(machine, trap, place, letter(subject="Before"))
    loop = RelayLoop(place, LOOPBACK)
    with Sink() as sink:
        traps.set_relay(actor=alice, addon=trap, home=place, url=sink.url, password="", allowed=LOOPBACK)
        traps.allow(actor=alice, addon=trap, entry="QA@example.com")
        traps.allow(actor=alice, addon=trap, entry="@staff.example")
        customers = [f"customer{number}@customers.example" for number in range(3)]
        sent(
            machine, trap, place, letter(subject="After", to=["qa@example.com", *customers], bcc=["ada@staff.example"])
        )
        until(lambda: not loop.turn())
        loop.turn()
        assert sorted(sink.recipients) == ["ada@staff.example", "qa@example.com"]
        assert {b"Subject: After" in data for data in sink.messages} == {True}, "what came before the relay stays"
    found = {one["address"]: one["state"] for one in facts.message(trap, place, 2)["to"]}
    assert found == {"qa@example.com": "sent", "ada@staff.example": "sent", **dict.fromkeys(customers, "trapped")}
    assert listed(trap, place)[0]["relayed"] == 2


@ONE_MODE
def test_an_entry_that_was_denied_or_a_relay_that_was_removed_stops_what_waits(machine, alice, trap, place):
    loop = RelayLoop(place, LOOPBACK)
    with Sink() as sink:
        traps.set_relay(actor=alice, addon=trap, home=place, url=sink.url, password="", allowed=LOOPBACK)
        traps.allow(actor=alice, addon=trap, entry="qa@example.com")
        sent(machine, trap, place, letter())
        trap.refresh_from_db()
        assert relayed.collect(addon=trap, home=place)
        traps.deny(actor=alice, addon=trap, entry="qa@example.com")
        loop.turn()
        assert sink.recipients == []
    state = facts.message(trap, place, 1)["to"][0]
    assert (state["state"], state["error"]) == ("failed", "the recipient is no longer allowed")
    traps.unset_relay(actor=alice, addon=trap, home=place)
    trap.refresh_from_db()
    assert facts.info(trap, place)["relay"] is None
    assert "relay" not in queries.secret_of(trap, place)


@ONE_MODE
def test_a_relay_that_fails_is_tried_again_and_one_that_refuses_is_not(machine, alice, trap, place, monkeypatch):
    now = [clock.now()]
    monkeypatch.setattr(clock, "now", lambda: now[0])
    loop = RelayLoop(place, LOOPBACK)
    with Sink(replies={"RCPT": "451 4.7.1 Greylisted"}) as sink:
        traps.set_relay(actor=alice, addon=trap, home=place, url=sink.url, password="", allowed=LOOPBACK)
        traps.allow(actor=alice, addon=trap, entry="@example.com")
        sent(machine, trap, place, letter())
        loop.turn()
        row = RelayedMail.objects.get()
        assert (row.state, row.num_attempts) == ("waiting", 1)
        assert "Greylisted" in row.error
        loop.turn()
        assert RelayedMail.objects.get().num_attempts == 1, "not before the pause is over"
        sink.replies["RCPT"] = "550 5.1.1 No such user"
        now[0] += timedelta(seconds=61)
        loop.turn()
    row = RelayedMail.objects.get()
    assert (row.state, row.num_attempts) == ("failed", 2)
    assert row.error == "550 5.1.1 No such user"


@ONE_MODE
def test_a_claimed_mail_whose_worker_died_is_sent_after_the_lease(machine, alice, trap, place, monkeypatch):
    with Sink() as sink:
        traps.set_relay(actor=alice, addon=trap, home=place, url=sink.url, password="", allowed=LOOPBACK)
        traps.allow(actor=alice, addon=trap, entry="@example.com")
        sent(machine, trap, place, letter())
        trap.refresh_from_db()
        relayed.collect(addon=trap, home=place)
        assert len(relayed.claim()) == 1
        loop = RelayLoop(place, LOOPBACK)
        loop.turn()
        assert sink.recipients == []
        later = clock.now() + timedelta(minutes=6)
        monkeypatch.setattr(clock, "now", lambda: later)
        loop.turn()
        assert sink.recipients == TO


def test_a_password_is_never_sent_in_clear_and_a_private_address_never_contacted(alice, shop, home):
    with Sink() as sink:
        relay = rules.relay(sink.url.replace("smtp://", "smtp://user@"))
        letter_ = {"sender": "a@example.com", "recipient": "b@example.com", "message": b"Subject: x\r\n\r\nx\r\n"}
        outcome = relays.send(relay=relay, password="secret-word", allowed=LOOPBACK, **letter_)
        assert outcome.final
        assert "not sent in clear" in outcome.error
        assert not any("AUTH" in line for line in sink.lines)
        outcome = relays.send(relay=relay, password="secret-word", allowed=(), **letter_)
        assert outcome.final
        assert "not a public address" in outcome.error
    row = actions.record(actor=alice, app=shop, home=home, kind="mail", attachment="EMAIL")
    with pytest.raises(UserError, match=r"127\.0\.0\.1, which is not a public address"):
        traps.set_relay(actor=alice, addon=row, home=home, url="smtp://127.0.0.1:25", password="", allowed=())
