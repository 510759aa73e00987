"""A job of greenroom.toml runs in a one-off dyno of the live release, once, also if the worker is killed meanwhile."""

from __future__ import annotations

import os
import signal

import pytest

from tests.stories.test_host import small_team

TOML = """
[jobs.report]
schedule = "@yearly"
time_zone = "Europe/Berlin"
command = "echo report of $DYNO; sleep 2; test -n \\"$DATABASE_URL\\" && echo done"
"""


@pytest.fixture
def team(installation, tmp_path):
    team = small_team(installation, tmp_path, "s-jobs")
    yield team
    team.destroy()


def test_a_job_runs_once_and_its_log_and_result_are_kept(team):
    team.write("greenroom.toml", TOML)
    team.commit("first")
    output = team.push()
    assert team.delivery()["state"] == "live", output
    assert "The job report: @yearly (Europe/Berlin)" in output
    (job,) = team.read("jobs")
    assert (job["name"], job["origin"], job["state"]) == ("report", "file", "scheduled")
    run = team.read("jobs:run", "report")
    os.kill(team.place.pids()["worker"], signal.SIGKILL)
    run = team.wait_for(lambda: team.read("jobs:log", str(run["number"])), lambda row: row["finished_at"])
    assert (run["state"], run["exit_code"]) == ("succeeded", 0), run
    log = team.greenroom("jobs:log", str(run["number"])).stdout
    assert log.count(f"report of {run['dyno']}") == 1
    assert log.count("app[" + run["dyno"] + "]: done") == 1
    assert run["last_lines"].splitlines() == [f"report of {run['dyno']}", "done"]
