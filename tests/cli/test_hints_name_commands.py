"""Each command in a hint exists, with its options, in ``greenroom`` of this checkout or in the pinned Heroku CLI.

``tests/deliveries/test_hints.py`` and the stories test whether hints help; this module checks all hints of all rooms.
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
