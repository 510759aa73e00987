"""Moves every open delivery on by one step per turn, keeps routes true, and lets the health gate pass dynos that answer.

Killed anywhere, the next turn finds the same facts and takes the same step; the rows are the queue, NOTIFY only shortens the wait.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import GreenroomError
from greenroom.deliveries import actions, gate, holding, queries
from greenroom.deliveries.health import HealthGate
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Step, next_step
from greenroom.deliveries.steps import Steps
from greenroom.dynos import queries as dynos
from greenroom.engine.contract import Engine
from greenroom.router import actions as router
from greenroom.router import queries as router_queries
from greenroom.router.models import Route
from greenroom.router.rules import target

logger = logging.getLogger(__name__)
MAX_STEPS = 6
AGAIN = 1.0
"""Seconds until a step that failed is tried again."""
GIVE_UP = 600.0
"""Seconds of nothing but failures of the platform's own after which a delivery ends, so that the next one gets its turn."""


@dataclass
class Trouble:
    """What keeps a delivery from moving, since when and until when it is left alone; in monotonic seconds."""

    text: str
    since: float
    until: float


class DeliveryLoop:
    """One turn over all open deliveries and all routes."""

    def __init__(self, engine: Engine, home: Path, installation: dict[str, Any]) -> None:
        self.engine = engine
        self.home = home
        self.installation = installation
        self.steps = Steps(engine, home, installation)
        self.health = HealthGate(engine, home)
        self.failures: dict[Any, str] = {}
        self.troubles: dict[Any, Trouble] = {}

    def turn(self) -> bool:
        """One turn. True while anything is on its way."""
        for push in queries.pushes_without_delivery():
            actions.open_for_push(push=push)
        for delivery in queries.migrated():
            holding.resume(delivery=delivery, home=self.home)
        for delivery in queries.let_pass():
            holding.resume(delivery=delivery, home=self.home, why="Overridden")
        busy = self.health.turn()
        by_app: dict[Any, list[Delivery]] = defaultdict(list)
        for delivery in queries.open_deliveries():
            by_app[delivery.app_id].append(delivery)
        for siblings in by_app.values():
            for delivery in siblings:
                busy = self._move(delivery, siblings) or busy
        self._routes()
        return gate.advance_ended(self.engine, self.home) or busy

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
            except Exception as error:  # what one delivery runs into must not stop those of others
                self._note(delivery, error)
                return True
            self.troubles.pop(delivery.pk, None)
            if step in (Step.NOTHING, Step.WAIT) or (before == delivery.state and step != Step.RELEASE):
                return step is not Step.WAIT
        return True

    def _step(self, delivery: Delivery, others: list[Delivery]) -> Step:
        """Ask the rules and take the step, holding the delivery's row so that no other worker takes it too."""
        with transaction.atomic():
            held = Delivery.objects.select_for_update(skip_locked=True, of=("self",)).filter(
                pk=delivery.pk, finished_at=None
            )
            if not held.exists():
                return Step.NOTHING
        facts = queries.facts(delivery, others)
        step = next_step(facts)
        self.steps.take(step, delivery, facts)
        return step

    def _note(self, delivery: Delivery, error: Exception) -> None:
        """A step that failed is tried again a second later; the log says so once per text, and some day it is given up."""
        now = clock.monotonic()
        known = self.troubles.get(delivery.pk)
        trouble = Trouble(f"{type(error).__name__}: {error}", known.since if known else now, now + AGAIN)
        if known is None or known.text != trouble.text:
            unexpected = None if isinstance(error, GreenroomError) else error
            logger.warning("delivery %s of %s: %s", delivery.pk, delivery.app.name, error, exc_info=unexpected)
        self.troubles[delivery.pk] = trouble
        if now - trouble.since >= GIVE_UP:
            delivery.refresh_from_db()
            self.steps.break_off(delivery, trouble.text)
            del self.troubles[delivery.pk]

    def _routes(self) -> None:
        """Make Caddy's list of apps and each app's route what the rows say."""
        try:
            router.render(home=self.home, installation=self.installation)
        except GreenroomError as error:
            if self.failures.get("caddy") != str(error):
                self.failures["caddy"] = str(error)
                logger.warning("router: %s", error)
        routes = {route.app_id: route for route in Route.objects.all()}
        lives = {rollout.app_id: rollout for rollout in dynos.live_rollouts()}
        for app in App.objects.all():
            live = lives.get(app.id)
            goal = target(router_queries.facts(app, live))
            route = routes.get(app.id)
            if route is None or route.page != goal.page or tuple(route.sockets) != goal.sockets:
                router.switch_to(app=app, release=live.release if live else None, target=goal, home=self.home)
