"""Tests of the processes to run next, from facts alone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.dynos.rules import (
    Facts,
    Seen,
    Start,
    Stop,
    engine_id,
    parse_quantity,
    pause_before_restart,
    progress,
    quantities,
    steps,
)

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def facts(stage="live", wanted=None, seen=(), restart_seq=0):
    return Facts(stage=stage, wanted=wanted or {"web": 1}, seen=seen, restart_seq=restart_seq, now=NOW)


def web(ordinal=1, state="up", **more):
    return Seen(
        key=f"web{ordinal}{more.get('generation', 0)}",
        type="web",
        ordinal=ordinal,
        state=state,
        healthy=state == "up",
        **more,
    )


def test_a_new_release_gets_its_web_dynos_before_its_workers():
    assert steps(facts("candidate", {"web": 2, "worker": 1})) == [Start("web", 1, 0), Start("web", 2, 0)]


def test_workers_start_when_the_release_is_live():
    seen = [web(1), web(2)]
    assert steps(facts("live", {"web": 2, "worker": 1}, seen)) == [Start("worker", 1, 0)]


def test_what_runs_as_wanted_is_left_alone():
    assert steps(facts(seen=[web()])) == []


def test_a_retired_release_loses_all_its_dynos():
    assert steps(facts("retired", seen=[web(1), web(2, "ended")])) == [Stop("web10")]


def test_scaling_down_stops_the_highest_ordinals():
    assert steps(facts(seen=[web(1), web(2), web(3)])) == [Stop("web20"), Stop("web30")]


def test_a_crashed_dyno_of_the_live_release_is_started_again_with_its_pause():
    later = NOW + timedelta(seconds=4)
    gone = web(1, "ended", crashed=True, restarts=2, restart_at=later)
    assert steps(facts(seen=[gone])) == [Start("web", 1, 1, 3, later)]


def test_a_crashed_dyno_of_a_candidate_is_not_started_again():
    assert steps(facts("candidate", seen=[web(1, "ended", crashed=True)])) == []


def test_a_candidate_whose_dyno_ended_has_failed_with_the_reason():
    gone = Seen(key="a", type="web", ordinal=1, state="ended", detail="exited with status 3")
    assert progress(facts("candidate", seen=[gone])).failure == "web.1 exited with status 3"


def test_a_candidate_is_ready_when_every_web_dyno_is_healthy():
    assert not progress(facts("candidate", {"web": 2}, [web(1), web(2, "starting")])).ready
    assert progress(facts("candidate", {"web": 2}, [web(1), web(2)])).ready


def test_a_release_without_web_processes_is_ready_at_once():
    assert progress(facts("candidate", {"worker": 1})).ready


def test_a_restart_keeps_the_old_dyno_until_the_new_one_answers():
    old = web(1)
    assert steps(facts(seen=[old], restart_seq=100)) == [Start("web", 1, 100)]
    new = web(1, "starting", generation=100)
    assert steps(facts(seen=[old, new], restart_seq=100)) == []
    ready = web(1, "up", generation=100)
    assert steps(facts(seen=[old, ready], restart_seq=100)) == [Stop("web10")]


def test_one_dyno_that_restarts_is_kept_until_the_new_one_answers():
    old = web(1, leaving=True)
    assert steps(facts(seen=[old, web(2)], wanted={"web": 2})) == [Start("web", 1, 1)]
    assert steps(facts(seen=[old, web(1, "starting", generation=1)])) == []
    assert steps(facts(seen=[old, web(1, "up", generation=1)])) == [Stop("web10")]


@pytest.mark.parametrize("more", [{"restart_seq": 100}, {}])
def test_a_restart_that_crashes_waits_for_its_pause_while_the_old_dyno_serves(more):
    later = NOW + timedelta(seconds=4)
    old = web(1, leaving=not more)
    gone = web(1, "ended", generation=100, crashed=True, restarts=2, restart_at=later)
    assert steps(facts(seen=[old, gone], **more)) == [Start("web", 1, 101, 3, later)]


@pytest.mark.rule("13.5")
def test_a_type_that_left_the_procfile_loses_its_dynos():
    worker = Seen(key="w", type="worker", ordinal=1, state="up")
    assert steps(facts(seen=[web(), worker])) == [Stop("w")]


def test_the_first_deployment_starts_one_web_dyno_and_nothing_else():
    types = {"web": "gunicorn", "worker": "celery", "release": "true"}
    assert quantities({}, types) == {"web": 1, "worker": 0}


@pytest.mark.parametrize(
    ("text", "current", "result"), [("2", 1, 2), (3, 1, 3), ("+1", 1, 2), ("-1", 1, 0), ("0", 5, 0)]
)
def test_quantities_are_numbers_or_differences(text, current, result):
    assert parse_quantity(text, current) == result


def test_no_more_web_dynos_than_the_router_has_places_for():
    assert parse_quantity("12", 1, "web") == 12
    assert "0 to 12" in parse_quantity("13", 1, "web")
    assert parse_quantity("13", 1, "worker") == 13


@pytest.mark.parametrize("text", ["-2", "101", "x", "", None, True, "1.5", "1e2", "٣x", "1\n"])
def test_a_wrong_quantity_is_refused_with_a_text(text):
    outcome = parse_quantity(text, 1)
    assert outcome == 1 if text == "1\n" else isinstance(outcome, str)


@given(st.integers(0, 10_000), st.floats(0, 1))
def test_the_pause_grows_and_never_exceeds_six_minutes(restarts, jitter):
    pause = pause_before_restart(restarts, jitter)
    assert timedelta(0) <= pause <= timedelta(seconds=360)
    assert pause <= pause_before_restart(restarts + 1, jitter)


@given(st.text(max_size=80), st.integers(1, 10**6), st.integers(1, 10**6))
def test_engine_ids_stay_within_the_engines_grammar(name, number, version):
    text = engine_id(number, version, name, "0123abcd")
    assert len(text) <= 80
    assert set(text) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize(("restarts", "replaced"), [(0, True), (1, True), (2, False)])
def test_a_candidates_dyno_that_was_lost_with_the_platform_is_replaced_twice_at_most(restarts, replaced):
    gone = web(1, "ended", crashed=True, lost=True, restarts=restarts, restart_at=NOW, detail="was lost")
    found = facts("candidate", seen=[gone])
    assert steps(found) == ([Start("web", 1, 1, restarts + 1, NOW)] if replaced else [])
    assert progress(found).failure == ("" if replaced else "web.1 was lost")


def test_a_candidates_dyno_that_crashed_is_not_replaced():
    found = facts("candidate", seen=[web(1, "ended", crashed=True, detail="exited with status 1")])
    assert (steps(found), progress(found).failure) == ([], "web.1 exited with status 1")
