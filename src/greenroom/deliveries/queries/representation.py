"""Deliveries and their checks as JSON, as returned by the API and shown by the CLI."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, cast
from uuid import UUID

from greenroom.app_migrations.models import MigrationState
from greenroom.app_migrations.queries import states_of
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.checks import queries as checks
from greenroom.checks import rules as check_rules
from greenroom.checks.models import CheckRun, Verdict
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import required_keys, state_of
from greenroom.dynos import queries as dynos
from greenroom.dynos.models import Rollout


@dataclass(frozen=True)
class Known:
    """Related rows of one app's deliveries, by commit and by release; live: the serving roll-out."""

    verdicts: dict[str, Verdict]
    checks: dict[str, list[CheckRun]]
    states: dict[UUID, MigrationState]
    live: Rollout | None


def around(app: App, rows: Sequence[Delivery]) -> Known:
    """Load all related rows for ``as_json`` with a fixed number of queries."""
    shas = {row.sha for row in rows if row.sha}
    states = states_of(row.release_id for row in rows if row.release_id)
    return Known(checks.newest_verdicts(app, shas), checks.latest_of_all(app, shas), states, dynos.live(app))


def as_json(delivery: Delivery, known: Known | None = None) -> dict[str, Any]:
    """The JSON object of a delivery, for scripts. known: preloaded with ``around`` for a list."""
    shown = state_of(delivery)
    known = known or around(delivery.app, [delivery])
    verdict = known.verdicts.get(delivery.sha)
    needed = required_keys(delivery.app, delivery.build.slug if delivery.build else None)
    state = known.states.get(delivery.release_id) if delivery.release_id else None
    return {
        "id": str(delivery.id),
        "app": {"id": str(delivery.app_id), "name": delivery.app.name},
        "sha": delivery.sha,
        "seq": delivery.seq,
        "kind": delivery.kind,
        "state": shown,
        "reason": delivery.reason,
        "verdict": {"colour": verdict.colour, "reasons": verdict.reasons, "text": _text(verdict, known.live)}
        if verdict
        else None,
        "checks": [check_json(run, needed) for run in known.checks.get(delivery.sha, [])],
        "build": {"id": str(delivery.build.id), "status": delivery.build.status} if delivery.build else None,
        "release": {"version": delivery.release.version} if delivery.release else None,
        "migrations": {"pending": state.pending if state else [], "held": shown == "held"},
        "user": {"email": delivery.account.email if delivery.account else ""},
        "created_at": clock.heroku_time(delivery.created_at),
        "updated_at": clock.heroku_time(delivery.updated_at),
        "finished_at": clock.heroku_time(delivery.finished_at if shown == delivery.state else None),
    }


def _text(verdict: Verdict, live: Rollout | None) -> str:
    """The verdict as one paragraph, with the release that keeps running; empty if green."""
    if verdict.colour == "green":
        return ""
    decision = check_rules.Decision(colour=cast(check_rules.Colour, verdict.colour), reasons=tuple(verdict.reasons))
    return check_rules.withheld(decision, serving=f"v{live.release.version}" if live else "")


def check_json(run: Any, needed: Collection[str]) -> dict[str, Any]:
    """A check run as JSON, for the API and the delivery. needed: ``required_of`` its commit."""
    return {
        "id": str(run.id),
        "name": run.name,
        "sha": run.sha,
        "attempt": run.attempt,
        "status": run.status,
        "conclusion": run.conclusion or None,
        "required": check_rules.key(run.name) in needed,
        "title": run.title,
        "summary": run.summary,
        "url": run.url or None,
        "started_at": clock.heroku_time(run.started_at),
        "finished_at": clock.heroku_time(run.finished_at),
    }
