"""The pipelines' turn of the worker: test runs get their numbers and go on, review apps are made, follow their branches
and go.

Killed anywhere, the next turn finds the same rows and goes on.
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
"""Seconds between two looks for files that no row names."""
AGAIN = 5.0
"""Seconds for which a row that failed is left alone."""


class Loop:
    """Called by the worker every second, and more often while something is on its way."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.home = home
        self.tests, self.reviews = test_runs.Driver(engine, home), review_apps.Driver(engine, home)
        self.left: dict[object, float] = {}
        self.next_sweep = 0.0

    def turn(self) -> bool:
        """Whether there is more to do soon."""
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
        """Take a step; what one row runs into must not stop the others, and is tried again some seconds later."""
        if self.left.get(key, 0.0) > clock.monotonic():
            return False
        try:
            step()
        except Exception:
            log.exception("%s cannot go on for the moment", name)
            self.left[key] = clock.monotonic() + AGAIN
            return False
        self.left.pop(key, None)
        return True
