"""Makes what runs match what is wanted: starts, watches and ends formation dynos, and records how one-off dynos ended.

Each turn reads rows and engine states, asks the rules, and calls one action or one engine verb per step; killed anywhere, the next
turn sees the same facts. It does not decide who gets traffic: that is the deliveries' and the router's.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError
from greenroom.dynos import actions, queries, rules
from greenroom.dynos.models import Dyno, Rollout
from greenroom.engine.contract import Engine

log = logging.getLogger(__name__)
ABANDONED = timedelta(seconds=90)
KEEP_ENDED = timedelta(minutes=2)


class DynoLoop:
    """One turn at a time; ``turn`` says whether anything is on its way, so that the caller can wait longer when not."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine = engine
        self.home = home
        self.forgotten: set[str] = set()

    def turn(self) -> bool:
        """Watch all dynos and do what the rules say. True when something is starting or stopping."""
        busy = self._watch()
        for rollout in queries.active_rollouts().distinct():
            busy = self._steer(rollout) or busy
        self._clean()
        return busy

    def _watch(self) -> bool:
        """Bring the rows of living dynos up to date with what the engine sees."""
        busy = False
        rows = Dyno.objects.filter(state__in=queries.ALIVE).select_related("app", "release__slug", "release__config")
        for dyno in rows:
            try:
                busy = self._watch_one(dyno) or busy
            except GreenroomError as error:
                log.warning("dyno %s: %s", dyno.engine_id, error)
        return busy

    def _watch_one(self, dyno: Dyno) -> bool:
        seen = self.engine.describe(dyno.engine_id)
        if seen is None:
            return self._never_started(dyno)
        if seen.ended:
            actions.end(dyno=dyno, seen=seen)
            return True
        if dyno.state == "wanted":
            actions.mark(dyno=dyno, state="starting")
        if dyno.state == "starting" and seen.phase == "running" and dyno.kind != "web":
            actions.mark(dyno=dyno, state="up", healthy=True)
        if dyno.state == "stopping":
            self.engine.signal(dyno.engine_id, "STOP")
        return dyno.state in ("starting", "stopping")

    def _never_started(self, dyno: Dyno) -> bool:
        """The row is there, the dyno is not: start it, unless its time has not come or nobody waits for it any more."""
        if dyno.state != "wanted":
            actions.end(dyno=dyno, seen=None)
            return True
        if dyno.kind not in ("web", "worker"):
            if clock.now() - dyno.created_at > ABANDONED:
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
                self.engine.signal(by_key[step.key].engine_id, "STOP")
            else:
                self._start(rollout, step)
        return bool(todo)

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
        """Forget dynos whose rows have ended some time ago, so that nothing piles up."""
        limit = clock.now() - KEEP_ENDED
        recent = limit - timedelta(minutes=30)
        rows = Dyno.objects.filter(state="ended", finished_at__lt=limit, finished_at__gt=recent)
        for engine_id in rows.values_list("engine_id", flat=True):
            if engine_id not in self.forgotten:
                self.engine.forget(engine_id)
                self.forgotten.add(engine_id)
