"""Each command that a hint names exists, with the options that it names; ``greenroom`` as it is here, the Heroku CLI as
pinned.

Whether it helps is walked in ``tests/deliveries/test_hints.py`` and by the stories; this holds for all hints of all
rooms.
"""

from __future__ import annotations

import re

from tests.cli.named_commands import trouble
from tests.deliveries.hints import SRC, of_file

NAMED = re.compile(r"\b(greenroom|heroku) ([a-z]+(?::[a-z-]+)*)([^;(`]*)")
OPTION = re.compile(r"(?<=\s)(--[a-z][a-z-]+|-[a-z])\b")


def named() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(file, program, command, options) of each command in a hint."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        for hint in sorted(of_file(path)):
            for program, command, rest in NAMED.findall(hint):
                words = re.split(r",? (?:or|and|then|with): | -- ", rest)[0]
                found.append((str(path.relative_to(SRC)), program, command, tuple(OPTION.findall(words))))
    return found


def test_each_named_command_exists_with_its_options():
    found = named()
    wrong = {(file, text) for file, *words in found if (text := trouble(*words))}
    assert not wrong
    assert len(found) > 200
