"""A release that gets the traffic is watched for some seconds while the old one stays up; if it fails, the traffic goes
back.
"""

from __future__ import annotations

from concurrent.futures import Future
from datetime import timedelta

import pytest

from greenroom.basics import clock
from greenroom.deliveries.actions import rollbacks
from greenroom.deliveries.loop import Loop, health_requests, trial
from greenroom.deliveries.queries.time_limits import VERDICT, watch_seconds
from greenroom.deliveries.rules import Step
from greenroom.dynos import queries as dynos
from greenroom.dynos.loop import Loop as DynoLoop
from greenroom.dynos.models import Dyno, Rollout
from greenroom.releases.models import Release
from greenroom.router import queries as router
from greenroom.router.drivers.health_gate import Answer
from greenroom.router.models import Route

pytestmark = pytest.mark.django_db


@pytest.fixture
def watched(world, monkeypatch):
    """v-old is live, v-new has just got the traffic and is watched for 10 s."""
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", "10")
    old = world.live()
    new = world.push()
    world.run(new, until="rolling_out")
    world.dyno(world.read(new).release)
    assert world.take(new) is Step.SWITCH
    return world.read(old), world.read(new)


def stage(row):
    return Rollout.objects.get(release=row.release).state


def routed(world):
    (_, serving, route, goal), *_ = router.goals()
    assert tuple(route.sockets) == goal.sockets
    return serving.release.version


def die(row, **words):
    facts = {"state": "ended", "exit_reason": "exit", "exit_code": 3, "health_detail": "exited with status 3", **words}
    Dyno.objects.filter(release=row.release).update(**facts)


def pass_time(row, seconds):
    Rollout.objects.filter(release=row.release).update(switched_at=clock.now() - timedelta(seconds=seconds))


def test_the_traffic_moves_at_once_and_nobody_says_deployed_yet(world, watched):
    old, new = watched
    assert (stage(old), stage(new), routed(world)) == ("live", "watched", new.release.version)
    assert (world.read(new).state, Release.objects.get(pk=new.release_id).status) == ("rolling_out", "pending")
    assert (
        f"Released v{new.release.version}; watching it for 10 s before v{old.release.version} is ended"
        in world.said(new)
    )
    assert "deployed" not in world.said(new)


def test_one_that_stays_up_becomes_live_and_only_then_the_old_dynos_end(world, watched):
    old, new = watched
    assert world.next(new) is Step.WATCH
    pass_time(new, 11)
    assert world.take(new) is Step.SETTLE
    assert (stage(old), stage(new)) == ("retired", "live")
    assert world.run(new).state == "live"
    assert world.said(new).count("deployed to Greenroom") == 1


def test_one_that_dies_gives_the_traffic_back_and_the_push_the_list_and_the_log_tell(world, watched):
    old, new = watched
    die(new)
    assert world.take(new) is Step.GIVE_UP
    row = world.read(new)
    assert (row.state, row.release.status, stage(old), routed(world)) == (
        "failed",
        "failed",
        "live",
        old.release.version,
    )
    title = f"v{new.release.version} did not stay up, v{old.release.version} has the traffic again"
    assert title in world.said(new)
    assert "web.1 exited with status 3" in world.said(new)
    assert "never took traffic" not in world.said(new)
    assert f"Release v{new.release.version} failed: web.1 exited with status 3" in world.log()


def test_a_worker_that_is_killed_while_a_release_is_on_trial_loses_nothing(world, watched):
    old, new = watched
    Rollout.objects.filter(release=new.release).update(
        state="retired", failure="web.1 exited with status 3"
    )  # killed before the route moved
    assert world.take(new) is Step.GIVE_UP
    assert routed(world) == old.release.version
    assert f"v{old.release.version} has the traffic again" in world.said(new)


def test_a_worker_that_is_killed_between_row_and_route_routes_by_the_row(world, watched):
    _, new = watched
    Route.objects.update(sockets=[])
    (_, serving, _, goal), *_ = router.goals()
    assert (serving.release_id, len(goal.sockets)) == (new.release_id, 1)


def test_workers_start_when_the_trial_is_over_and_the_old_ones_go_on_until_then(world, watched):
    old, new = watched
    world.app.formation.create(type="worker", quantity=1)
    slugs = [row.release.slug for row in watched]
    for slug in slugs:
        slug.process_types = {"web": "serve", "worker": "work"}
        slug.save()
    DynoLoop(world.steps.engine, world.home)._steer(
        Rollout.objects.select_related("app", "release__slug").get(release=new.release)
    )
    assert not Dyno.objects.filter(release=new.release, type="worker").exists()
    assert [one.state for one in dynos.of_rollout(Rollout.objects.get(release=old.release))] == ["up"]


def test_the_next_release_waits_until_the_trial_is_over(world, watched):
    made = world.set(FOO="1")
    assert world.next(world.delivery_of(made)) is Step.WAIT


def test_a_rollback_pauses_deployment_when_its_trial_is_over(world, watched):
    _, new = watched
    pass_time(new, 11)
    world.run(new)
    row, _ = rollbacks.roll_back(actor=world.alice, app=world.app, home=world.home)
    delivery = world.delivery_of(row)
    world.run(delivery, until="rolling_out")
    world.dyno(row)
    world.take(delivery)
    world.app.refresh_from_db()
    assert (stage(world.read(delivery)), world.app.deploy_paused) == ("watched", "")
    pass_time(world.read(delivery), 11)
    world.run(delivery)
    world.app.refresh_from_db()
    assert world.app.deploy_paused.startswith("Rollback to")


def test_the_first_release_and_one_beside_a_crashed_one_are_not_watched(world, monkeypatch):
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", "10")
    first = world.live()
    assert stage(first) == "live"
    die(first)
    assert world.run(world.push()).state == "live"


def test_one_that_stops_answering_ends_and_one_bad_answer_is_not_enough(world, watched, monkeypatch):
    _, new = watched
    answers = [
        Answer(True, "200"),
        Answer(False, "answered 500"),
        Answer(True, "200"),
        *[Answer(False, "GET / answered 500")] * 3,
    ]
    monkeypatch.setattr(health_requests, "ask", lambda *_, **__: answers.pop(0))
    monkeypatch.setattr(trial, "EVERY", 0.0)
    it = trial.Trial(world.home)
    seen = []
    for _ in range(6):
        assert it.turn()
        next(future for _, future in it.questions.open.values()).result()
        seen.append(Dyno.objects.get(release=new.release).state)
        it.turn()
    assert seen == ["up"] * 6
    dyno = Dyno.objects.get(release=new.release)
    assert (dyno.state, dyno.health_detail) == ("stopping", "stopped answering: GET / answered 500")
    assert world.next(new) is Step.GIVE_UP


@pytest.mark.parametrize(
    ("settings", "variable", "seconds"),
    [
        ({}, "", 10),
        ({}, "3", 3),
        ({"policy": {"watch_seconds": 0}}, "3", 0),
        ({"policy": {"watch_seconds": 9999}}, "", 300),
        ({}, "-1", 0),
    ],
)
def test_how_long_a_release_is_watched_is_a_setting(monkeypatch, settings, variable, seconds):
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", variable)
    assert watch_seconds(settings) == seconds


@pytest.fixture
def loop(world, watched, settings, monkeypatch):
    """A worker's loop. Its health requests are collected in ``asked``; the test answers them."""
    it = Loop(world.steps.engine, world.home, settings.INSTALLATION)
    it.asked = []

    def submit(ask, socket, **words):
        it.asked.append((Future(), words))
        return it.asked[-1][0]

    monkeypatch.setattr(it.trial.questions.pool, "submit", submit)
    monkeypatch.setattr(it, "_routes", lambda: None)
    monkeypatch.setattr(trial, "EVERY", 0.0)
    return it


def reply(loop, healthy):
    loop.asked[-1][0].set_result(
        Answer(healthy, "GET / answered 200" if healthy else "GET / gave no answer: timed out")
    )


def test_a_good_release_is_live_as_soon_as_its_time_is_over(world, watched, loop):
    _, new = watched
    loop.turn()
    reply(loop, True)
    loop.turn()
    pass_time(new, 10)
    loop.turn()
    assert stage(new) == "watched", "a question is open"
    reply(loop, True)
    loop.turn()
    assert stage(new) == "live"


def test_a_release_that_hangs_is_not_live_when_its_time_is_over_and_its_verdict_is_waited_for(world, watched, loop):
    old, new = watched
    pass_time(new, 10)
    for _ in range(trial.BAD):
        loop.turn()
        assert stage(new) == "watched"
        reply(loop, False)
        loop.turn()
    assert (stage(new), stage(old), world.read(new).state) == ("retired", "live", "failed")
    assert not [words for _, words in loop.asked if "timeout" in words], (
        "a page that is slow enough for the gate is not too slow for the trial"
    )


def test_one_bad_answer_at_the_end_is_followed_by_another_question(world, watched, loop):
    _, new = watched
    pass_time(new, 10)
    for healthy in (False, True):
        assert stage(new) == "watched"
        loop.turn()
        reply(loop, healthy)
        loop.turn()
    assert stage(new) == "live"


def test_a_worker_that_was_started_anew_asks_before_it_ends_a_trial_and_does_not_wait_for_ever(world, watched, loop):
    _, new = watched
    pass_time(new, 11)
    loop.turn()
    assert (stage(new), len(loop.asked)) == ("watched", 1)
    pass_time(new, 10 + VERDICT)
    loop.turn()
    assert stage(new) == "live"


def test_an_app_whose_dynos_hang_leaves_hands_to_the_others(world, watched, loop):
    _, new = watched
    for number in (2, 3):
        Dyno.objects.create(
            app=world.app,
            release=new.release,
            kind="web",
            type="web",
            ordinal=number,
            command="serve",
            engine_id=f"x{number}",
            endpoint=f"run/sockets/x{number}",
            state="up",
            healthy=True,
        )
    loop.turn()
    loop.turn()
    assert len(loop.asked) == health_requests.PER_APP
    reply(loop, True)
    loop.turn()
    assert len(loop.asked) == health_requests.PER_APP + 1
