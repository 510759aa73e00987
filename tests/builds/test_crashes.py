"""Builds end correctly and leave nothing incomplete when their worker and shim are killed (-9) at random moments."""

from __future__ import annotations

import os
import random

import pytest

from greenroom.builds.drivers import environments
from tests.builds.crashes import Crashes, crash_once
from tests.builds.hosting import BASE, FILES, SIX

pytestmark = pytest.mark.django_db(transaction=True)
KILLS = int(os.environ.get("GREENROOM_KILLS", "8"))
SEED = int(os.environ.get("GREENROOM_SEED", "20261123"))


@pytest.mark.rule("6.6")
def test_builds_killed_at_random_moments_end_right(workshop):
    crashes = Crashes(random.Random(SEED))
    for number in range(KILLS):
        crash_once(workshop, crashes, list(FILES)[number % 4])
    assert len(crashes.moments) == KILLS
    assert crashes.shims >= KILLS // 4, crashes.moments


def test_a_file_that_is_not_its_package_s_is_found(workshop):
    build = workshop.built({**BASE, **FILES["pip"](SIX)})
    folder = workshop.home / build.slug.env_folder
    path = next(folder.glob("lib/python3.*/site-packages/six.py"))
    assert environments.damaged(folder) == []
    path.write_text("broken\n")
    assert environments.damaged(folder) == [str(path.relative_to(folder))]
