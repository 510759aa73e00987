"""One turn of the radar: starts probes that are asked for, reads their answers, and closes the runs of humans that have ended."""

from __future__ import annotations

from pathlib import Path

from greenroom.app_migrations import actions, queries
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
