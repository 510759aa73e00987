"""The program of a mail trap: its store within limits and after a crash, SMTP's rules, mail that is hard to parse."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from pathlib import Path

import pytest

from greenroom.addons.mail.inside import letters, server
from greenroom.addons.mail.inside.smtp import GoneError, Session
from greenroom.addons.mail.inside.store import MissingError, Store

LIMITS = {"message_bytes": 10_000, "bytes": 30_000, "count": 3, "seconds": 1000}
FACTS = {"subject": "Hello", "header_from": "a@example.com", "type": "text/plain"}


def digest(word: str) -> str:
    return hashlib.sha256(word.encode()).hexdigest()


def trap_in(folder: Path, **limits) -> server.Trap:
    """A trap with the password ``word`` and a log in ``said``."""
    words = {"user": "mail", "passwords": [(digest("word"), 0)], "platform": digest("ours")}
    trap = server.Trap({**words, "limits": {**LIMITS, **limits}}, str(folder))
    trap.said = []
    trap.say = trap.said.append
    return trap


def keep(
    store: Store, data: bytes = b"Subject: Hello\r\n\r\nText\r\n", to: tuple[str, ...] = ("qa@example.com",)
) -> int:
    draft = store.draft()
    draft.write(data)
    return store.keep(draft, "a@example.com", list(to), FACTS)["number"]


def test_the_oldest_mail_goes_beyond_number_size_and_age(tmp_path):
    now = [1000.0]
    store = Store(str(tmp_path), LIMITS, lambda: now[0])
    for _ in range(4):
        keep(store)
    assert list(store.index) == [2, 3, 4]
    keep(store, b"x" * 29_990)
    assert list(store.index) == [5]
    now[0] += 1001
    store.expire()
    assert list(store.index) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last"]


def test_a_store_is_read_again_after_a_crash_without_halves_and_without_reused_numbers(tmp_path):
    store = Store(str(tmp_path), LIMITS)
    keep(store)
    keep(store)
    store.clear()
    keep(store)
    store.draft().write(b"half")
    (tmp_path / "9.eml").write_bytes(b"an envelope is missing")
    (tmp_path / "8.json").write_text("{}")
    (tmp_path / "7.json").write_text((tmp_path / "3.json").read_text())
    again = Store(str(tmp_path), LIMITS)
    assert list(again.index) == [3]
    assert again.index[3]["subject"] == "Hello"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["3.eml", "3.json", "last"]
    assert keep(again) == 4


def test_numbers_go_on_after_a_clear_and_a_restart(tmp_path):
    store = Store(str(tmp_path), LIMITS)
    keep(store)
    store.clear()
    assert keep(Store(str(tmp_path), LIMITS)) == 2


def test_the_platform_gets_bounded_lists_and_missing_mail_is_said(tmp_path):
    trap = trap_in(tmp_path)
    keep(trap.store, to=tuple(f"u{number}@example.com" for number in range(50)))
    (row,) = json.loads(trap.request({"op": "list", "before": 0, "limit": 9999}))
    assert (len(row["to"]), row["recipients"]) == (10, 50)
    assert json.loads(trap.request({"op": "list", "before": 0, "limit": 5, "to": "u49@"})) == [row]
    with pytest.raises(MissingError):
        trap.request({"op": "raw", "number": 2})
    with pytest.raises(MissingError):
        trap.request({"op": "part", "number": 1, "part": 7})


class Talk:
    """An SMTP session of a client that writes lines."""

    def __init__(self, trap: server.Trap) -> None:
        self.client, own = socket.socketpair()
        self.client.settimeout(10)
        self.file = self.client.makefile("rb")
        threading.Thread(target=self._serve, args=(trap, own), daemon=True).start()

    def _serve(self, trap: server.Trap, own: socket.socket) -> None:
        with own, own.makefile("rb") as file:
            try:
                Session(trap, own, file).serve(b"EHLO test")
            except (GoneError, OSError):
                own.close()

    def say(self, text: str | bytes = b"") -> str:
        """Send lines; returns the last line of the reply."""
        self.client.sendall(text.encode() if isinstance(text, str) else text)
        while (line := self.file.readline().decode())[3:4] == "-":
            pass
        return line.strip()


@pytest.fixture
def talk(tmp_path):
    trap = trap_in(tmp_path)
    talk = Talk(trap)
    talk.trap = trap
    assert talk.say() == "250 AUTH PLAIN LOGIN"
    return talk


SIGN_IN = "AUTH PLAIN AG1haWwAd29yZA==\r\n"


def begin(talk: Talk) -> None:
    assert talk.say(SIGN_IN).startswith("235")
    assert talk.say("MAIL FROM:<a@example.com>\r\n").startswith("250")
    assert talk.say("RCPT TO:<b@example.com>\r\n").startswith("250")
    assert talk.say("DATA\r\n").startswith("354")


def test_only_a_dot_between_two_crlf_ends_a_mail(talk):
    begin(talk)
    text = b"Subject: x\r\n\r\none\n.\nMAIL FROM:<c@example.com>\r\n..two\r\n.\n\r\n.\r\n"
    assert talk.say(text).startswith("250 2.0.0 Kept as mail 1")
    raw = talk.trap.request({"op": "raw", "number": 1}).partition(b"\n")[2]
    assert raw == b"Subject: x\r\n\r\none\n.\nMAIL FROM:<c@example.com>\r\n.two\r\n\n\r\n"
    assert talk.say("NOOP\r\n").startswith("250"), "nothing behind it was taken for a command"


def test_a_mail_above_the_limit_is_refused_at_its_end_and_leaves_nothing(talk, tmp_path):
    begin(talk)
    assert talk.say(b"x" * 50 + b"\r\n" + b"y" * 10_000 + b"\r\n.\r\n").startswith("552 5.3.4")
    assert list(tmp_path.iterdir()) == []
    assert talk.say("MAIL FROM:<a@example.com> SIZE=10001\r\n").startswith("552 5.3.4")
    assert talk.trap.store.refused == 2
    assert talk.say("MAIL FROM:<a@example.com> SIZE=10000\r\n").startswith("250")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("MAIL FROM:<a@example.com>\r\n", "530"),
        ("RCPT TO:<a@example.com>\r\n", "503"),
        ("DATA\r\n", "503"),
        ("AUTH PLAIN xx\r\n", "535"),
        ("AUTH PLAIN AG1haWwAd3Jvbmc=\r\n", "535"),
        ("AUTH CRAM-MD5\r\n", "504"),
        ("STARTTLS\r\n", "502"),
        ("__CLASS__\r\n", "500"),
        ("\xff\xfe\r\n", "500"),
        ("x" * 9000 + "\r\n", "500"),
    ],
)
def test_what_is_not_allowed_is_refused(talk, line, code):
    assert talk.say(line.encode("latin-1")).startswith(code)


def test_a_client_that_guesses_is_disconnected_and_the_log_has_a_hint(talk):
    assert talk.say("AUTH PLAIN AG1haWwAd3Jvbmc=\r\n").startswith("535")
    assert talk.say("AUTH PLAIN AG1haWwAd3Jvbmc=\r\n").startswith("535")
    assert talk.say("AUTH PLAIN AG1haWwAd3Jvbmc=\r\n").startswith("421")
    assert "EMAIL_HOST_PASSWORD" in talk.trap.said[0]


def test_a_client_that_leaves_for_want_of_tls_is_explained_in_the_log(talk):
    talk.say("QUIT\r\n")
    assert talk.trap.said == [
        "a client left without signing in, as settings that require TLS do: set EMAIL_USE_TLS from the environment"
    ]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no header at all",
        b"Subject: =?utf-8?b?!!!?= =?x-none?q?a?=\r\nFrom: @@<>\r\n\r\nx",
        b"Content-Type: multipart/mixed\r\n\r\nx",
        b"Content-Type: text/plain; charset=punycode\r\n\r\n\xff\xfe",
        b"Content-Type: text/plain; charset=\xff\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%",
        b"Content-Type: message/rfc822\r\n\r\nSubject: inner\r\n\r\nx",
        b"Content-Disposition: attachment; filename*=utf-8''%ED%A0%80\r\n\r\nx",
        b"Subject: \xed\xa0\x80\x00\r\n\r\n\x00\xed\xa0\x80",
    ],
)
def test_malformed_mail_is_kept_listed_and_shown_as_far_as_it_goes(tmp_path, data):
    trap = trap_in(tmp_path)
    draft = trap.store.draft()
    draft.write(data)
    trap.store.keep(draft, "", ["b@example.com"], letters.facts(data))
    trap.request({"op": "list", "before": 0, "limit": 5}).decode()
    shown = json.loads(trap.request({"op": "show", "number": 0}))
    json.dumps(shown, ensure_ascii=False).encode()
    for one in shown["attachments"]:
        trap.request({"op": "part", "number": 0, "part": one["number"]})


def test_a_mail_of_endless_nesting_is_unreadable_and_the_trap_goes_on(tmp_path):
    trap = trap_in(tmp_path, message_bytes=10_000_000, bytes=10_000_000)
    deep = b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(3000))
    keep(trap.store, deep)
    with pytest.raises(letters.UnreadableError):
        trap.request({"op": "show", "number": 1})
    keep(trap.store)
    assert json.loads(trap.request({"op": "show", "number": 2}))["text"] == "Text\n"


def test_a_mail_of_countless_parts_is_unreadable_before_it_fills_the_memory(tmp_path):
    trap = trap_in(tmp_path, message_bytes=10_000_000, bytes=10_000_000)
    keep(trap.store, b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 30_000)
    with pytest.raises(letters.UnreadableError):
        trap.request({"op": "show", "number": 1})
