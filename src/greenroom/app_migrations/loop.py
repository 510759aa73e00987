"""The turns of this room. The radar's: starts probes that are asked for, reads their answers, and closes the runs of
humans that have ended.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from greenroom.app_migrations import actions, queries
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.drivers.run_watch import Watchers
from greenroom.basics import clock
from greenroom.basics.guard import Guard
from greenroom.engine.contract import Engine

log = logging.getLogger(__name__)


class MigrationTurn:
    """Called by the worker between the dynos' and the deliveries' turns."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.watchers = Watchers()
        self.guard = Guard(log)

    def turn(self) -> bool:
        """True while a probe is under way."""
        runs = list(queries.open_runs())
        self.watchers.see(runs)
        for run in runs:
            self.guard.run(("run", run.pk), f"the migrate of {run.app.name}", partial(actions.close_run, run=run))
        for state in queries.outdated():
            self.guard.run(
                ("again", state.pk), f"release {state.release_id}", partial(actions.ask_again, release=state.release)
            )
        busy = False
        for state in queries.open_probes():
            step = partial(actions.advance_probe, state=state, engine=self.engine, home=self.home)
            self.guard.run(("probe", state.pk), f"the probe of release {state.release_id}", step)
            busy = True
        return busy


SWEEP = 300.0
"""Seconds between two looks for what killed rehearsals have left."""
SIDE_BY_SIDE = 2
"""So many rehearsals run at once, of as many apps: more would disturb each other's measurements."""


class RehearsalTurn:
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
