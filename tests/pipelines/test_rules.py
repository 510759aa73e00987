"""Tests of the rules of pipelines, without a database."""

from __future__ import annotations

import pytest

from greenroom.deliveries.rules import Facts, Step, next_step
from greenroom.pipelines import rules

STAGES = {"dev": "development", "stage": "staging", "live": "production", "more": "production", "rev": "review"}


@pytest.mark.parametrize(
    ("owns", "roles", "role"),
    [
        (True, [], "owner"),
        (False, [], "none"),
        (False, ["none", "none"], "none"),
        (False, ["none", "operator"], "viewer"),
        (False, ["developer", "operator"], "developer"),
        (False, ["owner", "owner"], "operator"),
        (False, ["viewer", "owner"], "viewer"),
    ],
)
def test_what_reaches_all_apps_takes_a_role_in_each(owns, roles, role):
    assert rules.role_in_pipeline(owns=owns, roles=roles) == role


def test_a_promotion_goes_to_the_next_stage():
    assert rules.next_targets(source="dev", stages=STAGES) == ["stage"]
    assert rules.next_targets(source="stage", stages=STAGES) == ["live", "more"]
    for source in ("live", "rev", "other"):
        assert "development to staging to production" in rules.next_targets(source=source, stages=STAGES)
    assert "no app in the stage production" in rules.next_targets(source="a", stages={"a": "staging"})


@pytest.mark.parametrize(
    ("source", "targets", "words"),
    [
        ("stage", ["live"], ""),
        ("stage", [], "at least one"),
        ("stage", ["live", "live"], "twice"),
        ("stage", ["stage"], "itself"),
        ("stage", ["shop"], "not in this pipeline"),
        ("shop", ["live"], "not an app of this pipeline"),
    ],
)
def test_a_promotion_that_cannot_be_says_why(source, targets, words):
    problem = rules.promotion_problem(source=source, stages=STAGES, targets=targets)
    assert (words in problem) if words else not problem


def outcome(**facts):
    return rules.outcome(
        **{"delivery": "", "reason": "", "release": "pending", "pending": (), "app": "live", "version": 3, **facts}
    )


def test_a_target_is_what_became_of_its_delivery():
    assert outcome(delivery="rolling_out") == ("pending", "")
    assert outcome(delivery="live", release="succeeded") == ("succeeded", "")
    assert outcome(delivery="refused", reason="required config var not set: X.") == (
        "failed",
        "required config var not set: X.",
    )
    assert outcome(delivery="superseded")[0] == "failed"
    status, text = outcome(delivery="held", pending=["a.0001", "a.0002"])
    assert status == "failed"
    assert "2 migrations are pending in live: a.0001, a.0002" in text
    assert "greenroom run -a live python manage.py migrate" in text


def step(**facts):
    base = {
        "kind": "release",
        "state": "rolling_out",
        "release": "pending",
        "stage": "candidate",
        "ready": True,
        "probed": True,
    }
    return next_step(Facts(**{**base, **facts}))


def test_pending_migrations_stop_a_promotion_unless_forced():
    assert step(promoted=True, pending=True, serving=True) is Step.HOLD
    assert step(promoted=True, pending=True) is Step.HOLD, "the first release of an app, too"
    assert step(promoted=True, pending=False) is Step.SWITCH
    assert step(promoted=False, pending=True, serving=True) is Step.SWITCH, "forced: the code answers and lacks nothing"
    assert step(promoted=True, probed=False) is Step.WATCH, "nothing is decided before the radar has answered"


def test_a_header_forces_the_targets_that_it_names():
    assert rules.forced_targets("live, other", ["live", "more"]) == ["live"]
    assert rules.forced_targets("", ["live"]) == []
    assert rules.forced_targets("true", ["live"]) == []


@pytest.mark.parametrize(
    ("state", "check", "conclusion", "word"),
    [
        ("pending", "", "", "pending"),
        ("building", "", "", "building"),
        ("running", "queued", "", "building"),
        ("running", "in_progress", "", "running"),
        ("running", "completed", "success", "succeeded"),
        ("ended", "completed", "failure", "failed"),
        ("ended", "completed", "timed_out", "errored"),
        ("ended", "completed", "cancelled", "cancelled"),
        ("ended", "", "", "errored"),
    ],
)
def test_a_test_run_has_herokus_words(state, check, conclusion, word):
    assert rules.test_status(state=state, check=check, conclusion=conclusion) == word


@pytest.mark.parametrize("name", ["pipe", "p2-x", "a" * 30])
def test_names_that_can_be(name):
    assert not rules.name_problem(name)


@pytest.mark.parametrize("name", ["", "ab", "Pipe", "2pipe", "a" * 31, "pi pe", "pipe\n"])
def test_names_that_cannot_be(name):
    assert rules.name_problem(name)
