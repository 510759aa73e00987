"""The marker that the Heroku CLI appends to a command, a client's first line, and the end of its input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.basics import signing
from greenroom.entrypoints.streams import rules
from greenroom.entrypoints.streams.rules import Escaped, Piped, Terminal, marker_line, read_hello, split_exit_marker
from greenroom_cli import attach

APPENDED = '; echo "\\uFFFF heroku-command-exit-status: $?"'
SENT = '; echo "\uffff heroku-command-exit-status: $?"'


@pytest.mark.parametrize("appended", [APPENDED, SENT, f" {SENT} ", SENT.replace('"', "'")])
def test_the_appended_echo_is_taken_off_and_remembered(appended):
    assert split_exit_marker(f"python manage.py migrate {appended}") == ("python manage.py migrate", True)


def test_a_command_that_exits_by_itself_keeps_its_own_end():
    assert split_exit_marker(f"exit 3 {SENT}") == ("exit 3", True)


def test_a_command_of_several_loses_only_the_last():
    assert split_exit_marker(f"a ; b {SENT}") == ("a ; b", True)


def test_other_commands_are_left_alone():
    for command in ("python manage.py migrate", "echo heroku-command-exit-status", "a ; echo b", "", f"{SENT} ; a"):
        assert split_exit_marker(command) == (command, False)


def test_the_marker_is_what_the_cli_looks_for():
    assert marker_line(7).decode() == "\uffff heroku-command-exit-status: 7\n"


def test_a_reference_is_known_to_be_whole_by_its_length():
    token = signing.sign({"dyno": "x"}, key="k", purpose="attach", seconds=60).encode()
    assert rules.is_whole(token)
    assert rules.is_whole(token + b"?eof=escaped")
    for cut in range(1, 44):
        assert not rules.is_whole(token[:-cut])


def test_the_first_line_tells_greenrooms_own_client():
    assert read_hello(b"abc.def\r\nrest") == rules.Hello("abc.def", False, b"rest")
    assert read_hello(b"/abc.def?eof=escaped\r\n") == rules.Hello("abc.def", True)
    assert read_hello(b"abc.def?x=eof=escaped\n").own is False


@given(st.binary(), st.lists(st.integers(0, 100)))
def test_escaped_input_is_what_was_typed_however_it_is_cut(data, cuts):
    sent = attach.escape(data) + attach.ESCAPE + attach.EOF
    reader, out = Escaped(), b""
    for cut in cuts:
        assert not reader.ended or not sent
        out, sent = out + reader.take(sent[:cut]), sent[cut:]
    out += reader.take(sent)
    assert out == data
    assert reader.ended


@given(st.binary())
def test_escaped_input_does_not_end_by_itself(data):
    reader = Escaped()
    reader.take(attach.escape(data))
    assert not reader.ended


def test_nothing_comes_after_the_end():
    reader = Escaped()
    assert reader.take(b"a\x10\x04b") == b"a"
    assert reader.take(b"c") == b""


@given(st.lists(st.binary(min_size=1)))
def test_piped_input_loses_nothing_but_the_end(records):
    reader = Piped()
    out = b"".join(map(reader.take, records))
    assert out + (b"\x04" if reader.waiting else b"") == b"".join(records)
    assert not reader.ended
    reader.silence()
    assert reader.ended == (bool(records) and records[-1] == b"\x04")


@given(st.lists(st.binary()))
def test_a_terminal_takes_every_key(records):
    reader = Terminal()
    assert [reader.take(record) for record in records] == records
    reader.silence()
    assert not reader.ended


def test_a_client_that_comes_back_says_how_much_it_has_seen() -> None:
    assert rules.read_hello(b"token?eof=escaped&seen=70000\r\n").seen == 70000
    for line in (b"token?eof=escaped\r\n", b"token?seen=-3\r\n", b"token?seen=" + b"9" * 40, b"token\r\n"):
        assert rules.read_hello(line).seen == -1
