"""Advances every open delivery by one step per turn, keeps routes up to date, and runs the health gate.

Safe to kill at any point: the next turn reads the same facts and takes the same step. The rows are the queue; NOTIFY
only shortens the wait.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from greenroom.apps.models import App
from greenroom.apps.queries import is_gone
from greenroom.basics import clock
from greenroom.basics.errors import AppError, ConflictError, GreenroomError, NotFoundError, UserError
from greenroom.basics.guard import Guard
from greenroom.deliveries import actions, queries
from greenroom.deliveries.actions import held as holding
from greenroom.deliveries.drivers.app_lock import holding_lock
from greenroom.deliveries.loop.health_gate import HealthGate
from greenroom.deliveries.loop.trial import Trial
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Step, next_step
from greenroom.deliveries.steps import Steps, gate
from greenroom.engine.contract import Engine
from greenroom.router import actions as router
from greenroom.router import queries as router_queries

logger = logging.getLogger(__name__)
MAX_STEPS = 6
AGAIN = 1.0
"""Seconds until the retry of a failed step."""
GIVE_UP = 600.0
"""Seconds of consecutive platform errors after which a delivery ends, so that the next one can start."""


@dataclass
class Trouble:
    """The error that blocks a delivery, since when, and when to retry; in monotonic seconds."""

    text: str
    since: float
    until: float


class Loop:
    """Processes all open deliveries and all routes, one turn at a time."""

    def __init__(self, engine: Engine, home: Path, installation: dict[str, Any]) -> None:
        self.engine = engine
        self.home = home
        self.installation = installation
        self.steps = Steps(engine, home, installation)
        self.health = HealthGate(engine, home)
        self.trial = Trial(home)
        self.guard = Guard(logger)
        self.repaired = 0.0
        self.troubles: dict[Any, Trouble] = {}

    def turn(self) -> bool:
        """Run one turn. True while any delivery is in progress."""
        for push in queries.pushes_without_delivery():
            self._guarded(push.app, partial(actions.open_for_push, push=push))
        for delivery in queries.migrated():
            self._guarded(delivery.app, partial(holding.resume, delivery=delivery, home=self.home))
        for delivery in queries.let_pass():
            self._guarded(delivery.app, partial(holding.resume, delivery=delivery, home=self.home, why="Overridden"))
        busy = self.health.turn()
        busy = self.trial.turn() or busy
        by_app: dict[Any, list[Delivery]] = defaultdict(list)
        for delivery in queries.open_deliveries():
            by_app[delivery.app_id].append(delivery)
        for siblings in by_app.values():
            for delivery in siblings:
                moved = self.guard.run(
                    ("move", delivery.pk), f"delivery {delivery.pk}", partial(self._move, delivery, siblings)
                )
                busy = moved is not False or busy
        self._routes()
        ended = self.guard.run(
            "ended", "checks of ended deliveries", partial(gate.advance_ended, self.engine, self.home, self._guarded)
        )
        return bool(ended) or busy

    def _guarded(self, app: App, step: Callable[[], object]) -> None:
        """Run a step and log its error, so that other apps are not affected. Ignores errors of an app that is destroyed
        meanwhile.
        """
        self.guard.run(app.pk, f"app {app.name}", step, partial(is_gone, app))

    def _move(self, delivery: Delivery, siblings: list[Delivery]) -> bool:
        """Take steps with one delivery until it has to wait."""
        for _ in range(MAX_STEPS):
            others = [s for s in siblings if s.pk != delivery.pk and s.finished_at is None]
            trouble = self.troubles.get(delivery.pk)
            if trouble and clock.monotonic() < trouble.until:
                return True
            try:
                before = delivery.state
                step = self._step(delivery, others)
            except Exception as error:  # one delivery must not stop the others
                self._note(delivery, error)
                return True
            self.troubles.pop(delivery.pk, None)
            if step in (Step.NOTHING, Step.WAIT) or (before == delivery.state and step != Step.RELEASE):
                return step is not Step.WAIT
        return True

    def _step(self, delivery: Delivery, others: list[Delivery]) -> Step:
        """Read the facts, decide and take the step under the app's lock, which excludes other workers."""
        with holding_lock(f"deliveries/{delivery.app_id}") as held:
            if not held:
                return Step.WAIT
            if not queries.reload(delivery, others):
                return Step.NOTHING
            facts = queries.facts(delivery, others)
            if facts.stage == "watched" and facts.steady:
                rollout = queries.rollout_of(delivery)
                facts = replace(facts, steady=rollout is not None and self.trial.vouches(rollout))
            step = next_step(facts)
            self.steps.take(step, delivery, facts)
            return step

    def _note(self, delivery: Delivery, error: Exception) -> None:
        """Schedule a retry of the failed step in one second, log each error text once, and end the delivery after
        GIVE_UP seconds.

        A refusal that is due to the commit or to the app's settings ends the delivery at once, since a retry would give
        the same result.
        """
        now = clock.monotonic()
        if not App.objects.filter(pk=delivery.app_id).exists():
            self.troubles.pop(delivery.pk, None)
            return  # the delivery was destroyed meanwhile with its app
        known = self.troubles.get(delivery.pk)
        trouble = Trouble(f"{type(error).__name__}: {error}", known.since if known else now, now + AGAIN)
        if known is None or known.text != trouble.text:
            unexpected = None if isinstance(error, GreenroomError) else error
            logger.warning("delivery %s of %s: %s", delivery.pk, delivery.app.name, error, exc_info=unexpected)
        self.troubles[delivery.pk] = trouble
        asked_for = isinstance(error, UserError | AppError) and not isinstance(
            error, ConflictError | NotFoundError
        )  # transient errors
        if not asked_for and now - trouble.since < GIVE_UP:
            return
        delivery.refresh_from_db()
        if isinstance(error, GreenroomError) and asked_for:
            self.steps.turn_down(delivery, error)
        else:
            self.steps.break_off(delivery, trouble.text)
        del self.troubles[delivery.pk]

    def _routes(self) -> None:
        """Update Caddy's configuration, host names and routes from the rows. Periodically also checks the files on
        disk.
        """
        self.guard.run("hosts", "host names", partial(router.lead_hosts, home=self.home))
        self.guard.run("caddy", "router", partial(router.render, home=self.home, installation=self.installation))
        repair = clock.monotonic() - self.repaired > router.LOOK
        self.repaired = clock.monotonic() if repair else self.repaired
        for app, live, route, goal in router_queries.goals(queries.first_states()):
            if route is None or route.page != goal.page or tuple(route.sockets) != goal.sockets:
                release = live.release if live else None
                self._guarded(app, partial(router.switch_to, app=app, release=release, target=goal, home=self.home))
            elif repair:
                self._guarded(app, partial(router.repair, app=app, target=goal, home=self.home))
