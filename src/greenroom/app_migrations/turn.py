"""The turns of this room. The radar's: starts probes that are asked for, reads their answers, and closes the runs of humans that have ended."""

from __future__ import annotations

from pathlib import Path

from greenroom.app_migrations import actions, queries
from greenroom.app_migrations.rehearsal import actions as rehearsals
from greenroom.basics import clock
from greenroom.engine.contract import Engine


class MigrationTurn:
    """Called by the worker between the dynos' and the deliveries' turns."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home

    def turn(self) -> bool:
        """True while a probe is under way."""
        for run in queries.open_runs():
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


class RehearsalTurn:
    """Called by the worker in a thread of its own, since a rehearsal takes long; one at a time, so that they measure quietly."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home, self.next = engine, home, 0.0

    def turn(self) -> bool:
        """True when one was carried out."""
        row = rehearsals.due()
        if row is not None:
            rehearsals.advance(rehearsal=row, engine=self.engine, home=self.home)
            return True
        if clock.monotonic() >= self.next:
            self.next = clock.monotonic() + SWEEP
            rehearsals.sweep(engine=self.engine)
        return False
