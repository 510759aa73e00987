"""The worker's loop of jobs: writes the runs of planned moments, starts their dynos, and records how they ended.

It sleeps until the next planned moment of any job. All state is in rows, so a restarted worker continues.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from functools import partial
from pathlib import Path
from uuid import UUID

from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError, PlatformError
from greenroom.basics.guard import Guard
from greenroom.dynos.actions import planned_starts
from greenroom.dynos.models import Dyno
from greenroom.engine.contract import Engine
from greenroom.jobs import queries, rules
from greenroom.jobs.actions import runs
from greenroom.jobs.models import JobRun

log = logging.getLogger(__name__)
WATCH = 1.0
"""Seconds between two turns while a dyno runs: the end of a dyno wakes nobody."""
LONGEST = 60.0
"""Longest pause in seconds: the clock may be set."""
TROUBLE = 5.0
"""Shortest pause in seconds after an error, such as a database that does not answer."""
SWEEP = 3600.0


class Loop:
    """``turn`` does what is due; ``rest`` says how long there is nothing to do."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home = engine, home
        self.guard = Guard(log)
        self.next_sweep = 0.0
        self.watching = self.trouble = False

    def turn(self) -> bool:
        """Whether more work is due immediately."""
        due = queries.due(clock.now())
        done = [self.guard.run(pk, f"the job {pk}", partial(self._plan, pk)) for pk in due]
        open_runs = list(queries.running())
        for run in open_runs:
            step = partial(self._advance, run)
            self.guard.run(run.pk, f"a job run of {run.app.name}", step, partial(is_gone, run.app))
        begun = [
            self.guard.run(run.pk, f"a job run of {run.app.name}", partial(runs.begin, run_id=run.pk, home=self.home))
            for run in queries.waiting(clock.now())
        ]
        if clock.monotonic() >= self.next_sweep:
            self.next_sweep = clock.monotonic() + SWEEP
            self.guard.run("sweep", "old job runs", runs.forget_old)
        self.watching, self.trouble = bool(open_runs), None in [*done, *begun]
        return not self.trouble and (any(begun) or len(due) == queries.BATCH)

    def rest(self) -> float:
        """Seconds until the next planned moment, or until a run is to be looked at again."""
        moments = [moment for moment in (queries.next_moment(), queries.next_look()) if moment is not None]
        now = clock.now()
        pauses = [max(0.0, (moment - now).total_seconds()) for moment in moments]
        return max(TROUBLE if self.trouble else 0.0, min([*pauses, WATCH if self.watching else LONGEST]))

    def _plan(self, pk: UUID) -> bool:
        runs.plan(job_id=pk, now=clock.now(), home=self.home)
        return True

    def _advance(self, run: JobRun) -> None:
        """Start the dyno of a run that has begun, or record its end."""
        dyno = run.dyno
        if dyno is None or dyno.state == "ended":
            runs.conclude(run=run, home=self.home)
        elif dyno.state == "wanted":
            self._start(dyno, clock.now() - (run.started_at or dyno.created_at))

    def _start(self, dyno: Dyno, age: timedelta) -> None:
        """Start the dyno; repeatable. Give up after an error of the app, or when it is too late."""
        if age > rules.LATE and self.engine.describe(dyno.engine_id) is None:
            text = "could not be started in time: Greenroom was not running"
            planned_starts.give_up(dyno=dyno, reason="start", text=text)
            return
        try:
            planned_starts.begin(dyno=dyno, engine=self.engine, home=self.home)
        except GreenroomError as error:
            if isinstance(error, PlatformError) and age < rules.START_TIME:
                raise
            planned_starts.give_up(dyno=dyno, reason="start", text=f"could not be started: {error}")
