"""The API of jobs and of their runs, and who may use it."""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.basics import clock
from greenroom.jobs.models import Job, JobRun
from tests.api.test_data import client_of, send
from tests.deliveries.conftest import world  # noqa: F401

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("all_views")]
NIGHTLY = {"name": "nightly", "schedule": "0 3 * * *", "command": "python manage.py clearsessions"}


@pytest.fixture
def app(world):
    world.live()
    return world.app


def test_a_job_is_added_read_paused_resumed_and_removed(alice, app):
    client = client_of(alice)
    answer = send(client, "POST", "/apps/shop/jobs", {**NIGHTLY, "time_zone": "Europe/Berlin", "minutes": 5})
    assert answer.status_code == 201, answer.content
    row = answer.json()
    assert (row["description"], row["time_zone"], row["minutes"]) == ("At 03:00 every day", "Europe/Berlin", 5)
    assert (row["state"], row["note"], row["last_run"]) == ("scheduled", "", None)
    assert [one["name"] for one in send(client, "GET", "/apps/shop/jobs").json()] == ["nightly"]
    paused = send(client, "POST", "/apps/shop/jobs/nightly/actions/pause", {}).json()
    assert (paused["state"], paused["next_at"]) == ("paused", None)
    assert paused["hint"] == "greenroom jobs:resume nightly -a shop"
    assert send(client, "POST", "/apps/shop/jobs/nightly/actions/resume", {}).json()["state"] == "scheduled"
    assert send(client, "DELETE", "/apps/shop/jobs/nightly").status_code == 200
    gone = send(client, "GET", "/apps/shop/jobs/nightly")
    assert (gone.status_code, gone.json()["message"]) == (
        404,
        "Couldn't find the job 'nightly'.\nhint: greenroom jobs -a shop",
    )


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schedule": "never"}, "schedule: 'never' is not a schedule; allowed are five cron fields"),
        ({"minutes": "5"}, "minutes: whole minutes from 1 to 1440"),
        ({"catch_up": "yes"}, "catch_up: true or false"),
        ({"overlap": 3}, "overlap: one of skip, queue, allow"),
        ({"command": "python manage.py migrate"}, "migrates the database"),
        ({"command": " "}, "command must be a string"),
    ],
)
def test_invalid_values_are_named(alice, app, change, said):
    answer = send(client_of(alice), "POST", "/apps/shop/jobs", {**NIGHTLY, **change})
    assert answer.status_code == 422
    assert said in answer.json()["message"]
    assert not Job.objects.exists()


def test_an_obstacle_is_part_of_each_job(alice, app):
    client = client_of(alice)
    send(client, "POST", "/apps/shop/jobs", NIGHTLY)
    send(client, "PATCH", "/apps/shop", {"maintenance": True})
    (row,) = send(client, "GET", "/apps/shop/jobs").json()
    assert (row["state"], row["hint"]) == ("blocked", "greenroom maintenance:off -a shop")
    assert row["note"] == "no job is started: shop is in maintenance mode"
    refused = send(client, "POST", "/apps/shop/jobs/nightly/actions/run", {})
    assert refused.status_code == 409
    assert "greenroom maintenance:off -a shop" in refused.json()["message"]


def test_runs_are_listed_newest_first_and_one_shows_the_end_of_its_output(alice, app):
    client = client_of(alice)
    for name in ("nightly", "weekly"):
        send(client, "POST", "/apps/shop/jobs", {**NIGHTLY, "name": name})
    now = clock.now()
    for number, job in enumerate(Job.objects.order_by("name"), 1):
        moment = now + timedelta(minutes=number)
        JobRun.objects.create(
            app=app,
            job=job,
            number=number,
            trigger="schedule",
            planned_at=moment,
            until=moment,
            state="failed",
            exit_code=1,
            last_lines="Boom",
            finished_at=moment,
        )
    rows = send(client, "GET", "/apps/shop/job-runs").json()
    assert [(row["number"], row["job"]["name"]) for row in rows] == [(2, "weekly"), (1, "nightly")]
    assert "last_lines" not in rows[0]
    assert [row["number"] for row in send(client, "GET", "/apps/shop/job-runs?job=nightly").json()] == [1]
    assert send(client, "GET", "/apps/shop/job-runs/1").json()["last_lines"] == "Boom"
    assert send(client, "GET", "/apps/shop/jobs/nightly").json()["last_run"]["number"] == 1
    for path in ("/apps/shop/job-runs/9", "/apps/shop/job-runs/x", "/apps/shop/job-runs?job=other"):
        assert send(client, "GET", path).status_code == 404


def test_a_viewer_reads_a_developer_changes_and_a_stranger_sees_nothing(bob, vera, charlie, app):
    assert send(client_of(vera), "POST", "/apps/shop/jobs", NIGHTLY).status_code == 403
    assert send(client_of(bob), "POST", "/apps/shop/jobs", NIGHTLY).status_code == 201
    assert send(client_of(vera), "GET", "/apps/shop/jobs/nightly").status_code == 200
    for action in ("run", "pause"):
        assert send(client_of(vera), "POST", f"/apps/shop/jobs/nightly/actions/{action}", {}).status_code == 403
    assert send(client_of(charlie), "GET", "/apps/shop/jobs").status_code == 404
    run = send(client_of(bob), "POST", "/apps/shop/jobs/nightly/actions/run", {})
    assert (run.status_code, run.json()["trigger"], run.json()["user"]["email"]) == (202, "user", "bob@example.com")


def test_the_addon_scheduler_is_refused_with_the_command_for_jobs(alice, app):
    answer = send(client_of(alice), "POST", "/apps/shop/addons", {"plan": "scheduler:standard"})
    assert answer.status_code == 404
    assert "greenroom jobs:add NAME --schedule @daily -a APP -- COMMAND" in answer.json()["message"]
