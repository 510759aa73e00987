"""The check of named commands finds commands that do not exist."""

from __future__ import annotations

import pytest

from tests.cli.named_commands import trouble


@pytest.mark.parametrize(
    ("program", "command", "options", "found"),
    [
        ("greenroom", "up", ("--detach",), ""),
        ("greenroom", "up", ("--help",), ""),
        ("greenroom", "up", ("--sideways",), "greenroom up has no --sideways"),
        ("greenroom", "sideways", (), "greenroom has no sideways"),
        ("heroku", "pg:info", ("--any",), ""),
        ("heroku", "pg:sideways", (), "the Heroku CLI has no pg:sideways"),
    ],
)
def test_what_is_wrong_is_named(program, command, options, found):
    assert trouble(program, command, options) == found
