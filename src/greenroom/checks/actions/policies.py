"""Writes what people allow themselves: a finding that may pass until a moment, and how strict the gate of an app is."""

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
"""Fewest and most minutes after which a silent check may count as stale."""


@transaction.atomic
def ignore(*, app: App, fingerprint: str, reason: str, until: datetime, actor: Actor) -> Ignore:
    """Let a finding that a check of the app has shown pass until a moment; one that was ignored already gets the new
    end.

    fingerprint: at least 8 digits of it. NotFoundError if no finding has it, UserError if several have, or for reason
    and end.
    """
    lock_app(app.pk)
    problem = rules.ignore_problem(reason=reason, until=until, now=clock.now())
    if problem:
        raise UserError(
            f"The finding is not ignored: {problem}.",
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
            f"{text[:20]!r} is too short: at least {MIN_PREFIX} digits of a fingerprint.",
            hint="greenroom checks:info scan",
        )
    rows = Annotation.objects.filter(check_run__app=app, fingerprint__startswith=text).order_by("-id")
    if len(set(rows.values_list("fingerprint", flat=True)[:1000])) > 1:
        raise UserError(f"Several findings begin with {text[:64]}.", hint="give more digits of it")
    first = rows.first()
    if first is None:
        raise NotFoundError(
            f"No check of {app.name} has shown a finding {text[:64]}.", hint=f"greenroom checks:info scan -a {app.name}"
        )
    return first


@transaction.atomic
def unignore(*, app: App, fingerprint: str, actor: Actor) -> Ignore:
    """Let the finding count again. NotFoundError if it is not ignored."""
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
    """How strict the gate is from now on; None leaves a part as it is. stale_after: minutes. UserError for a number out
    of range.
    """
    lock_app(app.pk)
    if stale_after is not None and not STALE[0] <= stale_after <= STALE[1]:
        raise UserError(
            f"A check cannot be stale after {stale_after} minutes: {STALE[0]} to {STALE[1]} are allowed.",
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
