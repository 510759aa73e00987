"""Tests of the releases that can be rolled back to."""

from __future__ import annotations

import pytest

from greenroom.releases.rules import Candidate, command_end, rollback_target

PAST = [
    Candidate(6, "failed", True),
    Candidate(5, "succeeded", True),
    Candidate(4, "succeeded", True),
    Candidate(2, "succeeded", False),
]


@pytest.mark.rule("13.4")
def test_without_a_version_the_last_good_one_before_the_current_is_taken():
    assert rollback_target(PAST, 5, None) == 4


def test_a_failed_release_is_no_target():
    assert "failed" in rollback_target(PAST, 5, 6)


@pytest.mark.rule("13.4")
def test_a_release_without_code_is_no_target():
    assert "no code" in rollback_target(PAST, 5, 2)


def test_what_runs_now_is_no_target():
    assert "is the current release" in rollback_target(PAST, 5, 5)


def test_there_may_be_nothing_to_go_back_to():
    assert "no earlier" in rollback_target(PAST, 4, None)
    assert "no release v99" in rollback_target(PAST, 4, 99)


@pytest.mark.parametrize(
    ("facts", "kind", "words"),
    [
        ({"phase": "exited", "exit_code": 0, "reason": "exit"}, "ok", ""),
        ({"phase": "exited", "exit_code": 3, "reason": "exit"}, "failed", "exit code 3"),
        ({"phase": "exited", "exit_code": 137, "reason": "timeout"}, "failed", "60 minutes"),
        ({"phase": "exited", "exit_code": 137, "reason": "oom"}, "failed", "512 MB"),
        ({"phase": "exited", "exit_code": 127, "reason": "start"}, "failed", "exit code 127"),
        ({"phase": "lost", "exit_code": None, "reason": "lost"}, "lost", "lost"),
    ],
)
def test_the_end_of_a_release_command_decides_about_its_release(facts, kind, words):
    end = command_end(memory_mb=512, **facts)
    assert end.kind == kind
    assert words in end.message


def test_a_release_command_that_runs_decides_nothing():
    assert command_end(phase="running", exit_code=None, reason="", memory_mb=512) is None
