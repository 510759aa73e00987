"""The order of all steps, from facts alone."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.deliveries.rules import (
    ENDED,
    Facts,
    Other,
    Step,
    astray_lines,
    held_lines,
    is_paused,
    next_step,
    order,
    paused_text,
    pending_lines,
)


def push(**facts):
    return Facts(**{"kind": "push", "state": "checking", "build": "succeeded", "verdict": "green", **facts})


def released(**facts):
    return push(**{"state": "rolling_out", "release": "pending", "stage": "candidate", **facts})


def test_a_new_push_is_built_unless_an_older_one_is_on_its_way():
    assert next_step(push(state="received", build="", verdict="")) is Step.BUILD
    assert next_step(push(state="received", build="", verdict="", pipe_busy=True)) is Step.WAIT


def test_of_several_waiting_pushes_only_the_newest_is_built():
    assert next_step(push(state="received", build="", verdict="", newer_waiting=True)) is Step.SUPERSEDE


def test_a_push_that_is_being_built_is_not_superseded():
    assert next_step(push(state="building", build="pending", newer_waiting=True)) is Step.BUILD


def test_a_failed_build_ends_the_delivery():
    for status in ("failed", "errored", "cancelled"):
        assert next_step(push(build=status)) is Step.BUILD_FAILED


def test_only_a_green_verdict_makes_a_release():
    assert next_step(push()) is Step.RELEASE
    assert next_step(push(verdict="pending")) is Step.CHECK
    assert next_step(push(verdict="")) is Step.CHECK
    assert next_step(push(verdict="red")) is Step.WITHHOLD
    assert next_step(push(verdict="blocked")) is Step.WITHHOLD


def test_a_green_push_waits_for_a_release_that_is_rolling_out():
    assert next_step(push(stage_busy=True)) is Step.WAIT


def test_an_older_push_never_overtakes_a_newer_one():
    assert next_step(push(overtaken=True)) is Step.SUPERSEDE


def test_a_commit_that_its_branch_has_lost_makes_no_release():
    assert next_step(push(rewritten=True)) is Step.SUPERSEDE
    assert next_step(push(state="received", build="", verdict="", rewritten=True)) is Step.SUPERSEDE
    assert (
        next_step(released(rewritten=True)) is Step.WATCH
    )  # a roll-out in progress is not cancelled; the next delivery replaces it


NOON = datetime(2026, 11, 27, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("reason", "until", "paused"),
    [
        ("", None, False),
        ("demo", None, True),
        ("demo", NOON, False),
        ("demo", NOON + timedelta(seconds=1), True),
        ("", NOON + timedelta(days=1), False),
    ],
)
def test_a_pause_lasts_until_its_end(reason, until, paused):
    assert is_paused(reason, until, NOON) is paused


def test_the_pusher_reads_when_a_pause_ends():
    assert paused_text("it is paused", "demo", None) == "it is paused: demo"
    assert (
        paused_text("it is paused", "demo", NOON.astimezone(timezone(timedelta(hours=2))))
        == "it is paused until 2026-11-27 12:00 UTC: demo"
    )


def test_a_paused_app_withholds_even_a_green_push():
    assert next_step(push(paused=True)) is Step.WITHHOLD


def test_a_release_with_missing_config_vars_is_refused_before_anything_starts():
    assert next_step(released(stage="", gaps=True)) is Step.REFUSE


def test_traffic_switches_only_when_the_candidate_answers():
    assert next_step(released()) is Step.WATCH
    assert next_step(released(ready=True)) is Step.SWITCH
    assert next_step(released(failure="web.1 exited with status 1", probed=True)) is Step.GIVE_UP


def test_a_live_release_ends_its_delivery_when_the_radar_has_answered():
    assert next_step(released(release="succeeded", stage="live")) is Step.WATCH
    assert next_step(released(release="succeeded", stage="live", probed=True)) is Step.FINISH


def test_a_config_change_enters_at_the_release():
    facts = Facts(kind="release", state="received", release="pending")
    assert next_step(facts) is Step.ROLL_OUT


FLAGS = [field.name for field in fields(Facts) if field.type == "bool"]
ANY = st.builds(
    lambda flags, **words: Facts(**words, **dict(zip(FLAGS, flags, strict=True))),
    flags=st.integers(0, 2 ** len(FLAGS) - 1).map(
        lambda bits: [bool(bits >> place & 1) for place in range(len(FLAGS))]
    ),
    kind=st.sampled_from(["push", "release"]),
    state=st.sampled_from(["received", "building", "checking", "releasing", "rolling_out", *sorted(ENDED)]),
    build=st.sampled_from(["", "pending", "succeeded", "failed", "errored", "cancelled"]),
    verdict=st.sampled_from(["", "green", "pending", "red", "blocked"]),
    release=st.sampled_from(["", "pending", "succeeded", "failed", "refused", "expired"]),
    stage=st.sampled_from(["", "candidate", "live", "retired"]),
    failure=st.sampled_from(["", "it died"]),
    unfit=st.sampled_from(["", "it fails"]),
    command=st.sampled_from(["", "open", "failed"]),
)
"""Facts are created slowly on a busy machine; that is unrelated to the rules."""


@given(ANY)
def test_no_facts_release_a_push_that_is_not_green(facts):
    if next_step(facts) is Step.RELEASE:
        assert facts.verdict == "green"
        assert facts.build == "succeeded"
        assert not facts.paused
        assert not facts.overtaken


@given(ANY)
def test_no_facts_switch_to_a_candidate_that_does_not_answer(facts):
    if next_step(facts) is Step.SWITCH:
        assert facts.ready
        assert not facts.failure


@given(ANY)
def test_an_ended_delivery_takes_no_more_steps(facts):
    assert (next_step(facts) is Step.NOTHING) == (facts.state in ENDED)


def test_releases_roll_out_in_the_order_of_their_versions():
    earlier = Other(seq=1, kind="release", state="received", version=4)
    assert order(2, "release", 5, [earlier]) == (False, False, True)
    assert order(1, "release", 4, [Other(seq=2, kind="release", state="received", version=5)]) == (False, False, False)


def test_a_push_makes_its_release_only_when_no_other_is_on_its_way():
    waiting = Other(seq=9, kind="release", state="received", version=5)
    assert order(3, "push", None, [waiting])[2]
    assert not order(3, "push", None, [Other(seq=4, kind="push", state="received")])[2]


def test_the_pusher_is_told_how_to_run_what_is_pending():
    lines = "\n".join(pending_lines("shop", ["orders.0002_total"], [], "ok", ""))
    assert "1 migration is pending: orders.0002_total" in lines
    assert "greenroom run -a shop python manage.py migrate" in lines


def test_nothing_is_said_when_nothing_is_pending():
    assert pending_lines("shop", [], [], "ok", "") == []


def test_a_database_that_is_down_is_not_called_pending():
    lines = "\n".join(pending_lines("shop", [], [], "error", "connection refused"))
    assert "pending" not in lines
    assert "connection refused" in lines


def test_a_candidate_that_fails_with_pending_migrations_is_held_and_not_given_up():
    failed = {"failure": "web.1 is not healthy: 500"}
    assert next_step(released(**failed)) is Step.WATCH
    assert next_step(released(**failed, probed=True, pending=True)) is Step.HOLD
    assert next_step(released(**failed, probed=True)) is Step.GIVE_UP


def test_a_candidate_that_answers_but_lacks_columns_is_held_while_the_old_code_serves():
    lacking = {"ready": True, "probed": True, "pending": True, "lacking": True}
    assert next_step(released(**lacking, serving=True)) is Step.HOLD
    assert next_step(released(**lacking)) is Step.SWITCH
    assert next_step(released(**{**lacking, "pending": False}, serving=True)) is Step.SWITCH
    assert next_step(released(**{**lacking, "lacking": False}, serving=True)) is Step.SWITCH


def test_what_would_be_held_is_known_before_the_traffic_is_switched():
    assert next_step(released(ready=True, serving=True)) is Step.WATCH
    assert next_step(released(ready=True)) is Step.SWITCH


def test_a_held_release_that_was_cut_off_in_the_middle_is_held_again():
    assert next_step(released(stage="held")) is Step.HOLD
    assert next_step(released(stage="held", state="held")) is Step.NOTHING


def test_who_is_held_is_told_what_to_do():
    lines = "\n".join(held_lines("shop", 4, "its code needs t.c", ["a.0002_b"], "v3 keeps running."))
    assert "greenroom run -a shop python manage.py migrate" in lines
    assert "1 migration is pending: a.0002_b" in lines
    assert "deliveries:drop" in lines


def test_a_long_list_of_migrations_is_cut_and_counted():
    lines = "\n".join(pending_lines("shop", [f"a.{n:04}" for n in range(23)], [], "ok", ""))
    assert "23 migrations are pending: a.0000, a.0001, a.0002, a.0003, a.0004 and 18 more" in lines


def test_old_code_that_the_database_has_left_behind_does_not_come_back_unless_forced():
    behind = {"ready": True, "probed": True, "lacking": True, "serving": True, "kind": "release"}
    assert next_step(released(**behind, going_back=True)) is Step.GIVE_UP
    assert next_step(released(**behind)) is Step.SWITCH
    assert next_step(released(**{**behind, "serving": False}, going_back=True)) is Step.SWITCH


def test_the_release_command_comes_before_the_roll_out_and_its_failure_ends_the_delivery():
    before = {"stage": "", "release": "pending"}
    assert next_step(released(**before, command="open")) is Step.COMMAND
    assert next_step(released(**before, command="open", stage_busy=True)) is Step.WAIT
    assert next_step(released(**before, command="failed")) is Step.GIVE_UP
    assert next_step(released(**before, gaps=True, command="open")) is Step.REFUSE
    assert next_step(released(**before)) is Step.ROLL_OUT


def test_the_postdeploy_script_runs_after_the_switch_and_before_the_end():
    assert next_step(released(stage="live", probed=True, postdeploy=True)) is Step.POSTDEPLOY
    assert next_step(released(stage="live", probed=True)) is Step.FINISH


def test_a_release_with_new_migrations_waits_for_their_rehearsal_and_is_held_when_it_says_that_it_fails():
    fresh = {"serving": True, "probed": True, "pending": True, "ready": True}
    assert next_step(released(**fresh, to_rehearse=True)) is Step.REHEARSE
    assert next_step(released(**fresh, rehearsing=True)) is Step.WATCH
    assert next_step(released(**fresh)) is Step.SWITCH
    assert next_step(released(**fresh, unfit="it failed on the present schema")) is Step.HOLD
    assert next_step(released(**{**fresh, "pending": False}, unfit="an older word")) is Step.SWITCH
    assert next_step(released(**{**fresh, "serving": False}, rehearsing=True, to_rehearse=True)) is Step.SWITCH
    assert next_step(released(**{**fresh, "probed": False}, to_rehearse=True)) is Step.WATCH


def test_the_pusher_reads_what_conflicts_and_what_is_in_no_migration():
    assert astray_lines("", []) == []
    said = "\n".join(astray_lines("shop: 0002_a and 0002_b", ["shop: Add field price to item"]))
    assert "conflict" in said
    assert "shop: 0002_a and 0002_b" in said
    assert "Add field price" in said
    assert "greenroom run -a shop alembic upgrade head" in "\n".join(
        pending_lines("shop", ["a1"], [], "ok", "", "alembic upgrade head")
    )
