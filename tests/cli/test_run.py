"""``run`` after a permanent loss of the connection to the dyno: it reports the command's exit status and never
succeeds.
"""

from __future__ import annotations

import time

import pytest

from greenroom_cli import attach, run
from tests.cli.fake import Reply
from tests.cli.rows import APP, dyno


@pytest.mark.parametrize(("code", "ours"), [(0, 1), (7, 7)])
def test_output_that_did_not_come_whole_is_no_success(at_server, greenroom, monkeypatch, code, ours):
    def cut(*words, **more):
        raise attach.CutError("The end of its output may be missing.")

    monkeypatch.setattr(attach, "attach", cut)
    at_server.on(
        "GET", f"/apps/{APP}/dynos/id-run.1", Reply(dyno("run.1", state="complete", exit_code=code, exit_reason="exit"))
    )
    result = greenroom("run", "-a", APP, "make", "report")
    assert (result.exit_code, result.stdout) == (ours, "")
    assert "The end of its output may be missing." in result.stderr
    assert f"The command exited with status {code}, but its output is incomplete." in result.stderr
    assert f"hint: greenroom logs --dyno run.1 -a {APP}" in result.stderr


def test_a_command_that_failed_of_a_missing_feature_ends_with_the_remedy(at_server, greenroom, monkeypatch):
    monkeypatch.setattr(attach, "attach", lambda *_, **__: None)
    detail = "exited with status 1; hint: this PostgreSQL does not have the extension pgcrypto"
    ended = dyno("run.1", state="complete", exit_code=1, exit_reason="exit", detail=detail)
    at_server.on("GET", f"/apps/{APP}/dynos/id-run.1", Reply(ended))
    result = greenroom("run", "-a", APP, "python", "manage.py", "migrate")
    assert result.exit_code == 1
    assert result.stderr.rstrip().endswith("hint: this PostgreSQL does not have the extension pgcrypto")


@pytest.fixture
def slow_dyno(at_server, monkeypatch):
    """A dyno to which the client connects after some seconds."""

    def prepare(seconds):
        def attached(url, ca_file, *, connected, **_):
            time.sleep(seconds)
            connected()
            time.sleep(0.4)

        at_server.on("POST", "A/dynos", Reply(dyno("run.1", attach_url="rendezvous://localhost:1/x"), 201))
        at_server.on("GET", f"/apps/{APP}/dynos/id-run.1", Reply(dyno("run.1", state="complete", exit_code=0)))
        monkeypatch.setattr(attach, "attach", attached)
        monkeypatch.setattr(run, "STILL_SECONDS", 0.2)

    return prepare


@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("python manage.py migrate", True),
        ("alembic upgrade head", True),
        ("python manage.py showmigrations", False),
        ("make report", False),
    ],
)
def test_a_dyno_that_takes_its_time_is_waited_for_and_a_migrate_says_why(slow_dyno, greenroom, command, told):
    slow_dyno(1.0)
    result = greenroom("run", "-a", APP, "--", *command.split())
    assert result.exit_code == 0, result.stderr
    assert ("Waiting: before migrations run, Greenroom takes a snapshot of the database" in result.stderr) is told


def test_nothing_is_said_of_waiting_when_the_dyno_is_there_at_once(slow_dyno, greenroom):
    slow_dyno(0)
    assert "Waiting:" not in greenroom("run", "-a", APP, "--", "python", "manage.py", "migrate").stderr


def test_the_start_is_waited_for_longer_than_the_server_needs_at_most():
    from greenroom.addons.postgres.drivers.dumps import DEADLINE
    from greenroom.app_migrations.actions.planned_runs import COPY_TIME, START_TIME

    assert DEADLINE + (COPY_TIME + START_TIME).total_seconds() < attach.START_SECONDS
