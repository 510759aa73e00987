"""Tests of the migration commands' output, and of the confirmation after a red rehearsal."""

from __future__ import annotations

import io
import sys

import click
import pytest

from greenroom_cli import run
from greenroom_cli.errors import ApiError, CliError
from greenroom_cli.main import cli
from tests.cli.rows import APP, T0

LINE = (
    "payroll.0004_x builds an index on payroll_payslipline while writes to it are blocked; 200,000 rows of"
    " payroll_payslipline: blocks writes 1.2 s in the rehearsal"
)
STATE = {
    "release": {"version": 12},
    "status": "ok",
    "pending": ["payroll.0004_x"],
    "missing": ["payroll.0009_other"],
    "framework": "django",
    "held": False,
    "conflicts": {"shop": ["0002_a", "0002_b"]},
    "unmade": ["shop: Add field price to item"],
    "lacking": [],
    "command": "python manage.py migrate",
    "warnings": [{"line": LINE, "recipe": "Use AddIndexConcurrently."}],
    "detail": "",
    "probed_at": T0,
    "runs": [],
    "rehearsal": None,
}


def test_all_four_kinds_are_shown_and_what_the_pending_ones_do_to_the_data(at_server, greenroom):
    at_server.on("GET", "A/migrations", STATE)
    said = greenroom("migrations", "-a", APP).stdout
    for words in (
        "payroll.0004_x",
        "payroll.0009_other (applied, but not in this code: applied from another branch",
        "0002_a and 0002_b",
        "Add field price",
        LINE,
        "safe: Use AddIndexConcurrently.",
    ):
        assert words in said


def test_an_app_without_migrations_is_told_so_and_nothing_is_run(at_server, greenroom):
    at_server.on(
        "GET",
        "A/migrations",
        {**STATE, "status": "none", "pending": [], "detail": "Its code has neither Django's migrations nor Alembic's."},
    )
    assert "neither Django's migrations nor Alembic's" in greenroom("migrations", "-a", APP).stdout
    result = greenroom("migrations:run", "-a", APP)
    assert result.exit_code == 1
    assert "neither Django's migrations nor Alembic's" in result.stderr
    assert at_server.asked("POST") == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--detach", "echo"), "No such option '--detach'. (Did you mean --detached?)"),
        (("--", "-x"), "No such option '-x'."),
    ],
)
def test_a_misspelled_option_of_run_is_no_command(at_server, greenroom, words, said):
    result = greenroom("run", "-a", APP, *words)
    assert (result.exit_code, said.split(" (")[0] in result.stderr) == (2, True), result.stderr
    assert at_server.asked("POST") == []


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Place:
    """A server that refuses requests without ``force``."""

    app = APP

    def __init__(self) -> None:
        self.api, self.bodies = self, []

    def path(self, *words: str) -> str:
        return "/".join(words)

    def post(self, path: str, body: dict) -> dict:
        self.bodies.append(body)
        if not body.get("force"):
            raise ApiError("The rehearsal was red.", status=409, id="rehearsal_red")
        return {"name": "run.1"}


def test_a_red_rehearsal_is_overruled_by_the_apps_name_typed(monkeypatch):
    place = Place()
    monkeypatch.setattr(sys, "stdin", Terminal(APP + "\n"))
    assert run._start(place, {"command": "python manage.py migrate"}) == {"name": "run.1"}
    assert [body.get("force", False) for body in place.bodies] == [False, True]


def test_the_question_about_a_red_rehearsal_names_an_option_that_the_commands_have(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", Terminal("another-app\n"))
    with pytest.raises(CliError):
        run._start(Place(), {"command": "python manage.py migrate"})
    asked = capsys.readouterr().err
    assert "run the command again with --force, before its arguments." in asked
    assert "--confirm" not in asked
    for name in ("run", "migrations:run"):
        command = cli.get_command(click.Context(cli), name)
        assert "--force" in {option for parameter in command.params for option in parameter.opts}


def test_another_name_or_no_terminal_changes_nothing(monkeypatch):
    place = Place()
    monkeypatch.setattr(sys, "stdin", Terminal("another-app\n"))
    with pytest.raises(CliError, match="did not match"):
        run._start(place, {"command": "python manage.py migrate"})
    monkeypatch.setattr(sys, "stdin", io.StringIO(APP))
    with pytest.raises(ApiError, match="was red"):
        run._start(place, {"command": "python manage.py migrate"})
    assert not any(body.get("force") for body in place.bodies)
