"""Reconciles running dynos with the desired state: starts, watches and stops formation dynos, and records how one-off
dynos ended.

Each turn reads rows and engine states, applies the rules, and calls one action or one engine verb per step. It may be
killed at any point: the next turn reads the same facts. Deliveries and the router decide about traffic. Before it stops
a web dyno, it updates the route, and the engine lets open requests finish.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path

from greenroom.apps.models import App
from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError
from greenroom.basics.guard import Guard
from greenroom.dynos import actions, queries, rules
from greenroom.dynos.actions import planned_starts
from greenroom.dynos.models import Dyno, Rollout
from greenroom.engine.contract import Engine, Limits

log = logging.getLogger(__name__)
ABANDONED = timedelta(seconds=90)
"""Time without activity after which the start of a one-off dyno counts as abandoned."""
KEEP_ENDED = timedelta(minutes=2)
DRAINED = Limits.drain + 10.0
"""Seconds after which a dyno that still runs gets STOP: the shim of an older version does not support DRAIN."""


LEAVER_GRACE = 2.0
"""Seconds between TERM and KILL for an attached dyno of a disabled account."""


class Loop:
    """Runs one turn at a time; ``turn`` returns whether work is in progress, so that the caller can wait longer if not.

    reroute: updates an app's route from its rows; called before a web dyno is stopped.
    """

    def __init__(self, engine: Engine, home: Path, reroute: Callable[[App], object] = lambda app: None) -> None:
        self.engine = engine
        self.home = home
        self.reroute = reroute
        self.guard = Guard(log)
        self.told: dict[str, float] = {}
        self.forgotten: set[str] = set()

    def turn(self) -> bool:
        """Watch all dynos and apply the rules. True while a dyno is starting or stopping."""
        busy = self._watch()
        for rollout in queries.active_rollouts().distinct():
            name = f"the dynos of {rollout.app.name}"
            busy = (
                bool(self.guard.run(rollout.pk, name, partial(self._steer, rollout), partial(is_gone, rollout.app)))
                or busy
            )
        self._clean()
        return busy

    def _watch(self) -> bool:
        """Update the rows of running dynos from the engine."""
        busy = False
        rows = Dyno.objects.filter(state__in=queries.ALIVE).select_related(
            "app", "account", "release__slug", "release__config", "planned_start"
        )
        alive = set()
        for dyno in rows:
            alive.add(dyno.engine_id)
            name = f"dyno {dyno.engine_id}"
            busy = (
                bool(self.guard.run(dyno.engine_id, name, partial(self._watch_one, dyno), partial(is_gone, dyno.app)))
                or busy
            )
        self.told = {key: moment for key, moment in self.told.items() if key in alive}
        return busy

    def _watch_one(self, dyno: Dyno) -> bool:
        seen = self.engine.describe(dyno.engine_id)
        if seen is None:
            return self._never_started(dyno)
        if seen.ended:
            actions.end(dyno=dyno, seen=seen, home=self.home)
            return True
        if dyno.kind == "web" and not dyno.endpoint:  # started by the worker of an earlier version
            actions.note_endpoint(dyno, self.engine)
        if dyno.state == "wanted":
            actions.mark(dyno=dyno, state="starting")
        if dyno.state == "starting" and seen.phase == "running" and dyno.kind != "web":
            actions.mark(dyno=dyno, state="up", healthy=True)
        if dyno.state != "stopping" and queries.is_of_a_leaver(dyno):
            actions.mark(dyno=dyno, state="stopping")
        if dyno.state == "stopping":
            self._stop(dyno)
        return dyno.state in ("starting", "stopping")

    def _never_started(self, dyno: Dyno) -> bool:
        """Start a dyno that has a row but is unknown to the engine, unless it is not due yet or its start was
        abandoned.
        """
        if dyno.state != "wanted":
            if hasattr(dyno, "planned_start"):
                planned_starts.give_up(
                    dyno=dyno, reason="asked", text=f"{dyno.name} was stopped before it started: nothing was run."
                )
            else:
                actions.end(dyno=dyno, seen=None)
            return True
        if dyno.kind not in ("web", "worker"):
            if hasattr(dyno, "planned_start"):
                return False  # another loop starts it
            if clock.now() - dyno.updated_at > ABANDONED:
                actions.end(dyno=dyno, seen=None)
            return False
        if dyno.not_before and dyno.not_before > clock.now():
            return False
        actions.start(dyno=dyno, engine=self.engine, home=self.home)
        return True

    def _steer(self, rollout: Rollout) -> bool:
        dynos = queries.of_rollout(rollout)
        todo = rules.steps(queries.facts(rollout, dynos))
        by_key = {str(dyno.id): dyno for dyno in dynos}
        for step in todo:
            if isinstance(step, rules.Stop):
                actions.mark(dyno=by_key[step.key], state="stopping")
                self._stop(by_key[step.key])
            else:
                self._start(rollout, step)
        return bool(todo)

    def _stop(self, dyno: Dyno) -> None:
        """Update the route, wait for open requests, then send TERM. After a failure the next turn retries."""
        since = self.told.get(dyno.engine_id)
        if since is None:
            if dyno.kind == "web":
                self.reroute(dyno.app)
            self.engine.signal(dyno.engine_id, "DRAIN")
            if queries.is_of_a_leaver(dyno):
                self.engine.detach(dyno.engine_id, complete=False)  # it does not wait for its client to come back
            self.told[dyno.engine_id] = clock.monotonic()
        elif queries.is_of_a_leaver(dyno) and clock.monotonic() - since > LEAVER_GRACE:
            self.engine.signal(dyno.engine_id, "KILL")
        elif clock.monotonic() - since > DRAINED:
            self.engine.signal(dyno.engine_id, "STOP")

    def _start(self, rollout: Rollout, step: rules.Start) -> None:
        formation = queries.formation(rollout.app).get(step.type)
        dyno = actions.make(
            app=rollout.app,
            release=rollout.release,
            start=step,
            kind="web" if step.type == "web" else "worker",
            command=queries.process_types(rollout.release)[step.type],
            size=formation.size if formation else "standard-1x",
        )
        if step.not_before and step.not_before > clock.now():
            return
        try:
            actions.start(dyno=dyno, engine=self.engine, home=self.home)
        except GreenroomError as error:
            log.warning("dyno %s does not start yet: %s", dyno.engine_id, error)

    def _clean(self) -> None:
        """Forget dynos whose rows ended some time ago."""
        limit = clock.now() - KEEP_ENDED
        recent = limit - timedelta(minutes=30)
        rows = Dyno.objects.filter(state="ended", finished_at__lt=limit, finished_at__gt=recent)
        for engine_id in rows.values_list("engine_id", flat=True):
            if engine_id not in self.forgotten:
                self.guard.run(engine_id, f"dyno {engine_id}", partial(self._forget, engine_id))

    def _forget(self, engine_id: str) -> None:
        self.engine.forget(engine_id)
        self.forgotten.add(engine_id)
