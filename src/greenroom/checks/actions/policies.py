"""Writes ignores of findings and the gate policy of an app."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError, UserError
from greenroom.basics.text import printable
from greenroom.checks import rules
from greenroom.checks.models import Annotation, GatePolicy, Ignore

MIN_PREFIX = 8
STALE = (int(rules.STALE_AT_LEAST.total_seconds()) // 60, 7 * 24 * 60)
"""Minimum and maximum of stale_after, in minutes."""


@transaction.atomic
def ignore(*, app: App, fingerprint: str, reason: str, until: datetime, actor: Actor) -> Ignore:
    """Ignore a reported finding until a given time. Ignoring it again changes the end time.

    fingerprint: at least its first 8 digits. Raises NotFoundError for an unknown fingerprint, and UserError for an
    ambiguous one or an invalid reason or end.
    """
    lock_app(app.pk)
    problem = rules.ignore_problem(reason=reason, until=until, now=clock.now())
    if problem:
        raise UserError(
            f"Cannot ignore the finding: {problem}.",
            hint='greenroom checks:ignore FINGERPRINT --reason "..." --until 2026-12-31',
        )
    found = _finding(app, fingerprint)
    Ignore.objects.filter(app=app, fingerprint=found.fingerprint, ended_at=None).update(ended_at=clock.now())
    row = Ignore.objects.create(
        app=app,
        fingerprint=found.fingerprint,
        tool=found.tool,
        rule=found.rule,
        path=found.path,
        reason=printable(reason).strip()[:1000],
        account_id=actor.account_id,
        actor=actor.email,
        until=until,
    )
    detail = {
        "fingerprint": row.fingerprint,
        "rule": row.rule,
        "path": row.path,
        "reason": row.reason,
        "until": until.isoformat(),
    }
    audit(actor=actor, action="check.ignore", app=app, detail=detail)
    return row


def _finding(app: App, fingerprint: str) -> Annotation:
    text = fingerprint.strip().lower()
    if len(text) < MIN_PREFIX:
        raise UserError(
            f"{text[:20]!r} is too short: use at least {MIN_PREFIX} digits of the fingerprint.",
            hint="greenroom checks:info scan",
        )
    rows = Annotation.objects.filter(check_run__app=app, fingerprint__startswith=text).order_by("-id")
    if len(set(rows.values_list("fingerprint", flat=True)[:1000])) > 1:
        raise UserError(f"Several findings match {text[:64]}.", hint="use more digits of the fingerprint")
    first = rows.first()
    if first is None:
        raise NotFoundError(
            f"No finding {text[:64]} in the checks of {app.name}.", hint=f"greenroom checks:info scan -a {app.name}"
        )
    return first


@transaction.atomic
def unignore(*, app: App, fingerprint: str, actor: Actor) -> Ignore:
    """Remove an ignore, so that the finding counts again. Raises NotFoundError if it is not ignored."""
    text = fingerprint.strip().lower()
    rows = Ignore.objects.select_for_update(no_key=True).filter(app=app, fingerprint__startswith=text, ended_at=None)
    row = rows.first() if len(text) >= MIN_PREFIX else None
    if row is None:
        raise NotFoundError(f"Finding {text[:64]} is not ignored.", hint=f"greenroom checks:ignores -a {app.name}")
    row.ended_at = clock.now()
    row.save(update_fields=["ended_at"])
    audit(
        actor=actor,
        action="check.unignore",
        app=app,
        detail={"fingerprint": row.fingerprint, "rule": row.rule, "path": row.path},
    )
    return row


@transaction.atomic
def change_policy(
    *, app: App, actor: Actor, two_people: bool | None = None, stale_after: int | None = None
) -> GatePolicy:
    """Change the gate policy; None keeps a value. stale_after: minutes. Raises UserError if it is out of range."""
    lock_app(app.pk)
    if stale_after is not None and not STALE[0] <= stale_after <= STALE[1]:
        raise UserError(
            f"Invalid stale-after value: {stale_after} minutes. Allowed: {STALE[0]} to {STALE[1]}.",
            hint="--stale-after 2h",
        )
    row, _ = GatePolicy.objects.get_or_create(app=app)
    changes: dict[str, Any] = {
        key: value for key, value in (("two_people", two_people), ("stale_after", stale_after)) if value is not None
    }
    for key, value in changes.items():
        setattr(row, key, value)
    row.save()
    audit(actor=actor, action="gate.policy", app=app, detail=changes)
    return row
