"""Writes log drains: the receivers of an app's log, and their progress. User and password of a URL are encrypted."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from django.db import transaction
from django.db.models import Q

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics import clock, ids, logfile, outgoing
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars.actions import data_key
from greenroom.config_vars.drivers.encryption import seal, unseal
from greenroom.logs.models import LogDrain
from greenroom.logs.rules import drain_pause
from greenroom.outbox import Outbox

MOST = 5
OUTBOX = Outbox(model=LogDrain, due="next_attempt_at", attempts="failures", lease=timedelta(minutes=1), waiting=Q())
SCHEMES = ("https", "http", "syslog+tls", "syslog")


@transaction.atomic
def add(*, actor: Actor, app: App, home: Path, url: str, allowed: Sequence[outgoing.Network] = ()) -> LogDrain:
    """Create a drain, which starts with the next line. UserError for an invalid URL, ConflictError for a duplicate."""
    lock_app(app.pk)
    bare, secret = split_secret(url)
    _refuse(url, bare, allowed)
    if app.log_drains.filter(url=bare).exists():
        raise ConflictError(
            f"{app.name} already has a drain to {bare[:200]}.", hint=f"heroku drains -a {app.name}", id="invalid_params"
        )
    if app.log_drains.count() >= MOST:
        raise UserError(f"Drain limit of {app.name} reached ({MOST}).", hint=f"heroku drains:remove URL -a {app.name}")
    segment, offset = logfile.end(str(home / app.log_folder))
    segment = segment or 1  # an empty log has no segment yet; this will be the first
    row = LogDrain(app=app, url=bare, token=f"d.{ids.new_uuid()}", segment=segment, offset=offset)
    if secret:
        row.sealed = seal(data_key(app=app, home=home), secret.encode(), _place(row))
    row.save()
    audit(actor=actor, action="drain.add", app=app, detail={"host": urlsplit(bare).hostname, "drain": row.token})
    return row


def _refuse(url: str, bare: str, allowed: Sequence[outgoing.Network]) -> None:
    problem = outgoing.url_problem(bare, SCHEMES)
    parts = urlsplit(bare) if not problem else None
    if parts and parts.scheme.startswith("syslog"):
        if parts.port is None:
            problem = "must have a port, as in syslog+tls://logs.example.com:6514"
        elif bare != url:
            problem = "must not contain a user or password: syslog does not support them"
    hint = "heroku drains:add syslog+tls://logs.example.com:6514"
    if parts and not problem:
        problem = outgoing.host_problem(parts.hostname or "", allowed)
        hint = outgoing.allow_hint(parts.hostname or "")
    if problem:
        raise UserError(f"The drain's URL {problem}.", hint=hint)


def split_secret(url: str) -> tuple[str, str]:
    """(the URL without user and password, ``user:password``); the second is empty if the URL has none."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return url, ""
    user, found, host = parts.netloc.rpartition("@")
    if not found:
        return url, ""
    return SplitResult(parts.scheme, host, parts.path, parts.query, parts.fragment).geturl(), unquote(user)


def _place(row: LogDrain) -> str:
    return f"drain/{row.id}"


def authorization(row: LogDrain, home: Path) -> str:
    """The Authorization header for the drain's receiver; empty if its URL has no user."""
    if row.sealed is None:
        return ""
    secret = unseal(data_key(app=row.app, home=home), bytes(row.sealed), _place(row))
    return f"Basic {base64.b64encode(secret).decode()}"


@transaction.atomic
def remove(*, actor: Actor, app: App, name: str) -> LogDrain:
    """Remove the drain with that URL, token or id."""
    row = find(app, name)
    audit(actor=actor, action="drain.remove", app=app, detail={"host": urlsplit(row.url).hostname, "drain": row.token})
    LogDrain.objects.filter(pk=row.pk).delete()
    return row


def find(app: App, name: str) -> LogDrain:
    """The app's drain of that URL, token or id. NotFoundError if there is none."""
    bare = split_secret(name)[0]
    row = next((row for row in app.log_drains.all() if name in (str(row.id), row.token) or row.url == bare), None)
    if row is None:
        raise NotFoundError(
            f"{app.name} has no drain {bare[:200]}.", hint=f"heroku drains -a {app.name}", resource="log_drain"
        )
    return row


def begin() -> None:
    """Release the drains that a previous worker has leased; only one worker runs at a time."""
    LogDrain.objects.filter(error="").exclude(next_attempt_at=None).update(next_attempt_at=None)


def claim(*, row: LogDrain) -> LogDrain | None:
    """Lease the drain for one attempt, which counts as a failure until the receiver accepts; None if it is not due."""
    rows = OUTBOX.rows().filter(pk=row.pk).select_related("app")
    return next(iter(OUTBOX.claim(rows, limit=1)), None)


def taken(*, row: LogDrain, after: logfile.Position, lines: int) -> None:
    """Record that the receiver has accepted everything up to ``after``."""
    segment, offset = after
    place = {"segment": segment, "offset": offset, "sent": row.sent + lines, "sent_at": clock.now()}
    OUTBOX.conclude(row, wait=None, failures=0, error="", **place)


def failed(*, row: LogDrain, error: str) -> None:
    """Record a failed attempt; the same lines are sent again after a pause."""
    OUTBOX.conclude(row, wait=drain_pause(row.failures), error=error[:200])
