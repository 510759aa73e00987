"""The pusher's output for red and flaky pushes: the sample's four scenarios, pushed in turn to a live app."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.team import Team, live_team

FEW = "python manage.py test -k half_a_cent -k warm_cache -k sign_in"
"""The sample's tests that the scenarios are about, and a few more."""


PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "red-push.md"
VARYING = re.compile(r"\bv\d+\b")
TEXTS: dict[str, str] = {}
"""scenario -> the pusher's output."""


@pytest.fixture(scope="module")
def live(installation, tmp_path_factory) -> Iterator[Team]:
    """A live app; each scenario is a commit on top of it that reverts the previous one."""
    team = live_team(installation, tmp_path_factory.mktemp("gate") / "work", "s-gate-scenarios", FEW)
    yield team
    if not os.environ.get("KEEP_STORIES"):
        team.destroy()


def scenario(team: Team, name: str) -> str:
    """Push the scenario on top of the live commit; returns the pusher's output."""
    team.take_back()
    team.apply(name)
    text = team.push()
    TEXTS[name] = text
    return text


def withheld(team: Team, text: str, *reasons: str) -> None:
    """The output says that nothing was deployed, why, what keeps running and what to do next; the state agrees."""
    end = text[text.index("-----> Withheld: this commit is not deployed") :]
    for reason in reasons:
        assert f" !     {reason}" in end, end
    assert re.search(r"^ !     v\d+ keeps running\.$", end, re.MULTILINE), end
    row = team.delivery()
    assert (row["state"], row["verdict"]["colour"]) == ("refused", "red")
    assert reasons[0] in row["verdict"]["text"]
    team.assert_live(team.good)


def test_a_failing_test_is_named_with_its_output(live):
    text = scenario(live, "failing-test")
    name = "payroll.tests.test_calculation.RoundingTests.test_half_a_cent_is_rounded_away_from_zero"
    assert f" !     Tests failed: 1 of 5, first: {name}" in text
    assert "AssertionError: Decimal('0.00') != Decimal('0.01')" in text
    hint = f"hint: full output of `tests`: greenroom checks:info tests {live.sha[:8]} -a {live.name}"
    withheld(live, text, f"`tests` failed: 1 of 5, first: {name}", hint)
    assert "half_a_cent" in live.greenroom("checks:info", "tests", live.sha[:8]).stdout  # the command of the hint


def test_a_finding_is_shown_with_its_line_and_how_to_answer_it(live):
    text = scenario(live, "scan-finding")
    place = "payroll/management/commands/dump_units.py:18"
    assert f"       {place}:9 S602 `subprocess` call with `shell=True`" in text
    assert " !     hint: fix it, or add `# noqa: S602` with a reason if it is a false positive" in text
    withheld(live, text, f"`scan` failed: 1 new finding, first: {place} S602")


def test_a_missing_migration_is_shown_with_what_django_would_write(live):
    text = scenario(live, "missing-migration")
    assert "           ~ Alter field name on staffmember" in text
    assert " !     hint: run `python manage.py makemigrations`, commit the new file and push again" in text
    withheld(live, text, "`scan` failed: makemigrations --check: models have changed without a migration")


def test_a_flaky_test_is_deployed_and_never_hidden(live):
    text = scenario(live, "flaky-test")
    name = "payroll.tests.test_rates_cache.RatesCacheTests.test_exchange_rates_come_from_the_warm_cache"
    assert re.search(r"Ran 6 tests in [\d.]+ s: OK, 1 flaky", text)
    assert f"       Flaky: {name}" in text
    assert "deployed to Greenroom" in text
    row = live.assert_live()
    assert f"`tests`: 1 flaky: failed, then passed on the same code: {name}." in row["verdict"]["reasons"]


def test_the_page_about_red_pushes_shows_what_pushers_read():
    """The page contains the lines printed by the pushes above."""
    page = PAGE.read_text()
    assert TEXTS, "run the whole module"
    for name, text in TEXTS.items():
        told = [
            line
            for line in text.splitlines()
            if re.match(r" !     |       (Flaky|FAILURE|AssertionError|payroll/|Migrations)", line)
        ]
        lines = [
            VARYING.sub("", line).rstrip()
            for line in told
            if not line.startswith(
                (" !     hint: full output", " !     `tests` is", " !     Greenroom does not run", " !       ")
            )
        ]
        missing = [line for line in lines if line not in VARYING.sub("", page) and "migrations are pending" not in line]
        assert not missing, (name, missing)
