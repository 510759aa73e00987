"""The turns of this room. The radar's: starts probes that are asked for, reads their answers, and closes the runs of humans that have ended."""

from __future__ import annotations

from pathlib import Path

from greenroom.app_migrations import actions, queries
from greenroom.app_migrations.rehearsal import actions as rehearsals
from greenroom.app_migrations.watching import Watchers
from greenroom.basics import clock
from greenroom.engine.contract import Engine


class MigrationTurn:
    """Called by the worker between the dynos' and the deliveries' turns."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.watchers = Watchers()

    def turn(self) -> bool:
        """True while a probe is under way."""
        runs = list(queries.open_runs())
        self.watchers.see(runs)
        for run in runs:
            actions.close_run(run=run)
        for state in queries.outdated():
            actions.ask_again(release=state.release)
        busy = False
        for state in queries.open_probes():
            actions.advance_probe(state=state, engine=self.engine, home=self.home)
            busy = True
        return busy


SWEEP = 300.0
"""Seconds between two looks for what killed rehearsals have left."""
SIDE_BY_SIDE = 2
"""So many rehearsals run at once, of as many apps: more would disturb each other's measurements."""


class RehearsalTurn:
    """Called by the worker in SIDE_BY_SIDE threads of their own, since a rehearsal takes long; of one app there is never more than one."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0

    def turn(self) -> bool:
        """True when one was carried out."""
        for row in rehearsals.due():
            if rehearsals.advance(rehearsal=row, engine=self.engine, home=self.home):
                return True
        if clock.monotonic() >= self.next:
            self.next = clock.monotonic() + SWEEP
            rehearsals.sweep(engine=self.engine)
        return False
