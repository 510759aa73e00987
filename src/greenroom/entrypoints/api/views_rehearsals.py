"""The API of rehearsals: pending migrations tried on a copy of the app's database."""

from __future__ import annotations

from typing import Any

from greenroom.app_migrations import queries
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.models import Rehearsal
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import ConflictError, NotFoundError
from greenroom.dynos import queries as dynos
from greenroom.entrypoints.api.listing import USUAL, Listing, each
from greenroom.entrypoints.api.routing import Call, Reply, route


def shape(row: Rehearsal, *, whole: bool = False) -> dict[str, Any]:
    """A rehearsal; ``whole``: with the full report, as data and as text."""
    found = {
        "id": str(row.pk),
        "number": row.number,
        "app": {"id": str(row.app_id), "name": row.app.name},
        "release": {"version": row.release.version},
        "previous": {"version": row.previous.version} if row.previous else None,
        "state": row.state,
        "step": row.step,
        "colour": row.colour or None,
        "pending": row.pending,
        "summary": rehearsals.summary(row),
        "failure": row.failure,
        "actor": row.by,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
        "finished_at": heroku_time(row.finished_at),
    }
    return {**found, "text": rehearsals.table(row), "report": row.document} if whole else found


@route("POST", "/apps/{app}/migrations/actions/rehearse", "release", returns="202 rehearsal")
def rehearse(call: Call) -> Reply:
    """Request a rehearsal of the pending migrations of the held release, else of the live one, from the worker."""
    rollout = dynos.held(call.app) or dynos.live(call.app)
    if rollout is None:
        raise ConflictError(f"{call.app.name} has no release yet.", hint="git push greenroom HEAD:master")
    row = rehearsals.ask(actor=call.actor, release=rollout.release)
    return Reply(shape(row), 202)


@route("GET", "/apps/{app}/rehearsals", "view", paged="created_at", returns="[rehearsal]")
def list_rehearsals(call: Call) -> Listing:
    """List the app's rehearsals, newest first."""
    return Listing(queries.rehearsals_of(call.app), each(shape), "-created_at", {"number": "number", **USUAL})


@route("GET", "/apps/{app}/rehearsals/{rehearsal}", "view", returns="rehearsal")
def get_rehearsal(call: Call) -> dict[str, Any]:
    """Get one rehearsal by its number, with the full report."""
    text = call.params["rehearsal"]
    row = (
        queries.rehearsals_of(call.app).filter(number=int(text)).first() if text.isdecimal() and len(text) < 9 else None
    )
    if row is None:
        raise NotFoundError(
            "Couldn't find that rehearsal.", hint=f"greenroom migrations -a {call.app.name}", resource="rehearsal"
        )
    return shape(row, whole=True)
