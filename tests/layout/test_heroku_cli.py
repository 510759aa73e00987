"""The page of the Heroku CLI lists every command, matches the tests, and is up to date."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "scripts"))
import heroku_cli
from heroku_cli_reasons import NOT, PARTLY


def test_the_page_is_up_to_date():
    assert heroku_cli.PAGE.read_text() == heroku_cli.page(), "run: python scripts/heroku_cli.py"


def test_every_reason_is_about_a_command():
    names = list(heroku_cli.commands())
    for key in (*NOT, *PARTLY):
        assert any(name == key or (key.endswith("*") and name.startswith(key[:-1])) for name in names), key


def test_the_list_is_of_the_pinned_cli():
    pinned = json.loads((heroku_cli.LIST.parent / "package.json").read_text())["dependencies"]["heroku"]
    assert json.loads(heroku_cli.LIST.read_text())["version"] == pinned
