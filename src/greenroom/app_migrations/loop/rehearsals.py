"""The rehearsals' loop: carries out one rehearsal that is due, and removes what killed ones have left."""

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
"""Seconds between two looks for what killed rehearsals have left."""
SIDE_BY_SIDE = 2
"""So many rehearsals run at once, of as many apps: more would disturb each other's measurements."""


class Loop:
    """Called by the worker in SIDE_BY_SIDE threads of their own, since a rehearsal takes long; of one app there is
    never more than one.
    """

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0
        self.guard = Guard(log)

    def turn(self) -> bool:
        """True when one was carried out."""
        for row in rehearsals.due():
            step = partial(rehearsals.advance, rehearsal=row, engine=self.engine, home=self.home)
            if self.guard.run(row.pk, f"rehearsal {row.number} of {row.app.name}", step):
                return True
        if clock.monotonic() >= self.next:
            self.next = clock.monotonic() + SWEEP
            rehearsals.sweep(engine=self.engine)
        return False
