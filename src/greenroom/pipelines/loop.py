"""The worker's loop for pipelines: numbers and executes test runs; creates, updates and destroys review apps.

All state is in rows, so a restarted worker continues with the same step.
"""

from __future__ import annotations

import logging
from pathlib import Path

from greenroom.basics import clock
from greenroom.engine.contract import Engine
from greenroom.pipelines import queries
from greenroom.pipelines.actions import review_apps, test_runs

log = logging.getLogger(__name__)
SWEEP = 1800.0
"""Seconds between two sweeps of orphaned files."""
AGAIN = 5.0
"""Seconds before the retry of a failed row."""


class Loop:
    """Called by the worker every second, and more often while there is work."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.home = home
        self.tests, self.reviews = test_runs.Driver(engine, home), review_apps.Driver(engine, home)
        self.left: dict[object, float] = {}
        self.next_sweep = 0.0

    def turn(self) -> bool:
        """Do one step of each open row. Returns whether there is more work."""
        busy = test_runs.number_new(home=self.home) > 0
        for row in queries.open_test_runs():
            busy = (
                self._guarded(
                    row.pk, f"test run {row.number} of {row.pipeline.name}", lambda row=row: self.tests.advance(row)
                )
                or busy
            )
        if clock.monotonic() >= self.next_sweep:
            self.next_sweep = clock.monotonic() + SWEEP
            test_runs.sweep(self.home, now=clock.now().timestamp())
        review_apps.make_automatic(home=self.home)
        for review in review_apps.open_reviews():
            self._guarded(review.pk, f"review app {review.app_name}", lambda row=review: self.reviews.advance(row))
        return busy

    def _guarded(self, key: object, name: str, step) -> bool:
        """Run a step. An error of one row is logged and retried after some seconds, and does not stop the others."""
        if self.left.get(key, 0.0) > clock.monotonic():
            return False
        try:
            step()
        except Exception:
            log.exception("%s failed and is retried later", name)
            self.left[key] = clock.monotonic() + AGAIN
            return False
        self.left.pop(key, None)
        return True
