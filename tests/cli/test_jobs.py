"""Commands of jobs, with the fake Greenroom."""

from __future__ import annotations

from tests.cli.fake import Reply
from tests.cli.rows import APP, job, job_run

ADD = ("jobs:add", "nightly", "--schedule", "0 3 * * *", "--time-zone", "Europe/Berlin", "-a", APP)


def test_jobs_are_listed_with_words_zone_next_and_last_run(at_server, greenroom):
    result = greenroom("jobs", "-a", APP)
    line = result.stdout.splitlines()[1]
    for text in ("nightly", "At 03:00 every day", "Europe/Berlin", "2026/11/23", "failed (3)"):
        assert text in line
    assert result.stderr == ""


def test_an_obstacle_is_named_once_with_its_remedy(at_server, greenroom):
    words = {"state": "blocked", "note": "no job is started: v6 is held for its migrations"}
    hint = f"greenroom migrations -a {APP}"
    at_server.on("GET", "A/jobs", [job(hint=hint, **words), job(name="weekly", hint=hint, **words)])
    result = greenroom("jobs", "-a", APP)
    assert result.stdout.count("blocked") == 2
    assert result.stderr.count("v6 is held for its migrations.") == 1
    assert hint in result.stderr


def test_without_jobs_the_hint_shows_how_to_add_one(at_server, greenroom):
    at_server.on("GET", "A/jobs", [])
    result = greenroom("jobs", "-a", APP)
    assert "has no jobs" in result.stderr
    assert f"greenroom jobs:add clearsessions --schedule '0 3 * * *' -a {APP} -- python manage.py" in result.stderr


def test_the_command_stands_behind_two_dashes_and_is_quoted(at_server, greenroom):
    result = greenroom(*ADD, "--catch-up", "--", "python", "manage.py", "report", "--to", "a b")
    assert result.exit_code == 0, result.stderr
    (request,) = at_server.asked("POST")
    assert request.body == {
        "name": "nightly",
        "schedule": "0 3 * * *",
        "time_zone": "Europe/Berlin",
        "overlap": "skip",
        "catch_up": True,
        "command": "python manage.py report --to 'a b'",
        "minutes": None,
        "size": None,
    }
    assert f"undo with: greenroom jobs:remove nightly -a {APP}" in result.stderr


def test_one_quoted_argument_is_a_shell_command_line(at_server, greenroom):
    greenroom(*ADD, "--", "python manage.py report | gzip > /tmp/x")
    assert at_server.asked("POST")[0].body["command"] == "python manage.py report | gzip > /tmp/x"


def test_a_job_needs_a_schedule_and_a_command(at_server, greenroom):
    assert greenroom("jobs:add", "nightly", "-a", APP, "--", "true").exit_code == 2
    assert greenroom(*ADD).exit_code == 2
    assert at_server.asked("POST") == []


def test_the_undo_of_a_removal_adds_the_same_job(at_server, greenroom):
    row = job(command="echo a; echo b", overlap="queue", catch_up=True, minutes=5, size="basic")
    at_server.on("DELETE", "A/jobs/[^/]+", row)
    result = greenroom("jobs:remove", "nightly", "-a", APP)
    assert (
        "greenroom jobs:add nightly --schedule '0 3 * * *' --time-zone Europe/Berlin --overlap queue --catch-up"
        f" --minutes 5 --size basic -a {APP} -- 'echo a; echo b'"
    ) in result.stderr


def test_a_log_is_that_of_the_runs_dyno(at_server, greenroom):
    result = greenroom("jobs:log", "17", "-a", APP)
    assert at_server.asked("POST", "log-sessions")[0].body["dyno"] == "scheduler.4821"
    assert "hello" in result.stdout
    assert "Run 17 of nightly: failed: exited with status 3." in result.stderr


def test_the_last_lines_are_shown_when_the_log_has_none(at_server, greenroom):
    at_server.on("GET", "/streams/.*", Reply(raw=b"", kind="text/plain"))
    assert greenroom("jobs:log", "17", "-a", APP).stdout == "bye\n"


def test_a_missed_run_has_no_log_and_says_why(at_server, greenroom):
    row = job_run(state="missed", detail="the app was in maintenance mode", dyno=None, exit_code=None)
    at_server.on("GET", r"A/job-runs/\d+", row)
    result = greenroom("jobs:log", "17", "-a", APP)
    assert "has no output: missed: the app was in maintenance mode" in result.stderr


def test_a_run_can_be_waited_for_and_its_failure_is_the_exit_code(at_server, greenroom):
    result = greenroom("jobs:run", "nightly", "--wait", "-a", APP)
    assert result.exit_code == 1
    assert "failed: exited with status 3" in result.stderr
    result = greenroom("jobs:run", "nightly", "-a", APP)
    assert result.exit_code == 0
    assert f"greenroom jobs:log 17 -a {APP}" in result.stderr


def test_several_missed_moments_are_one_line(at_server, greenroom):
    at_server.on("GET", "A/job-runs", [job_run(state="missed", count=30, dyno=None)])
    assert "missed (30 times)" in greenroom("jobs:runs", "nightly", "-a", APP).stdout
    assert at_server.asked("GET", "job-runs")[0].query["job"] == "nightly"


def test_jobs_that_run_are_listed_apart_from_the_formation(at_server, greenroom):
    from tests.cli.rows import dyno

    row = {**dyno("scheduler.4821"), "type": "scheduler", "command": "python manage.py clearsessions"}
    at_server.on("GET", "A/dynos", [row])
    assert "scheduler: processes of jobs (1)" in greenroom("ps", "-a", APP).stdout
