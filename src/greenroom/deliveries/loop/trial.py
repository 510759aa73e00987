"""Checks the web dynos of a release on trial repeatedly. If one stops answering, the trial ends and the dyno is
stopped.

The dynos loop stops it: route first, then SIGTERM. It also detects dynos that exit on their own. Pending requests are
in memory only: after a restart the same dynos are requested again.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

from greenroom.basics import clock
from greenroom.basics.guard import Guard
from greenroom.deliveries.loop.health_requests import Questions
from greenroom.deliveries.queries.time_limits import VERDICT, watch_seconds
from greenroom.dynos import actions, queries
from greenroom.dynos.models import Dyno, Rollout
from greenroom.logs.actions import say
from greenroom.router.drivers.health_gate import Answer

log = logging.getLogger(__name__)
EVERY = 1.0
"""Seconds between two requests."""
HANDS = 8
"""Concurrent requests, of all apps."""
BAD = 3
"""Consecutive bad answers that end the trial; a single one may be accidental."""


class Trial:
    """The requests to all releases on trial."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.guard = Guard(log)
        self.questions = Questions(home, "trial", HANDS)
        self.next: dict[str, float] = {}
        self.bad: dict[str, int] = {}
        """Consecutive bad answers of each dyno that has answered."""

    def turn(self) -> bool:
        """Send requests and record the answers. True while a release is on trial."""
        rollouts = list(queries.watched_rollouts())
        dynos = [dyno for rollout in rollouts for dyno in _asked(rollout)]
        for dyno in dynos:
            self.guard.run(dyno.engine_id, f"the trial of {dyno.engine_id}", partial(self._one, dyno))
        known = {dyno.engine_id for dyno in dynos}
        self.questions.keep(known)
        for table in (self.next, self.bad):
            for key in set(table) - known:
                del table[key]
        return bool(rollouts)

    def vouches(self, rollout: Rollout) -> bool:
        """Whether the release passes at the end of its trial: no request is pending, and the last answer of each web
        dyno is good.

        After VERDICT more seconds it passes even with requests pending: the dynos are up, and no three consecutive
        answers were bad.
        """
        slug, since = rollout.release.slug, rollout.switched_at
        if (
            since is None
            or (clock.now() - since).total_seconds() >= watch_seconds(slug.settings if slug else {}) + VERDICT
        ):
            return True
        return all(
            dyno.engine_id not in self.questions.open and self.bad.get(dyno.engine_id) == 0 for dyno in _asked(rollout)
        )

    def _one(self, dyno: Dyno) -> None:
        key = dyno.engine_id
        if key in self.questions.open:
            if answer := self.questions.answer(key):
                self.next[key] = clock.monotonic() + EVERY
                self._heard(dyno, answer)
        elif clock.monotonic() >= self.next.get(key, 0.0):
            self.questions.ask(dyno)

    def _heard(self, dyno: Dyno, answer: Answer) -> None:
        key = dyno.engine_id
        self.bad[key] = 0 if answer.healthy else self.bad.get(key, 0) + 1
        if self.bad[key] >= BAD:
            say(app=dyno.app, home=self.home, process=dyno.name, text=f"Health check failed: {answer.detail}")
            actions.mark(
                dyno=dyno,
                state="stopping",
                health_detail=f"stopped answering: {answer.detail}",
                exit_reason="unhealthy",
            )


def _asked(rollout: Rollout) -> list[Dyno]:
    return [dyno for dyno in queries.of_rollout(rollout) if dyno.kind == "web" and dyno.state == "up"]
