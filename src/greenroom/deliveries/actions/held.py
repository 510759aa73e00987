"""Deliveries that are held until a user runs their migrations. They resume automatically after the migrate, are
superseded by newer ones, or are dropped.
"""

from __future__ import annotations

from pathlib import Path

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.app_migrations import actions as migration_actions
from greenroom.app_migrations import queries as migrations
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.queries.rehearsals import foreseen as foreseen_of
from greenroom.app_migrations.rules import forecast
from greenroom.apps.actions import lock_app
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.deliveries import actions, queries
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import DROPPED
from greenroom.dynos import actions as dynos
from greenroom.releases import actions as releases


@transaction.atomic
def resume(*, delivery: Delivery, home: Path, why: str = "Migrated") -> bool:
    """Roll out the held release again after its migrations have run. False if it is no longer held."""
    lock_app(delivery.app_id)
    row = Delivery.objects.select_for_update(no_key=True).get(pk=delivery.pk)
    rollout = queries.rollout_of(row)
    if row.state != "held" or rollout is None or rollout.state != "held":
        return False
    migration_actions.ask_if_migrated(release=rollout.release)
    dynos.try_again(rollout=rollout)
    row.state, row.reason, row.finished_at = "rolling_out", "", None
    row.said = {
        key: True for key in row.said if key not in ("held", "watched", "released", "failed", "migrations", "foreseen")
    }
    row.save()
    transcript.reopen(home / row.transcript)
    transcript.append(home / row.transcript, f"-----> {why}: starting the held release again")
    wake()
    return True


@transaction.atomic
def give_way(*, delivery: Delivery, home: Path) -> None:
    """Supersede older held deliveries of the app. Repeatable."""
    for row in Delivery.objects.filter(app_id=delivery.app_id, state="held", seq__lt=delivery.seq):
        _end(row, home, "replaced by a newer release")


@transaction.atomic
def drop(*, actor: Actor, app: App, home: Path, wanted: Delivery | None = None) -> Delivery:
    """Drop the held release at a user's request. ConflictError if none is held, or if ``wanted`` is not held."""
    lock_app(app.pk)
    row = queries.held(app)
    if wanted is not None and (row is None or row.pk != wanted.pk):
        wanted.refresh_from_db()
        text = f"Delivery {wanted.sha[:8]} is {wanted.state.replace('_', ' ')}, not held."
        raise ConflictError(text, hint=f"greenroom deliveries -a {app.name}")
    if row is None:
        raise ConflictError(f"No release of {app.name} is held.", hint=f"greenroom deliveries -a {app.name}")
    _end(row, home, f"{DROPPED}{actor.email}")
    audit(actor=actor, action="delivery.drop", app=app, detail={"sha": row.sha, "release": _version(row)})
    return row


def rehearse(*, delivery: Delivery, home: Path) -> None:
    """Request a rehearsal of the pending migrations on a copy of the data. Prints once where the result will be.
    Repeatable.
    """
    assert delivery.release is not None
    row = rehearsals.offer(actor=actions.account_actor(delivery), release=delivery.release)
    if row is not None:
        text = f"       Rehearsing on a copy of the data; the result: greenroom migrations -a {delivery.app.name}"
        actions.say_once(delivery=delivery, key="rehearsal", text=text, home=home)


def foreseen(delivery: Delivery) -> list[str]:
    """The lines for the pusher about pending migrations: their effect on the current data, and the rehearsal's result
    if it has finished.
    """
    assert delivery.release is not None
    state = migrations.known_state(delivery.release)
    lines = forecast.lines(foreseen_of(state))
    row = migrations.rehearsal_of(delivery.release)
    if row is not None:
        first, *rest = rehearsals.summary(row).removesuffix(".").split("; ")
        lines += [f"-----> Rehearsal {row.number}: {row.colour}, {first}", *(f"       {part}" for part in rest)]
    return lines


def _version(row: Delivery) -> int | None:
    return row.release.version if row.release else None


def _end(row: Delivery, home: Path, reason: str) -> None:
    rollout = queries.rollout_of(row)
    if rollout is not None:
        dynos.drop(rollout=rollout)
    if row.release is not None:
        releases.conclude(release=row.release, status="expired", reason=reason)
    transcript.append(home / row.transcript, f"-----> Superseded: {reason}")
    actions.advance(delivery=row, state="superseded", reason=reason, home=home)
