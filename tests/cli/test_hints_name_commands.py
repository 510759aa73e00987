"""Each command that a hint names exists, with the options that it names; ``greenroom`` as it is here, the Heroku CLI as
pinned.

Whether it helps is walked in ``tests/deliveries/test_hints.py`` and by the stories; this holds for all hints of all
rooms.
"""

from __future__ import annotations

import json
import re

import click
import pytest

from greenroom_cli.main import cli
from tests.deliveries.hints import SRC, of_file
from tests.stories.heroku import ROOT

NAMED = re.compile(r"\b(greenroom|heroku) ([a-z]+(?::[a-z-]+)*)([^;(`]*)")
OPTION = re.compile(r"(?<=\s)(--[a-z][a-z-]+|-[a-z])\b")
HEROKU = json.loads((ROOT / "tests/contracts/heroku_cli/commands.json").read_text())["commands"]
HEROKU_KNOWS = {*HEROKU, *(alias for aliases in HEROKU.values() for alias in aliases)}


def named() -> list[tuple[str, str, str, tuple[str, ...]]]:
    """(file, program, command, options) of each command in a hint."""
    found = []
    for path in sorted(SRC.rglob("*.py")):
        for hint in sorted(of_file(path)):
            for program, command, rest in NAMED.findall(hint):
                words = re.split(r",? (?:or|and|then|with): | -- ", rest)[0]
                found.append((str(path.relative_to(SRC)), program, command, tuple(OPTION.findall(words))))
    return found


def known(command: str) -> click.Command | None:
    context = click.Context(cli)
    return cli.get_command(context, command)


@pytest.mark.parametrize(("file", "program", "command", "options"), named())
def test_a_named_command_exists_with_its_options(file, program, command, options):
    if program == "heroku":
        assert command in HEROKU_KNOWS, f"{file}: the Heroku CLI has no {command}"
        return
    found = known(command)
    assert found is not None, f"{file}: greenroom has no {command}"
    there = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    assert set(options) <= there, f"{file}: greenroom {command} has no {set(options) - there}"


def test_there_are_many():
    assert len(named()) > 200
