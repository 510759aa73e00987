"""A config change releases the newest code that passed the gate, and does not undo a user's decisions."""

from __future__ import annotations

import pytest

from greenroom.checks.models import CheckRun
from greenroom.deliveries import actions
from greenroom.deliveries.actions import held, rollbacks
from greenroom.deliveries.actions.retries import retry
from greenroom.deliveries.queries import newest_green
from greenroom.dynos.models import Rollout
from greenroom.releases.models import Release

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("serves_before", [False, True])
def test_a_refused_release_goes_live_when_the_missing_variable_is_set(world, serves_before):
    if serves_before:
        world.live()
    push = world.refused()
    made = world.set(FOO="1")
    assert made.slug.commit == push.sha
    assert f"releases {push.sha[:8]} of v{made.version - 1} (refused)" in made.description
    again = world.run(push)
    assert (again.state, again.release_id, world.serving()) == ("live", made.id, push.sha)
    assert Release.objects.get(version=made.version - 1, app=world.app).status == "refused", (
        "a release is never changed"
    )


@pytest.mark.parametrize("serves_before", [False, True])
def test_a_release_that_failed_at_boot_goes_live_with_the_variable_that_it_lacked(world, serves_before):
    if serves_before:
        world.live()
    push = world.failed()
    made = world.set(FOO="1")
    assert made.slug.commit == push.sha
    assert (world.run(push).state, world.serving()) == ("live", push.sha)


def test_a_config_change_that_fails_again_leaves_what_serves_and_can_be_set_right(world):
    first, second = world.live(), world.failed()
    world.set(FOO="wrong")
    assert world.run(second, dies="exited with status 2").state == "failed"
    assert world.serving() == first.sha
    world.set(FOO="right")
    assert world.run(second).state == "live"


def test_a_rollback_is_not_undone_by_a_config_change(world):
    first, second = world.live(), world.live()
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    world.run(world.delivery_of(row))
    made = world.set(FOO="1")
    assert made.slug.commit == first.sha != second.sha
    world.run(world.delivery_of(made), dies="exited with status 1")
    assert world.set(FOO="2").slug.commit == first.sha, "not even after one of its config changes failed"


def test_a_rollback_that_never_took_effect_decides_nothing(world):
    world.live()
    second = world.live()
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    assert world.run(world.delivery_of(row), dies="exited with status 1").state == "failed"
    assert world.set(FOO="1").slug.commit == second.sha


def test_somebody_may_stay_with_what_serves_although_newer_code_failed(world):
    first, second = world.live(), world.failed()
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home, version=first.release.version)
    world.run(world.delivery_of(row))
    assert world.set(FOO="1").slug.commit == first.sha != second.sha


def test_a_pause_keeps_code_that_never_served_from_coming_by_a_config_change(world):
    first = world.live()
    world.failed()
    world.app.deploy_paused = "quarter's end"
    world.app.save()
    assert world.set(FOO="1").slug.commit == first.sha


def test_code_whose_verdict_is_not_green_any_more_does_not_come_by_a_config_change(world):
    first, second = world.live(), world.failed()
    CheckRun.objects.filter(sha=second.sha, name="tests").update(conclusion="failure")
    assert world.set(FOO="1").slug.commit == first.sha


def hold(world, row):
    world.run(row, until="rolling_out")
    Rollout.objects.filter(release=world.read(row).release).update(state="held")
    return actions.advance(delivery=world.read(row), state="held", home=world.home)


def drop(world, row):
    hold(world, row)
    return held.drop(actor=world.alice, app=world.app, home=world.home)


def test_a_dropped_release_does_not_come_back(world):
    first, second = world.live(), world.push()
    drop(world, second)
    assert world.set(FOO="1").slug.commit == first.sha


def test_dropped_code_does_not_come_back_by_an_earlier_release_of_it_that_was_refused(world):
    first, second = world.live(), world.refused()
    world.set(FOO="1")
    drop(world, second)
    assert world.set(BAR="1").slug.commit == first.sha


def test_dropped_code_does_not_come_back_by_the_release_that_failed_before_its_retry(world):
    first, second = world.live(), world.failed()
    retry(actor=world.alice, delivery=world.read(second), home=world.home)
    drop(world, second)
    assert world.set(BAR="1").slug.commit == first.sha


def test_code_that_gave_way_may_still_come_by_an_earlier_release_of_it(world):
    world.live()
    second = world.refused()
    world.set(FOO="1")
    third = world.push()
    hold(world, second)
    world.run(third, dies="exited with status 1")
    assert Release.objects.filter(app=world.app, status="expired", slug__commit=second.sha).exists()
    CheckRun.objects.filter(sha=third.sha, name="tests").update(conclusion="failure")
    assert world.set(BAR="1").slug.commit == second.sha


def test_a_commit_that_never_passed_the_gate_does_not_come_by_a_config_change(world):
    first, second = world.live(), world.push(colour="red")
    assert world.run(second).state == "refused"
    assert world.set(FOO="1").slug.commit == first.sha


def test_an_older_commit_does_not_overtake_one_that_went_live_by_a_config_change(world):
    older = world.push(colour="red")
    world.run(older)
    newer = world.refused()
    world.set(FOO="1")
    assert world.run(newer).state == "live"
    with pytest.raises(Exception, match="A newer commit"):
        actions.reopen(app=world.app, sha=older.sha, home=world.home)


def test_the_usual_change_says_nothing_of_other_code(world):
    world.live()
    made = world.set(FOO="1")
    assert made.description == "Set FOO config vars"
    assert newest_green.unserved(made) is None


def test_changes_of_config_rollback_and_scale_are_in_the_apps_log_in_herokus_words(
    world, django_capture_on_commit_callbacks
):
    from greenroom.dynos.actions import scale

    world.live()
    world.live()
    with django_capture_on_commit_callbacks(execute=True):
        made = world.set(FOO="1")
        row, old = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
        scale(
            actor=world.alice,
            app=world.app,
            home=world.home,
            updates=[{"type": "web", "quantity": 2}],
            process_types={"web": "x"},
        )
    for line in (
        "app[api]: Set FOO config vars by user alice@example.com",
        f"app[api]: Release v{made.version} created by user alice@example.com",
        f"app[api]: Rollback to v{old.version} by user alice@example.com",
        f"app[api]: Release v{row.version} created by user alice@example.com",
        "app[api]: Scaled to web@2:Standard-1X by user alice@example.com",
    ):
        assert line in world.log()


def test_of_config_changes_that_queue_the_newest_wins_and_the_others_are_superseded(world):
    world.live()
    first, second, third = (world.set(FOO=text) for text in "123")
    rows = [world.delivery_of(made) for made in (first, second, third)]
    assert [world.next(row).name for row in rows] == ["SUPERSEDE", "SUPERSEDE", "WAIT"]
    states = [world.run(row).state for row in rows]
    assert states == ["superseded", "superseded", "live"]
    assert [Release.objects.get(pk=made.pk).status for made in (first, second, third)] == [
        "expired",
        "expired",
        "succeeded",
    ]


def test_a_config_change_that_has_begun_is_not_superseded(world):
    world.live()
    first = world.delivery_of(world.set(FOO="1"))
    world.run(first, until="rolling_out")
    second = world.delivery_of(world.set(FOO="2"))
    assert (world.next(first).name, world.next(second).name) == ("WATCH", "WAIT")


def test_a_rollback_or_a_push_that_queues_is_not_superseded_by_a_config_change(world):
    world.live()
    world.live()
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    world.set(FOO="1")
    assert world.next(world.delivery_of(row)).name == "ROLL_OUT"
