"""What a pusher reads when the gate says no, or nearly: the sample's four scenarios pushed one after the other onto a live app."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.team import Team

FEW = "python manage.py test -k half_a_cent -k warm_cache -k sign_in"
"""Of all the sample's tests those that the scenarios are about, and a few more."""


@pytest.fixture(scope="module")
def live(installation, tmp_path_factory) -> Iterator[Team]:
    """An app whose first push is live; each scenario is a commit on top of it, and takes the one before back."""
    team = Team(installation, tmp_path_factory.mktemp("gate") / "work", "s-gate-scenarios", tests=FEW)
    team.set_secret()
    team.push()
    team.assert_live()
    team.good = team.sha
    yield team
    if not os.environ.get("KEEP_STORIES"):
        team.destroy()


def scenario(team: Team, name: str) -> str:
    """Push the scenario on top of what is live; what the pusher reads."""
    team.git("checkout", "-q", team.good, "--", ".")
    team.git("clean", "-qfd")
    for path in team.git("diff", "--name-only", "--diff-filter=A", team.good, "HEAD").stdout.split():
        (team.work / path).unlink(missing_ok=True)
    team.apply(name)
    text = team.push()
    folder = os.environ.get("GREENROOM_KEEP_TEXTS")
    if folder:
        (Path(folder) / f"{name}.txt").write_text(text)
    return text


def test_failing(live):
    text = scenario(live, "failing-test")
    print(text)


def test_scan(live):
    text = scenario(live, "scan-finding")
    print(text)


def test_missing(live):
    text = scenario(live, "missing-migration")
    print(text)


def test_flaky(live):
    text = scenario(live, "flaky-test")
    print(text)
    print(live.greenroom("checks").stdout)
    print(json.dumps(live.delivery(), indent=1))
