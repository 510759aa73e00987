"""kill -9 during a rehearsal and during a user's migrate: nothing is recorded by half, no copy is left, the displayed
state is correct.
"""

from __future__ import annotations

import os

from tests.stories.migration_kills import PHASES, POINTS, TARGETS, Trial
from tests.stories.test_held import ready  # noqa: F401 -- a fixture

TIMES = max(1, int(os.environ.get("GREENROOM_KILLS", "20")) // 20)


def test_whoever_is_killed_the_record_stays_true_and_nothing_is_left_over(ready):
    trial = Trial(ready)
    for number in range(TIMES):
        for phase in PHASES:
            for place, target in enumerate(TARGETS, 2 + number):
                trial.once(phase, target, POINTS[phase][place % len(POINTS[phase])])
    print(*sorted(trial.outcomes), sep="\n")
    assert sum(trial.outcomes.values()) == TIMES * len(PHASES) * len(TARGETS)
