"""The probe loop: starts requested probes, reads their answers, and starts and closes migrate commands."""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from greenroom.app_migrations import actions, queries
from greenroom.app_migrations.actions import planned_runs
from greenroom.app_migrations.loop.run_watch import Watchers
from greenroom.app_migrations.models import MigrationRun
from greenroom.basics.guard import Guard
from greenroom.engine.contract import Engine

log = logging.getLogger(__name__)


class Loop:
    """Called by the worker between the turns of the dynos and the deliveries."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.watchers = Watchers()
        self.guard = Guard(log)

    def turn(self) -> bool:
        """True while a probe is in progress."""
        runs = list(queries.open_runs())
        self.watchers.see(runs)
        for run in runs:
            self.guard.run(("run", run.pk), f"the migrate of {run.app.name}", partial(self._advance, run))
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

    def _advance(self, run: MigrationRun) -> None:
        if run.dyno.state == "wanted":
            planned_runs.advance(run=run, engine=self.engine, home=self.home)
        else:
            actions.close_run(run=run)
