"""Commands in messages are written for the client that reads them, as far as that client has them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from greenroom.basics.client_commands import GREENROOM, HEROKU, TO_HEROKU, in_words_of, of_agent, of_credentials
from greenroom_cli import catalogue

CLI = Path(__file__).parent.parent / "contracts" / "heroku_cli" / "commands.json"


def test_every_translated_command_is_one_that_both_clients_have():
    theirs = json.loads(CLI.read_text())["commands"]
    spellings = {*theirs, *(other for others in theirs.values() for other in others)}
    assert not set(TO_HEROKU.values()) - spellings
    assert not set(TO_HEROKU) - set(catalogue.COMMANDS)


@pytest.mark.parametrize(
    ("text", "heroku"),
    [
        ("hint: greenroom config:set KEY=... -a shop", "hint: heroku config:set KEY=... -a shop"),
        ("To undo: greenroom rollback v4 -a shop", "To undo: heroku releases:rollback v4 -a shop"),
        ("greenroom run -a shop python manage.py migrate", "heroku run -a shop python manage.py migrate"),
        ("remote:  git push greenroom HEAD:master", "remote:  git push heroku HEAD:master"),
        ("hint: git lfs push --all greenroom, then", "hint: git lfs push --all heroku, then"),
        ("git push -f greenroom main", "git push -f heroku main"),
        (
            "ask for `greenroom access:add e@x.de --role viewer -a shop`",
            "ask for `greenroom access:add e@x.de --role viewer -a shop`",
        ),
        ("greenroom checks abc -a shop", "greenroom checks abc -a shop"),
        ("greenroom up; greenroom ps -a shop", "greenroom up; heroku ps -a shop"),
        ("see greenroom.toml and greenroom.example.com", "see greenroom.toml and greenroom.example.com"),
    ],
)
def test_a_user_of_the_heroku_cli_reads_its_commands(text, heroku):
    assert in_words_of(HEROKU, text) == heroku
    assert in_words_of("", text) == text


LACKING = {
    "config:set": "no-wait timeout stdin",
    "config:unset": "no-wait timeout",
    "run": "detached force no-snapshot",
    "releases:retry": "no-wait timeout",
    "access:add": "role",
    "pipelines:destroy": "confirm",
    "pipelines:promote": "force no-wait timeout",
    "ci:config": "stage",
    "ci:config:get": "stage",
    "ci:config:set": "stage stdin",
    "ci:config:unset": "stage",
    "reviewapps:enable": "stale-days",
    "rollback": "confirm force no-wait timeout",
    "tokens:create": "days",
}
"""Options of commands that both clients have but that the pinned Heroku CLI lacks, according to its own list of flags.
"""


@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name, options in LACKING.items() for option in options.split()]
)
def test_a_command_with_an_option_that_the_heroku_cli_lacks_stays_as_it_is(name, option):
    text = f"hint: greenroom {name} x --{option} -a shop"
    assert in_words_of(HEROKU, text) == text


@pytest.mark.parametrize(
    ("text", "heroku"),
    [
        ("greenroom destroy -a shop --confirm shop", "heroku apps:destroy -a shop --confirm shop"),
        ("greenroom certs:remove -a shop --confirm shop", "heroku certs:remove -a shop --confirm shop"),
        ("greenroom logs --tail --dyno run.1 -a shop", "heroku logs --tail --dyno run.1 -a shop"),
    ],
)
def test_an_option_that_both_have_is_no_obstacle(text, heroku):
    assert in_words_of(HEROKU, text) == heroku


@pytest.mark.parametrize(
    ("text", "own"),
    [
        ("heroku apps:destroy -a shop removes one", "greenroom destroy -a shop removes one"),
        ("heroku addons:create heroku-postgresql -a shop", "heroku addons:create heroku-postgresql -a shop"),
        ("git push heroku HEAD:master", "git push greenroom HEAD:master"),
        ("heroku drains -a shop", "greenroom drains -a shop"),
    ],
)
def test_a_user_of_greenroom_reads_its_commands_where_it_has_them(text, own):
    assert in_words_of(GREENROOM, text) == own


def test_the_client_is_known_by_its_agent_or_by_the_name_that_its_credential_helper_gives():
    assert of_agent("heroku-cli/11.10.0 linux-x64") == HEROKU
    assert of_agent("greenroom") == GREENROOM
    assert of_agent("python-requests/2") == ""
    assert of_credentials("Basic " + base64.b64encode(b"heroku:grm_x").decode()) == HEROKU
    assert of_credentials("Basic " + base64.b64encode(b"greenroom:grm_x").decode()) == GREENROOM
    for header in ("", "Basic ???", "Bearer grm_x", "Basic " + base64.b64encode(b"me:x").decode()):
        assert of_credentials(header) == ""
