"""The rehearsal loop: runs one due rehearsal, and cleans up after killed ones."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from greenroom.app_migrations.actions import rehearsals
from greenroom.basics import clock
from greenroom.basics.guard import Guard
from greenroom.engine.contract import Engine

log = logging.getLogger(__name__)
SWEEP = 300.0
"""Seconds between two clean-ups after killed rehearsals."""
SIDE_BY_SIDE = 2
"""Maximum number of concurrent rehearsals, each of another app: more would distort the measurements."""


class Loop:
    """Called by the worker in SIDE_BY_SIDE threads, because a rehearsal takes long. At most one runs for each app."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0
        self.guard = Guard(log)

    def turn(self) -> bool:
        """True if a rehearsal ran."""
        for row in rehearsals.due():
            step = partial(rehearsals.advance, rehearsal=row, engine=self.engine, home=self.home)
            if self.guard.run(row.pk, f"rehearsal {row.number} of {row.app.name}", step):
                return True
        if clock.monotonic() >= self.next:
            self.next = clock.monotonic() + SWEEP
            rehearsals.sweep(engine=self.engine)
        return False
