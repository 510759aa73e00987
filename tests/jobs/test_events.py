"""Webhooks of the kind ``jobs`` get each run's outcome, without its output."""

from __future__ import annotations

import json

import pytest

from greenroom.apps.actions import change_settings
from greenroom.engine.memory import Outcome
from greenroom.webhooks.actions import events
from greenroom.webhooks.models import Event

pytestmark = pytest.mark.django_db


@pytest.fixture
def told(jobs):
    """The payloads of the events so far."""
    jobs.app.webhooks.create(url="https://example.com/hook", include=["jobs"], level="notify", secret=b"x")

    def look() -> list[dict]:
        events.look_at(app=jobs.app)
        return [row.payload for row in Event.objects.order_by("created_at")]

    return look


def test_a_failed_run_is_an_event_with_its_exit_code(jobs, told):
    jobs.outcome = Outcome(exit_code=3, output=b"password=hunter2\n")
    jobs.add(schedule="* * * * *", time_zone="Europe/Berlin")
    assert told() == []
    jobs.go(minutes=1)
    (payload,) = told()
    assert payload["resource"] == "jobs"
    data = payload["data"]
    assert (data["state"], data["exit_status"], data["detail"]) == ("failed", 3, "exited with status 3")
    assert (data["job"]["name"], data["job"]["time_zone"], data["number"]) == ("nightly", "Europe/Berlin", 1)
    assert "hunter2" not in json.dumps(payload)
    assert told() == [payload], "once"


def test_missed_moments_in_a_row_are_one_event(jobs, told):
    jobs.add()
    change_settings(actor=jobs.alice, app=jobs.app, maintenance=True)
    for _ in range(3):
        jobs.go(minutes=1)
        told()
    (payload,) = told()
    assert (payload["data"]["state"], payload["data"]["detail"]) == ("missed", "the app was in maintenance mode")
