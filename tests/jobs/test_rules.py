"""The decisions about planned moments and waiting runs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from greenroom.jobs import rules
from greenroom.jobs.rules import Decision, Facts, Moments, Waiting

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


def ago(*minutes: int) -> list[datetime]:
    return [NOW - timedelta(minutes=each) for each in minutes]


def test_the_newest_moment_runs_and_earlier_ones_are_missed():
    assert rules.sort(ago(3, 2, 1), NOW, catch_up=False) == Moments(ago(3, 2), ago(1)[0])
    assert rules.sort([], NOW, catch_up=True) == Moments()


def test_a_run_may_start_ten_minutes_late():
    assert rules.sort(ago(10), NOW, catch_up=False).current == ago(10)[0]
    assert rules.sort(ago(11), NOW, catch_up=False) == Moments(ago(11))


def test_a_late_run_is_caught_up_once_if_asked():
    assert rules.sort(ago(180, 120, 60), NOW, catch_up=True) == Moments(ago(180, 120), ago(60)[0], caught_up=True)


@pytest.mark.parametrize(
    ("facts", "decision"),
    [
        (Facts(), Decision("waiting")),
        (Facts(running=1), Decision("skipped", "overlap")),
        (Facts(waiting=1), Decision("skipped", "overlap")),
        (Facts(running=1, overlap="queue"), Decision("waiting")),
        (Facts(running=1, waiting=1, overlap="queue"), Decision("skipped", "overlap")),
        (Facts(running=2, overlap="allow"), Decision("waiting")),
        (Facts(running=2, waiting=1, overlap="allow"), Decision("skipped", "overlap")),
        (Facts(obstacle="migration"), Decision("missed", "migration")),
        (Facts(obstacle="migration", catch_up=True), Decision("waiting", "migration", caught_up=True)),
        (Facts(obstacle="migration", catch_up=True, waiting=1), Decision("missed", "migration")),
    ],
)
def test_what_happens_at_a_planned_moment(facts, decision):
    assert rules.decide(facts) == decision


DAY = timedelta(hours=25)


@pytest.mark.parametrize(
    ("run", "step"),
    [
        (Waiting(), "start"),
        (Waiting(obstacle="maintenance"), "maintenance"),
        (Waiting(obstacle="maintenance", kept=True, age=DAY), "wait"),
        (Waiting(overdue=timedelta(minutes=11)), "worker"),
        (Waiting(overdue=timedelta(minutes=11), kept=True), "start"),
        (Waiting(running=1), "wait"),
        (Waiting(running=1, overlap="allow"), "start"),
        (Waiting(running=1, age=DAY), "overlap"),
        (Waiting(of_app=rules.OF_AN_APP), "wait"),
        (Waiting(of_all=rules.AT_ONCE), "wait"),
        (Waiting(of_all=rules.AT_ONCE, age=DAY), "room"),
    ],
)
def test_when_a_waiting_run_starts(run, step):
    assert rules.start(run) == step
    assert step in {"start", "wait", *rules.REASONS}


def test_the_time_limit_is_the_interval_within_bounds():
    assert rules.limit(5, timedelta(hours=1)) == timedelta(minutes=5)
    assert rules.limit(None, timedelta(hours=1)) == timedelta(hours=1)
    assert rules.limit(None, timedelta(minutes=1)) == timedelta(minutes=10)
    assert rules.limit(None, timedelta(days=7)) == timedelta(hours=24)
    assert rules.limit(None, None) == timedelta(hours=24)


def test_the_last_lines_of_an_output_are_kept():
    assert rules.last_lines("\n".join(map(str, range(100)))).splitlines() == [str(n) for n in range(80, 100)]
    assert rules.last_lines("") == ""
