"""Log drains send an app's log to real receivers: in Heroku's framing, in order, and without loss when a receiver
fails.
"""

from __future__ import annotations

import re
import socket
import ssl
import threading
import time
from contextlib import contextmanager

import pytest

from greenroom.basics import logfile, outgoing
from greenroom.basics.errors import GreenroomError, UserError
from greenroom.logs.actions import drains, say
from greenroom.logs.loop import Loop
from greenroom.logs.models import LogDrain
from greenroom.logs.rules import drain_pause, framed, syslog
from greenroom_cli.host import keys
from tests.webhooks.receiver import receiving

pytestmark = pytest.mark.django_db
HERE = outgoing.networks(["127.0.0.0/8"])


class Collector:
    """A syslog receiver over TCP or TLS. ``data``: all bytes of all its connections."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port, self.context, self.data, self.connections = self.server.getsockname()[1], context, b"", 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                sock, _ = self.server.accept()
                if self.context:
                    sock = self.context.wrap_socket(sock, server_side=True)
            except ssl.SSLError:
                continue
            except OSError:
                return
            self.connections += 1
            self.last = sock
            threading.Thread(target=self._read, args=(sock,), daemon=True).start()

    def _read(self, sock: socket.socket) -> None:
        try:
            while part := sock.recv(65536):
                self.data += part
        except OSError:
            return

    def messages(self, count: int) -> list[bytes]:
        """The first ``count`` messages, split by their lengths, as soon as they have arrived."""
        deadline = time.monotonic() + 20
        while len(found := unframed(self.data)) < count:
            assert time.monotonic() < deadline, self.data
            time.sleep(0.01)
        return found


def unframed(data: bytes) -> list[bytes]:
    """The messages of an octet-counted stream."""
    found = []
    while match := re.match(rb"(\d+) ", data):
        size, start = int(match[1]), match.end()
        if len(data) < start + size:
            break
        found.append(data[start : start + size])
        data = data[start + size :]
    return found


@contextmanager
def collecting(context=None):
    made = Collector(context)
    try:
        yield made
    finally:
        made.server.close()


@pytest.fixture
def turn(home):
    return Loop(home, HERE)


def add(app, actor, home, url):
    return drains.add(actor=actor, app=app, home=home, url=url, allowed=HERE)


def texts(messages):
    return [message.partition(b" - ")[2].decode().rstrip("\n") for message in messages]


def test_an_https_receiver_gets_batches_as_logplex_makes_them(shop, alice, home, turn):
    say(app=shop, home=home, process="web.1", text="from before", source="app")
    with receiving() as receiver:
        row = add(shop, alice, home, receiver.url.replace("http://", "http://user:pass%40word@"))
        say(app=shop, home=home, process="web.1", text="hällo", source="app")
        say(app=shop, home=home, process="router", text='at=info path="/"')
        turn.send(row)
        ((headers, body),) = receiver.got
    assert headers["Content-Type"] == "application/logplex-1"
    assert headers["Logplex-Msg-Count"] == "2"
    assert headers["Logplex-Drain-Token"] == row.token
    assert headers["Authorization"] == "Basic dXNlcjpwYXNzQHdvcmQ="
    first, second = unframed(body)
    assert re.fullmatch(rb"<190>1 \d{4}-\S+\+00:00 host app web\.1 - h\xc3\xa4llo\n", first)
    assert re.fullmatch(rb'<158>1 \S+ host heroku router - at=info path="/"\n', second)
    assert "pass" not in row.url
    assert "pass" not in str(LogDrain.objects.values_list("url", "sealed").get())


def test_what_a_receiver_refuses_is_sent_again_after_a_pause_and_nothing_is_skipped(shop, alice, home, turn):
    with receiving() as receiver:
        row = add(shop, alice, home, receiver.url)
        receiver.answers += [503, 302]
        say(app=shop, home=home, process="web.1", text="one", source="app")
        turn.send(row)
        row.refresh_from_db()
        assert (row.failures, row.error) == (1, "the receiver answered 503")
        assert row.next_attempt_at is not None
        say(app=shop, home=home, process="web.1", text="two", source="app")
        turn.send(row)
        assert len(receiver.got) == 1, "the pause has not ended"
        for _ in range(2):
            LogDrain.objects.update(next_attempt_at=None)
            turn.send(row)
        assert texts(unframed(receiver.got[2][1])) == ["one", "two"]
    row.refresh_from_db()
    assert (row.failures, row.error, row.next_attempt_at, row.sent) == (0, "", None, 2)


def test_pauses_double_up_to_a_minute_for_ever():
    assert [drain_pause(count) for count in (1, 2, 3, 7, 5000)] == [1, 2, 4, 60, 60]


def test_a_syslog_receiver_keeps_its_connection_and_a_new_one_is_made_when_it_ends(shop, alice, home, turn):
    with collecting() as collector:
        row = add(shop, alice, home, f"syslog://127.0.0.1:{collector.port}")
        for text in ("one", "two"):
            say(app=shop, home=home, process="web.1", text=text, source="app")
            turn.send(row)
        assert texts(collector.messages(2)) == ["one", "two"]
        assert collector.connections == 1
        assert f" {row.token} app web.1 - one".encode() in collector.data
        collector.last.shutdown(socket.SHUT_RDWR)
        collector.last.close()
        time.sleep(0.1)
        say(app=shop, home=home, process="web.1", text="three", source="app")
        turn.send(row)
        assert texts(collector.messages(3)) == ["one", "two", "three"]
        assert collector.connections == 2
    LogDrain.objects.all().delete()
    turn.turn()
    assert turn.open == {}


def test_syslog_over_tls_is_verified(shop, alice, home):
    keys.make_all(home, None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(home / "keys" / "tls.pem", home / "keys" / "tls.key")
    with collecting(context) as collector:
        row = add(shop, alice, home, f"syslog+tls://127.0.0.1:{collector.port}")
        say(app=shop, home=home, process="web.1", text="kept secret", source="app")
        Loop(home, HERE).send(row)
        row.refresh_from_db()
        assert "no TLS with 127.0.0.1" in row.error
        assert collector.data == b""
        LogDrain.objects.update(next_attempt_at=None)
        Loop(home, HERE, ssl.create_default_context(cafile=str(home / "keys" / "ca.pem"))).send(row)
        assert texts(collector.messages(1)) == ["kept secret"]


def test_lines_that_the_log_lost_before_they_were_sent_are_told_of(shop, alice, home, turn):
    with receiving() as receiver:
        row = add(shop, alice, home, receiver.url)
        folder = str(home / shop.log_folder)
        for number in range(30):
            logfile.append(
                folder, [(time.time(), "app", "web.1", f"line {number} " + "x" * 200)], segment_bytes=1000, keep=2
            )
        turn.send(row)
        got = unframed(b"".join(body for _, body in receiver.got))
    assert got[0].startswith(b"<172>1 ")
    assert b"heroku logplex - Error L10" in got[0]
    assert got[-1].startswith(b"<190>1 ")
    assert b"line 29" in got[-1]
    assert len(got) < 31


def test_a_drain_leads_to_no_private_address_unless_the_operator_allows_it(shop, alice, home):
    for url, problem in {
        "http://127.0.0.1/x": "not a public address",
        "syslog://localhost:514": "this machine",
        "syslog://logs.example.com": "must have a port",
        "ftp://example.com/": "must begin with https://",
        "syslog://u:p@example.com:514": "must not contain a user",
    }.items():
        with pytest.raises(GreenroomError, match=problem):
            drains.add(actor=alice, app=shop, home=home, url=url)
    row = drains.add(actor=alice, app=shop, home=home, url="https://logs.example.com/x")
    with pytest.raises(GreenroomError, match="already"):
        drains.add(actor=alice, app=shop, home=home, url="https://logs.example.com/x")
    for name in (row.token, row.url, str(row.id)):
        assert drains.find(shop, name) == row
    drains.remove(actor=alice, app=shop, name=row.url)
    with pytest.raises(GreenroomError, match="has no drain"):
        drains.find(shop, row.url)


def test_a_frame_counts_bytes_and_no_text_can_forge_another(shop, home):
    say(app=shop, home=home, process="web.1", text="a\n<0>1 - host heroku router - forged ü", source="app")
    lines, _ = logfile.read_from(str(home / shop.log_folder), logfile.START)
    frames = b"".join(framed(syslog(line, "host")) for line in lines)
    assert [message.split()[3:5] for message in unframed(frames)] == [[b"app", b"web.1"]] * 2


@pytest.mark.django_db(transaction=True)
def test_a_receiver_that_hangs_holds_nobody_else_up(shop, alice, home, turn):
    silent = socket.create_server(("127.0.0.1", 0))
    with receiving() as receiver:
        add(shop, alice, home, f"http://127.0.0.1:{silent.getsockname()[1]}/")
        add(shop, alice, home, receiver.url)
        say(app=shop, home=home, process="web.1", text="one", source="app")
        turn.turn()
        deadline = time.monotonic() + 8
        while not receiver.got and time.monotonic() < deadline:
            time.sleep(0.02)
        assert texts(unframed(receiver.got[0][1])) == ["one"]
    silent.close()
    turn.pool.shutdown(wait=True)


@pytest.mark.parametrize(
    ("host", "network"),
    [
        ("127.0.0.1", "127.0.0.1/32"),
        ("10.1.2.3", "10.1.2.3/32"),
        ("localhost", "127.0.0.0/8"),
        ("[fd00::7]", "fd00::7/128"),
    ],
)
def test_a_drain_into_ones_own_network_is_refused_with_the_setting_that_allows_it(alice, shop, home, host, network):
    with pytest.raises(UserError) as error:
        drains.add(actor=alice, app=shop, home=home, url=f"syslog+tls://{host}:6514")
    assert f'GREENROOM_PRIVATE_TARGETS="{network}"' in error.value.hint
