"""Hints that the script follows: text of a printed hint in, action out. Pure rules.

Only commands that are safe on a new app and a copy of a checkout are followed. An override of the gate is not: that is
a decision, not a remedy.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trying.changes import RANDOM

HINT = re.compile(r"^(?:remote:)?\s*!\s+hint: (?P<text>.+?)\s*$")
VAR = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")
PLACEHOLDER = re.compile(r"\.\.\.|[<>$*]|^$")
OR = re.compile(r"[;,]?\s+or:?\s+")
END = re.compile(r"\s*(?:&&|;|, and |, then:? )\s*|\s+\(")


@dataclass(frozen=True)
class Action:
    """kind: ``config``, ``addon``, ``buildpack``, ``git`` or ``write``; words: its arguments; text: the hint."""

    kind: str
    words: tuple[str, ...]
    text: str


def printed(output: str) -> list[str]:
    """The hints in the output of a push, in their order, each once."""
    found = (HINT.match(line) for line in output.splitlines())
    return list(dict.fromkeys(match["text"] for match in found if match))


def _config(words: Sequence[str]) -> list[tuple[str, ...]]:
    pairs = [word.partition("=") for word in words if "=" in word and not word.startswith("-")]
    if not pairs or not all(VAR.match(name) for name, _, _ in pairs):
        return []
    return [tuple(f"{name}={RANDOM if PLACEHOLDER.search(value) else value}" for name, _, value in pairs)]


def _one_name(words: Sequence[str]) -> list[tuple[str, ...]]:
    first = words[0] if words else "-"
    return [] if first.startswith("-") or PLACEHOLDER.search(first) else [(first,)]


def _git(words: Sequence[str]) -> list[tuple[str, ...]]:
    safe = words[:1] and words[0] in ("rm", "mv", "add") and not any(PLACEHOLDER.search(word) for word in words)
    return [tuple(words)] if safe else []


def _pin(words: Sequence[str]) -> list[tuple[str, ...]]:
    return [(".python-version", words[2])] if list(words[:2]) == ["python", "pin"] and len(words) > 2 else []


def _echo(words: Sequence[str]) -> list[tuple[str, ...]]:
    if len(words) != 3 or words[1] not in (">", ">>") or words[2].startswith(("/", "..", ".git/")):
        return []
    return [(words[2], words[0], words[1])]


def _buildpack(words: Sequence[str]) -> list[tuple[str, ...]]:
    index = ""
    if list(words[:1]) == ["--index"] and len(words) > 2 and words[1].isdecimal():
        index, words = words[1], words[2:]
    return [(*row, *([index] if index else [])) for row in _one_name(words)]


RULES: list[tuple[tuple[str, ...], str, Callable[[Sequence[str]], list[tuple[str, ...]]]]] = [
    (("greenroom", "config:set"), "config", _config),
    (("heroku", "config:set"), "config", _config),
    (("heroku", "addons:create"), "addon", _one_name),
    (("heroku", "buildpacks:add"), "buildpack", _buildpack),
    (("greenroom", "buildpacks:add"), "buildpack", _buildpack),
    (("git",), "git", _git),
    (("uv",), "write", _pin),
    (("echo",), "write", _echo),
]
"""Start of a command, kind of its action, and the function that reads the other words of the command."""


def actions(hint: str) -> list[Action]:
    """The actions of a hint: of the first alternative that begins with a safe command. A sequence ends at the first
    part that is no safe command.
    """
    for alternative in OR.split(hint):
        found = [Action(kind, words, hint) for kind, words in _sequence(alternative)]
        if found:
            return found
    return []


def _sequence(text: str) -> list[tuple[str, tuple[str, ...]]]:
    found: list[tuple[str, tuple[str, ...]]] = []
    for part in END.split(text):
        try:
            words = shlex.split(part)
        except ValueError:
            break
        rules = [rule for rule in RULES if tuple(words[: len(rule[0])]) == rule[0]]
        taken = [(kind, row) for start, kind, read in rules for row in read(words[len(start) :])]
        if not taken:
            break
        found += taken
    return found


def choose(hints: Sequence[str]) -> list[Action]:
    """The actions to carry out: those of all hints that can be followed, each once."""
    found = {(action.kind, action.words): action for hint in hints for action in actions(hint)}
    return list(found.values())
