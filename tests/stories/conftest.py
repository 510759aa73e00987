"""A team with its own app on the shared installation, and its actions: push, assert_live, run, config_set."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.stories.team import Installation, Team

QUICK = "python manage.py test accounts payroll.tests.test_story"
"""A few of the sample's tests, and the test that a story adds."""


@pytest.fixture
def team(installation: Installation, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Team]:
    """A team with its own app, created from a small Django project; the app is destroyed at the end."""
    name = "s-" + request.node.name.removeprefix("test_").replace("_", "-")[:20].strip("-")
    whole = request.node.get_closest_marker("whole_suite")
    team = Team(installation, tmp_path / "work", name, tests="" if whole else QUICK)
    yield team
    if not os.environ.get("KEEP_STORIES"):
        team.destroy()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder is a story."""
    for item in items:
        if "tests/stories" in str(item.path):
            item.add_marker(pytest.mark.story)
