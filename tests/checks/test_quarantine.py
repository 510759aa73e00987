"""A quarantined test is never hidden: it has an owner and an end date, its failure is reported, and after that date it
fails the check.
"""

from __future__ import annotations

from datetime import date

import pytest

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.app_files import read_settings
from greenroom.checks.builtin import quarantine, testing

TODAY = date(2026, 11, 25)
ENTRY = {
    "test": "shop.tests.Pay.test_net",
    "owner": "alice@example.com",
    "until": "2026-12-01",
    "reason": "races with the clock, TICKET-9",
}
FAILED = {"name": ENTRY["test"], "kind": "failure", "output": "AssertionError"}
OTHER = {"name": "shop.tests.Pay.test_gross", "kind": "failure", "output": "AssertionError"}


def judged(*failures, entries=(ENTRY,), tests=40, today=TODAY, **more):
    result = {
        "outcome": "failure",
        "tests": tests,
        "failed": len(failures),
        "failures": list(failures),
        "flaky": [],
        "seconds": 1.0,
        **more,
    }
    return testing.read(quarantine.apply(result, list(entries), today))


def test_its_failure_alone_lets_the_commit_pass_and_is_told_with_owner_end_and_reason():
    outcome = judged(FAILED)
    assert (outcome.conclusion, outcome.title) == ("success", "Ran 40 tests in 1.0 s: OK, 1 in quarantine failed")
    told = (
        "1 in quarantine failed: shop.tests.Pay.test_net (alice@example.com, until 2026-12-01: races with the clock,"
        " TICKET-9)."
    )
    assert outcome.notes == (told,)
    assert f"       {told}" in outcome.lines
    assert outcome.data["quarantined_output"] == [FAILED]


def test_another_failure_beside_it_is_a_failure_of_the_other_one():
    outcome = judged(FAILED, OTHER)
    assert (outcome.conclusion, outcome.brief) == ("failure", "1 of 40, first: shop.tests.Pay.test_gross")
    assert any("1 in quarantine failed" in line for line in outcome.lines)


def test_after_its_day_it_fails_again_and_says_why():
    outcome = judged(FAILED, today=date(2026, 12, 2))
    assert outcome.conclusion == "failure"
    assert "       the quarantine of shop.tests.Pay.test_net (alice@example.com) ended on 2026-12-01." in outcome.lines
    assert judged(FAILED, today=date(2026, 12, 1)).conclusion == "success", "its last day counts"


def test_a_whole_class_may_be_put_aside_but_no_mere_beginning_of_a_name():
    assert judged(FAILED, entries=[{**ENTRY, "test": "shop.tests.Pay"}]).conclusion == "success"
    assert judged(FAILED, entries=[{**ENTRY, "test": "shop.tests.Pay.test_n"}]).conclusion == "failure"


def test_a_run_in_which_nothing_else_passed_proves_nothing():
    assert judged(FAILED, tests=1).conclusion == "failure"
    assert judged(FAILED, tests=None).conclusion == "failure"
    assert judged(FAILED, failed=7).conclusion == "failure", "more failed than are named"


def test_a_crash_is_not_put_aside():
    assert (
        testing.read(
            quarantine.apply({"outcome": "error", "detail": "no database", "failures": []}, [ENTRY], TODAY)
        ).conclusion
        == "error"
    )


def toml(text):
    return read_settings(text.encode())


def test_greenroom_toml_names_scanners_and_quarantined_tests():
    found = toml(
        '[scan]\nscanners = ["bandit", "pip-audit"]\nmigrations = "error"\n\n[[tests.quarantine]]\ntest ='
        ' "a.T.x"\nowner = "bob"\nuntil = 2026-12-31\nreason = "r"\n'
    )
    assert found["scan"] == {"scanners": ["bandit", "pip-audit"], "migrations": "error"}
    assert toml("[tests]\nminutes = 90\nsilent_minutes = 20\n")["tests"] == {
        "quarantine": [],
        "minutes": 90,
        "silent_minutes": 20,
    }
    assert found["tests"] == {"quarantine": [{"test": "a.T.x", "owner": "bob", "until": "2026-12-31", "reason": "r"}]}
    assert "scan" not in toml('root = "x"\n')


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('scan = "bandit"\n', "scan: a table"),
        ('[scan]\nscanner = ["bandit"]\n', "scanner: unknown key; allowed are scanners, migrations"),
        ('[scan]\nscanners = "bandit"\n', "a list of names"),
        ('[scan]\nscanners = ["../bandit"]\n', "a list of names"),
        ('[scan]\nmigrations = "off"\n', '"error" or "warn"'),
        ("tests = 3\n", "tests: a table"),
        ("[tests]\nminutes = 0\n", "[tests] minutes: whole minutes from 1 to 240"),
        ("[tests]\nsilent_minutes = 61\n", "[tests] silent_minutes: whole minutes from 1 to 60"),
        ("[tests]\nseconds = 1\n", "[tests] seconds: unknown key; allowed are minutes, silent_minutes"),
        (
            '[[tests.quarantine]]\ntest = "a"\nowner = "b"\nreason = "c"\n',
            "number 1: it needs exactly test, owner, until, reason",
        ),
        ('[[tests.quarantine]]\ntest = "a"\nowner = ""\nuntil = 2026-12-31\nreason = "c"\n', "owner: a text"),
        ('[[tests.quarantine]]\ntest = "a"\nowner = "b"\nuntil = "soon"\nreason = "c"\n', "until: a date"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(text, words):
    with pytest.raises(BuildError, match=r"greenroom\.toml") as caught:
        toml(text)
    assert words in str(caught.value)
