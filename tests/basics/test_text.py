"""The sanitizer for external text, and its copies for programs inside dynos."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.accounts.actions.ssh_keys import read_public_key
from greenroom.basics.errors import UserError
from greenroom.basics.text import printable
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import version_files
from greenroom.checks.builtin import results
from greenroom.checks.inside import outputs
from greenroom.git import rules as git
from greenroom.sources.rules import reports
from greenroom_cli import output

SEQUENCES = {
    "a cleared screen": "\x1b[2J",
    "a moved cursor": "\x1b[1;2H",
    "a private mode": "\x1b[?25l",
    "a colour with eight bits": "\x9b31m",
    "a title": "\x1b]0;title\x07",
    "a title with another end": "\x1b]0;title\x1b\\",
    "a title with one character for its end": "\x9d0;title\x9c",
    "a device's string": "\x1bPq#0\x1b\\",
    "a character set": "\x1b(0",
    "a full reset": "\x1bc",
    "NUL": "\0",
    "backspace": "\b",
    "delete": "\x7f",
    "a right-to-left override": "\u202e",
    "an isolate": "\u2066",
    "a right-to-left mark": "\u200f",
    "an Arabic letter mark": "\u061c",
    "a lone surrogate": "\ud800",
}
BREAKS = ("\n", "\r\n", "\t", "\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029")
COLOUR = "\x1b[1;31mred\x1b[0m"


@pytest.mark.parametrize("bad", SEQUENCES.values(), ids=SEQUENCES)
def test_no_sequence_or_control_character_is_shown(bad):
    assert printable(f"<{bad}>", instead="?") == "<?>"
    assert printable(f"<{bad}>", colours=True) == "<>"
    assert printable(f"<{bad}>", one_line=True) == "<>"


@pytest.mark.parametrize("bad", SEQUENCES.values(), ids=SEQUENCES)
def test_every_room_and_the_command_clean_the_same(bad):
    text = f"<{bad}>"
    assert results.scrub({text: [text]}) == {"<>": ["<>"]}
    assert git.printable(text) == "<?>"
    assert reports.short(text) == "<>"
    assert output.clean(text) == output.clean(text, keep_colours=True) == "<>"
    with pytest.raises(BuildError, match=r"<[\ufffd\u2400]+>"):
        version_files.requested({"runtime.txt": text.encode("utf-8", "surrogatepass")}, [], cached=None)
    with pytest.raises(UserError, match="one line"):
        read_public_key(f"ssh-ed25519 AAAA {text}")


@pytest.mark.parametrize("end", BREAKS)
def test_a_line_stays_one_line(end):
    assert printable(f"a{end}b", one_line=True) == "a b"
    assert git.printable(f"a{end}b") == "a b"
    assert reports.short(f"a{end}b") == "a b"
    assert len(printable(f"a{end}b").splitlines()) == (2 if end in ("\n", "\r\n") else 1)


def test_colours_stay_when_asked_for():
    assert printable(COLOUR, colours=True) == output.clean(COLOUR, keep_colours=True) == COLOUR
    assert printable(COLOUR) == output.clean(COLOUR) == "red"


@pytest.mark.parametrize(("one_line", "shown"), [(False, "a0;never ended\nb"), (True, "a0;never ended b")])
def test_an_unfinished_title_hides_no_text(one_line, shown):
    assert printable("a\x1b]0;never ended\nb", one_line=one_line) == shown


@pytest.mark.parametrize("cut", ["\x1b", "\x1b[", "\x1b[1;", "\x9b3", "\x1bP"])
def test_a_sequence_that_is_cut_off_goes_as_well(cut):
    assert printable(f"shown{cut}") == "shown"


def test_badly_decoded_quotation_marks_hide_no_text():
    assert printable("a \xe2\x80\x9cbonus\xe2\x80\x9d of 4711") == "a \xe2bonus\xe2 of 4711"


def test_a_limit_counts_what_is_shown():
    assert printable("\x1b[2J" + "x" * 50, 10) == "x" * 10


@given(st.text(st.characters() | st.sampled_from("\x1b[]\x07\x9b\x9d\x9c\u2028\u202e0;m\n")))
def test_whatever_comes_the_result_is_clean(text):
    shown = printable(text, one_line=True)
    assert printable(shown, one_line=True) == shown
    assert "\x1b" not in shown
    assert len(shown.splitlines()) <= 1
    shown.encode()


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x1b[1;2H", "\x1b[?25l", "\x1b[31m", "\x1b[0m"])
def test_the_reader_of_test_output_drops_the_same_terminal_sequences(bad):
    """``checks/inside`` uses only the standard library, so it has its own expression for the output of test runners."""
    text = f"Ran 3 tests{bad} in 0.1s"
    assert outputs.ANSI.sub("", text) == printable(text)
