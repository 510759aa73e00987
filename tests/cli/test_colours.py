"""Colours are used only on terminals, and not if NO_COLOR is set."""

from __future__ import annotations

import os
import pty
import subprocess

import pytest

from greenroom_cli.output import clean
from tests.cli.conftest import PROGRAM
from tests.cli.rows import APP


def on_a_terminal(*words: str, **env: str) -> str:
    """The command's output on a terminal."""
    ours, theirs = pty.openpty()
    child = subprocess.Popen(
        [str(PROGRAM), *words], stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm", **env}
    )
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 4096)
        except OSError:  # the other end is closed
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert child.wait(timeout=30) == 0, said
    return said.decode()


@pytest.mark.parametrize("bad", ["\x1b[2J", "\x1b]0;title\x07", "\u202e", "\u2028", "\u2066", "\ud800", "\x9b1A"])
def test_text_of_others_cannot_steer_the_terminal(bad):
    assert clean(f"before{bad}after").replace("1A", "") == "beforeafter"


@pytest.mark.parametrize("words", [("releases", "-a", APP), ("ps", "-a", APP), ("config", "-a", APP)])
def test_colours_are_for_terminals_and_not_with_no_color(at_server, program, words):
    assert "\x1b[" in on_a_terminal(*words)
    assert "\x1b[" not in on_a_terminal(*words, NO_COLOR="1")
    assert "\x1b[" not in on_a_terminal(*words, TERM="dumb")
    assert "\x1b[" not in program(*words).stdout
