"""What can be rolled back to."""

from __future__ import annotations

from greenroom.releases.rules import Candidate, rollback_target

PAST = [
    Candidate(6, "failed", True),
    Candidate(5, "succeeded", True),
    Candidate(4, "succeeded", True),
    Candidate(2, "succeeded", False),
]


def test_without_a_version_the_last_good_one_before_the_current_is_taken():
    assert rollback_target(PAST, 5, None) == 4


def test_a_failed_release_is_no_target():
    assert "failed" in rollback_target(PAST, 5, 6)


def test_a_release_without_code_is_no_target():
    assert "no code" in rollback_target(PAST, 5, 2)


def test_what_runs_now_is_no_target():
    assert "runs now" in rollback_target(PAST, 5, 5)


def test_there_may_be_nothing_to_go_back_to():
    assert "no earlier" in rollback_target(PAST, 4, None)
    assert "no release v99" in rollback_target(PAST, 4, 99)
