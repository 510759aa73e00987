"""Checks that a command named in a text exists: in ``greenroom`` of this checkout, or in the pinned Heroku CLI."""

from __future__ import annotations

import json
from collections.abc import Collection

import click

from greenroom_cli.main import cli
from tests.stories.heroku import ROOT

HEROKU = json.loads((ROOT / "tests/contracts/heroku_cli/commands.json").read_text())["commands"]
HEROKU_KNOWS = {*HEROKU, *(alias for aliases in HEROKU.values() for alias in aliases)}


def trouble(program: str, command: str, options: Collection[str]) -> str:
    """The error in a command of ``greenroom`` or ``heroku``; empty if it exists with its options. Options of heroku are
    not checked.
    """
    if program == "heroku":
        return "" if command in HEROKU_KNOWS else f"the Heroku CLI has no {command}"
    found = cli.get_command(click.Context(cli), command)
    if found is None:
        return f"greenroom has no {command}"
    there = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = sorted(set(options) - there - {"--help"})
    return f"greenroom {command} has no {', '.join(unknown)}" if unknown else ""
