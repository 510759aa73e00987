"""Jobs as users and releases change them: added, removed, paused, declared in greenroom.toml."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.deliveries.actions import rollbacks
from greenroom.jobs import actions, queries
from greenroom.jobs.models import Job

pytestmark = pytest.mark.django_db


def declared(schedule: str = "0 3 * * *", **given: object) -> dict:
    return {
        "schedule": schedule,
        "time_zone": "UTC",
        "command": "python manage.py clearsessions",
        "overlap": "skip",
        "catch_up": False,
        "minutes": None,
        "size": "standard-1x",
        **given,
    }


def names(app) -> list[str]:
    return [job.name for job in queries.of_app(app)]


def test_an_added_job_has_its_next_moment_and_an_audit_entry(jobs):
    job = jobs.add(schedule="daily at 03:00", time_zone="Europe/Berlin")
    assert job.next_at > clock.now()
    entry = AuditEntry.objects.get(action="job.add")
    assert entry.detail["job"] == "nightly"
    assert entry.actor == "alice@example.com"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"schedule": "sometimes"}, "schedule: 'sometimes' is not a schedule; allowed are"),
        ({"command": "python manage.py migrate"}, "only a user's command may do"),
        ({"time_zone": "Berlin"}, "time_zone: 'Berlin' is not a time zone"),
        ({"name": "Night"}, "The name of a job has 1 to 40"),
    ],
)
def test_an_invalid_job_is_refused_with_the_allowed_values(jobs, given, said):
    with pytest.raises(UserError, match=said) as caught:
        jobs.add(**given)
    migrate = "greenroom run -a shop -- python manage.py migrate"
    assert caught.value.hint == (migrate if "command" in given else "greenroom help jobs:add")
    assert not Job.objects.exists()


def test_a_name_is_taken_once(jobs):
    jobs.add()
    with pytest.raises(ConflictError) as caught:
        jobs.add()
    assert caught.value.hint == "greenroom jobs:remove nightly -a shop"


def test_an_app_has_at_most_fifty_jobs(jobs, monkeypatch):
    monkeypatch.setattr("greenroom.buildpacks.rules.job_settings.MOST", 1)
    jobs.add()
    with pytest.raises(ConflictError, match="1 jobs, the maximum"):
        jobs.add("second")


def test_a_removed_job_can_be_added_again(jobs):
    first = jobs.add()
    actions.remove(actor=jobs.alice, app=jobs.app, name="nightly")
    assert names(jobs.app) == []
    assert queries.next_moment() is None
    again = jobs.add(schedule="@hourly")
    assert again.pk == first.pk, "its runs remain"
    assert again.ended_at is None
    with pytest.raises(NotFoundError):
        actions.remove(actor=jobs.alice, app=jobs.app, name="other")


def test_a_pause_lasts_until_it_is_ended(jobs):
    jobs.add()
    for _ in range(2):
        job = actions.pause(actor=jobs.alice, app=jobs.app, name="nightly")
        assert (job.next_at, job.paused_by) == (None, "alice@example.com")
    jobs.go(minutes=5)
    assert jobs.runs() == []
    for _ in range(2):
        job = actions.resume(actor=jobs.alice, app=jobs.app, name="nightly")
        assert job.next_at > clock.now()
    jobs.go(minutes=1)
    assert jobs.runs() == [("succeeded", "")], "the moments in the pause are not caught up"
    assert AuditEntry.objects.filter(action__in=("job.pause", "job.resume")).count() == 2


def test_a_push_brings_its_jobs_and_takes_them_away_and_a_rollback_brings_them_back(jobs):
    world = jobs.world
    first = world.live(settings={"jobs": {"nightly": declared()}})
    assert names(jobs.app) == ["nightly"]
    assert "The job nightly: 0 3 * * * (UTC)" in world.said(first)
    second = world.live(settings={"jobs": {"weekly": declared("@weekly")}})
    assert names(jobs.app) == ["weekly"]
    assert "The job nightly has ended: greenroom.toml no longer declares it" in world.said(second)
    release, _ = rollbacks.roll_back(actor=jobs.alice, app=jobs.app, home=jobs.home)
    world.run(world.delivery_of(release))
    assert names(jobs.app) == ["nightly"]


def test_a_release_that_does_not_go_live_changes_no_job(jobs):
    jobs.world.live(settings={"jobs": {"nightly": declared()}})
    jobs.world.failed(settings={"jobs": {}})
    assert names(jobs.app) == ["nightly"]


def test_a_release_keeps_a_pause_and_the_next_moment_of_an_unchanged_job(jobs):
    jobs.world.live(settings={"jobs": {"nightly": declared(), "hourly": declared("@hourly")}})
    before = {job.name: job.next_at for job in queries.of_app(jobs.app)}
    actions.pause(actor=jobs.alice, app=jobs.app, name="nightly")
    delivery = jobs.world.live(
        settings={"jobs": {"nightly": declared("0 4 * * *"), "hourly": declared("@hourly", minutes=5)}}
    )
    nightly, hourly = queries.job(jobs.app, "nightly"), queries.job(jobs.app, "hourly")
    assert (nightly.schedule, nightly.next_at) == ("0 4 * * *", None)
    assert (hourly.minutes, hourly.next_at) == (5, before["hourly"])
    assert "The job nightly has changed: 0 4 * * * (UTC)" in jobs.world.said(delivery)
    assert jobs.world.said(jobs.world.live(settings={})).count("has ended") == 2


def test_jobs_of_users_survive_a_push_unless_it_declares_the_same_name(jobs):
    jobs.add("mine")
    jobs.add("nightly")
    jobs.world.live(settings={"jobs": {"nightly": declared()}})
    assert names(jobs.app) == ["mine", "nightly"]
    assert queries.job(jobs.app, "nightly").origin == "file"
    with pytest.raises(ConflictError, match=r"remove \[jobs.nightly\] there and push") as caught:
        actions.remove(actor=jobs.alice, app=jobs.app, name="nightly")
    assert "greenroom jobs:pause nightly -a shop" in caught.value.hint
    with pytest.raises(ConflictError) as caught:
        jobs.add("nightly")
    assert caught.value.hint == "change it in greenroom.toml and push"


def test_a_job_whose_time_zone_this_machine_no_longer_knows_is_paused_with_the_reason(jobs):
    job = jobs.add()
    Job.objects.filter(pk=job.pk).update(time_zone="Europe/Atlantis")
    jobs.go(minutes=1)
    job.refresh_from_db()
    assert (job.paused_by, job.next_at) == ("greenroom", None)
    assert "The job nightly is paused: 'Europe/Atlantis' is not a time zone" in jobs.world.log()
