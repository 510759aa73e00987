"""The gate: green only on proof, and a reason for everything else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.checks.rules import (
    CONCLUSIONS,
    STATUSES,
    Facts,
    Override,
    Run,
    holds,
    is_stale,
    latest,
    move_problem,
    override_problem,
    remedies,
    required_names,
    sentence,
    state_of,
    verdict,
    withheld,
)

SHA = "5" * 40
ENDS = [*[("queued", ""), ("in_progress", "")], *[("completed", conclusion) for conclusion in CONCLUSIONS]]
EXPECTED = {
    "": "pending",
    "success": "green",
    "failure": "red",
    "error": "red",
    "timed_out": "red",
    "action_required": "red",
    "cancelled": "blocked",
    "stale": "blocked",
    "skipped": "blocked",
    "neutral": "blocked",
}
STRENGTH = ["red", "blocked", "pending", "green"]


def decide(*runs: Run, required: tuple[str, ...] = ("tests",), overrides: tuple[Override, ...] = (), **more):
    return verdict(Facts(sha=SHA, required=required, runs=runs, overrides=overrides, **more))


@pytest.mark.parametrize(("status", "conclusion"), ENDS)
def test_one_required_check_gives_the_colour_of_the_table(status, conclusion):
    decision = decide(Run(name="tests", status=status, conclusion=conclusion))
    assert decision.colour == EXPECTED[conclusion]
    assert decision.reasons
    assert "`tests`" in decision.reasons[0]


@pytest.mark.parametrize(("one", "other"), list(product(ENDS, ENDS)))
def test_of_two_required_checks_the_worse_one_decides(one, other):
    runs = [Run(name=name, status=end[0], conclusion=end[1]) for name, end in (("a", one), ("b", other))]
    worst = min((EXPECTED[one[1]], EXPECTED[other[1]]), key=STRENGTH.index)
    assert decide(*runs, required=("a", "b")).colour == worst


@pytest.mark.parametrize(("required", "optional"), list(product(ENDS, ENDS)))
def test_an_optional_check_never_changes_the_verdict(required, optional):
    one = Run(name="tests", status=required[0], conclusion=required[1])
    extra = Run(name="ci/lint", status=optional[0], conclusion=optional[1])
    assert decide(one, extra) == decide(one)


def test_a_required_check_that_nobody_reported_is_expected_and_pending():
    decision = decide(required=("ci/build",))
    assert decision.colour == "pending"
    assert decision.reasons == ("`ci/build` is expected: no report yet.",)


def test_no_required_check_at_all_is_refused_rather_than_green():
    decision = decide(Run(name="tests", status="completed", conclusion="success"), required=())
    assert decision.colour == "blocked"
    assert "No required checks" in decision.reasons[0]


def test_a_skipped_required_check_blocks_unless_the_app_allows_it():
    skipped = Run(name="tests", status="completed", conclusion="skipped")
    assert decide(skipped).colour == "blocked"
    assert decide(skipped, allow_neutral=True).colour == "green"


def test_only_the_newest_attempt_counts():
    failed = Run(name="tests", attempt=1, status="completed", conclusion="failure")
    passed = Run(name="tests", attempt=2, status="completed", conclusion="success")
    assert decide(passed, failed).colour == "green"
    waiting = Run(name="tests", attempt=3, status="queued")
    assert decide(failed, passed, waiting).colour == "pending"


def test_the_case_of_a_check_name_does_not_count():
    assert (
        decide(Run(name="CI/Build", status="completed", conclusion="success"), required=("ci/build",)).colour == "green"
    )


def test_a_failure_says_how_many_and_which_first():
    run = Run(name="tests", status="completed", conclusion="failure", brief="2 of 214, first: payroll.tests.Net.test_x")
    decision = decide(run)
    assert decision.reasons == ("`tests` failed: 2 of 214, first: payroll.tests.Net.test_x",)
    text = withheld(decision, serving="v12")
    assert text == "withheld: `tests` failed: 2 of 214, first: payroll.tests.Net.test_x; v12 keeps running"


def test_an_error_is_told_from_a_failure():
    broken = Run(name="scan", status="completed", conclusion="error", brief="the scanner was killed")
    assert decide(broken, required=("scan",)).reasons == (
        "`scan` could not be completed and does not count as passed: the scanner was killed",
    )


def test_a_first_push_that_is_withheld_says_that_nothing_runs():
    assert withheld(decide()) == "waiting: `tests` is expected: no report yet; nothing is deployed yet"


def test_a_flaky_test_is_mentioned_on_green():
    run = Run(name="tests", status="completed", conclusion="success", notes=("1 flaky: a.b.c.",))
    assert decide(run).reasons == ("`tests` passed.", "`tests`: 1 flaky: a.b.c.")


FAILED = Run(name="scan", attempt=2, status="completed", conclusion="failure", brief="1 new finding")
PASSED = Run(name="tests", attempt=1, status="completed", conclusion="success")


def leave(*checks: str, **attempts: int) -> Override:
    return Override(checks=checks, attempts=attempts, reason="hot fix for the demo", actor="alice@example.com")


def test_an_override_lets_the_named_check_pass_and_stays_visible():
    decision = decide(FAILED, PASSED, required=("tests", "scan"), overrides=(leave("scan", scan=2, tests=1),))
    assert decision.colour == "green"
    assert decision.overridden == ("scan",)
    assert "overridden by alice@example.com: hot fix for the demo" in decision.reasons[1]


def test_an_override_does_not_cover_a_check_that_it_does_not_name():
    failed = Run(name="tests", status="completed", conclusion="failure")
    decision = decide(FAILED, failed, required=("tests", "scan"), overrides=(leave("scan", scan=2, tests=1),))
    assert decision.colour == "red"


def test_an_override_is_void_when_a_check_that_it_saw_is_attempted_anew():
    newer = Run(name="scan", attempt=3, status="completed", conclusion="failure")
    assert decide(newer, required=("scan",), overrides=(leave("scan", scan=2),)).colour == "red"
    other = Run(name="tests", attempt=2, status="completed", conclusion="success")
    assert decide(FAILED, other, required=("scan",), overrides=(leave("scan", scan=2, tests=1),)).colour == "red"


def test_an_override_of_a_check_that_was_never_reported_ends_with_its_first_report():
    given_early = leave("ci/build", **{"ci/build": 0})
    assert decide(required=("ci/build",), overrides=(given_early,)).colour == "green"
    failed = Run(name="ci/build", attempt=1, status="completed", conclusion="failure")
    assert decide(failed, required=("ci/build",), overrides=(given_early,)).colour == "red"


def test_an_override_is_not_mentioned_for_a_check_that_passed_anyway():
    decision = decide(PASSED, overrides=(leave("tests", tests=1),))
    assert decision.overridden == ()
    assert decision.reasons == ("`tests` passed.",)


@pytest.mark.parametrize(
    ("checks", "reason", "words"),
    [
        ((), "a good long reason", "at least one check"),
        (("nope",), "a good long reason", "no such check: nope"),
        (("tests",), "because", "10 characters"),
        (("tests",), "          ", "10 characters"),
        (("Tests",), "a good long reason", ""),
    ],
)
def test_an_override_needs_known_checks_and_a_reason(checks, reason, words):
    problem = override_problem(checks=checks, known=("tests", "scan"), reason=reason)
    assert words in problem
    assert bool(problem) == bool(words)


def test_builtin_checks_come_with_the_configured_ones():
    assert required_names(["ci/build", "tests"]) == ("tests", "scan", "ci/build")
    assert required_names([]) == ()


LEGAL = {("queued", "queued", ""), ("queued", "in_progress", ""), ("in_progress", "in_progress", "")}
LEGAL |= {("queued", "completed", conclusion) for conclusion in ("cancelled", "skipped", "stale")}
LEGAL |= {("in_progress", "completed", conclusion) for conclusion in CONCLUSIONS}


@pytest.mark.parametrize(
    ("status", "to_status", "conclusion"), list(product(STATUSES, [*STATUSES, "paused"], ["", *CONCLUSIONS, "great"]))
)
def test_only_the_listed_moves_are_legal(status, to_status, conclusion):
    problem = move_problem(status=status, to_status=to_status, to_conclusion=conclusion)
    assert (problem == "") == ((status, to_status, conclusion) in LEGAL)


def test_a_silent_run_is_stale_after_two_hours_and_an_ended_one_never():
    now = datetime(2026, 11, 23, 12, tzinfo=UTC)
    late = now - timedelta(hours=2, seconds=1)
    assert is_stale(status="in_progress", updated_at=late, now=now)
    assert not is_stale(status="completed", updated_at=late, now=now)
    assert not is_stale(status="queued", updated_at=now - timedelta(hours=2), now=now)


names = st.sampled_from(["tests", "scan", "ci/build", "CI/Build", "x"])
ends = st.sampled_from(ENDS)
a_run = st.builds(
    lambda name, attempt, end: Run(name=name, attempt=attempt, status=end[0], conclusion=end[1]),
    names,
    st.integers(1, 4),
    ends,
)
an_override = st.builds(
    lambda checks, attempts: Override(checks=tuple(checks), attempts=attempts, reason="ten letters", actor="a@b.c"),
    st.lists(names, max_size=3),
    st.dictionaries(names, st.integers(0, 4)),
)
some_facts = st.builds(
    lambda required, runs, overrides: Facts(
        sha=SHA, required=tuple(required), runs=tuple(runs), overrides=tuple(overrides)
    ),
    st.lists(names, max_size=4),
    st.lists(a_run, max_size=8, unique_by=lambda run: (run.name.casefold(), run.attempt)),
    st.lists(an_override, max_size=2),
)


@given(some_facts)
def test_green_means_that_each_required_check_succeeded_or_is_overridden(facts):
    decision = verdict(facts)
    newest = latest(facts.runs)
    valid = [override for override in facts.overrides if holds(override, newest)]
    covered = {name.casefold() for override in valid for name in override.checks}
    proven = [name.casefold() in covered or state_of(newest.get(name.casefold())) == "green" for name in facts.required]
    assert (decision.colour == "green") == (bool(facts.required) and all(proven))
    assert decision.reasons


@given(some_facts)
def test_the_verdict_depends_on_nothing_but_the_newest_attempts(facts):
    newest = tuple(latest(facts.runs).values())
    again = Facts(sha=SHA, required=facts.required, runs=tuple(reversed(newest)), overrides=facts.overrides)
    assert verdict(again) == verdict(facts)


@given(st.lists(a_run, max_size=6), a_run)
def test_an_override_never_survives_a_newer_attempt(others, run):
    seen = {name: other.attempt for name, other in latest([*others, run]).items()}
    override = Override(checks=(run.name,), attempts=seen, reason="ten letters", actor="a@b.c")
    newer = Run(name=run.name, attempt=seen[run.name.casefold()] + 1, status="queued")
    facts = Facts(sha=SHA, required=(run.name,), runs=(*others, run, newer), overrides=(override,))
    assert verdict(facts).colour == "pending"


@given(a_run)
def test_every_state_of_a_run_has_a_sentence(run):
    assert f"`{run.name}`" in sentence(run.name, run)


def test_a_withheld_commit_tells_for_each_check_what_to_do_next():
    runs = [
        Run(name="tests", status="completed", conclusion="failure"),
        Run(name="scan", status="completed", conclusion="error"),
        Run(name="ci/old", status="completed", conclusion="failure"),
        Run(name="lint it", status="completed", conclusion="success"),
        Run(name="tests", attempt=0, status="completed", conclusion="success"),
    ]
    assert remedies(runs, required=("tests", "Scan", "lint it", "ci/new"), app="shop", sha="a" * 40) == [
        "full output of `tests`: greenroom checks:info tests aaaaaaaa -a shop",
        "full output of `scan`: greenroom checks:info scan aaaaaaaa -a shop",
        "rerun `scan` on the same commit: greenroom checks:rerun scan --sha aaaaaaaa -a shop",
    ]
    told = remedies(runs, required=("tests", "scan"), app="shop", sha="a" * 40, first=True)
    assert told[-1] == (
        "deploy the first version all the same: greenroom deploy:override aaaaaaaa --check tests --check scan --reason"
        ' "10 characters or more" -a shop'
    )
    green = [Run(name="tests", status="completed", conclusion="success")]
    assert remedies(green, required=("tests",), app="shop", sha="a" * 40, first=True) == []
