"""Reads what people are told of: changes of deliveries, dynos that crash again and again, certificates that end, and
the disk. Each query reads the newest changes of all apps at once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db.models import Q

from greenroom.accounts.models import Account
from greenroom.app_migrations import queries as migrations
from greenroom.app_migrations.queries import states_of
from greenroom.app_migrations.rules import migrate_command
from greenroom.apps.models import App
from greenroom.apps.queries import web_url
from greenroom.basics import backup_record, disk
from greenroom.builds.rules import masked, visible_config
from greenroom.config_vars import queries as config_vars
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import remedies, state_of
from greenroom.dynos import queries as dynos
from greenroom.dynos.models import CRASHES, Dyno
from greenroom.router.models import SniEndpoint
from greenroom.webhooks.models import Notification, Webhook
from greenroom.webhooks.rules import notices
from greenroom.webhooks.rules.notices import Notice

SETTLED = timedelta(minutes=2)
"""A row is read again for this long after its change: transactions become visible later than their time says."""
MOST = 200
"""Changes of a kind that are read in one turn."""
ENDING = (1, 14)
"""Days before the end of a certificate at which people are told, the last one first."""
NOBODY = {"id": "", "email": "greenroom"}


@dataclass(frozen=True, kw_only=True)
class Occurrence:
    """Something that people may be told of. key: unique, at most 150 characters; app: None for the installation; at:
    when it happened; data: facts for webhooks.
    """

    key: str
    app: App | None
    at: datetime
    notice: Notice
    include: str = "alerts"
    data: Mapping[str, Any] = field(default_factory=dict)
    actor: Mapping[str, str] = field(default_factory=lambda: NOBODY)


def changed_deliveries(since: datetime) -> list[Delivery]:
    """The deliveries that changed since then, of apps with notifications or webhooks; oldest change first."""
    rows = Delivery.objects.filter(updated_at__gte=since).order_by("updated_at")
    if not Notification.objects.filter(app=None).exists():
        told = Q(app__in=Notification.objects.values("app")) | Q(app__in=Webhook.objects.values("app"))
        rows = rows.filter(told)
    return list(rows.select_related("app", "release", "account", "build")[:MOST])


def key_of(row: Delivery) -> tuple[str, str]:
    """(key, event) of what a delivery has come to; two empty texts while it is on its way."""
    event = notices.event_of(state_of(row), released=row.release is not None)
    at = row.finished_at or row.created_at
    return (f"delivery/{row.pk.hex}/{event}/{at.timestamp():.6f}", event) if event else ("", "")


def of_delivery(row: Delivery, home: Path, installation: Mapping[str, Any]) -> Occurrence:
    """The state that a delivery has reached, with its text. The delivery must have a key."""
    key, event = key_of(row)
    live = dynos.live(row.app)
    subject = f"v{row.release.version} ({row.sha[:8]})" if row.release and row.sha else row.sha[:8]
    waiting = _pending(row) if event == "live" else []
    subject = subject or (f"v{row.release.version}" if row.release else f"Delivery {row.seq}")
    notice = notices.delivery_notice(
        event,
        app=row.app.name,
        subject=subject,
        by=row.account.email if row.account else "",
        reason=notices.pending_text(waiting) if event == "live" else without_secrets(row.app, _reason(row), home),
        serving=f"v{live.release.version}" if live else "",
        command=_migrate(row) if waiting else remedies.hint_of(row),
        url=web_url(row.app, installation) if event == "live" else "",
    )
    at = row.finished_at or row.created_at
    data = {
        "id": str(row.pk),
        "state": row.state,
        "sha": row.sha,
        "kind": row.kind,
        "release": {"version": row.release.version} if row.release else None,
    }
    return Occurrence(
        key=key, app=row.app, at=at, notice=notice, include="deliveries", data=data, actor=_actor(row.account)
    )


def _reason(row: Delivery) -> str:
    """The reason, without the hint, which is the command of the notice."""
    return row.reason.partition("\nhint: ")[0].strip()


def _pending(row: Delivery) -> list[str]:
    """The pending migrations of a delivery's release, as the radar knows them."""
    state = states_of([row.release_id]).get(row.release_id) if row.release_id else None
    return list(state.pending) if state else []


def _migrate(row: Delivery) -> str:
    framework = migrations.framework(row.release) if row.release else ""
    return f"greenroom run -a {row.app.name} {migrate_command(framework)}"


def crashing(since: datetime, home: Path) -> Iterator[Occurrence]:
    """The dynos that replace one after CRASHES crashes."""
    rows = Dyno.objects.filter(restarts=CRASHES, created_at__gte=since - SETTLED).select_related("app", "release")
    for row in rows.order_by("created_at")[:MOST]:
        before = Dyno.objects.filter(app=row.app, type=row.type, ordinal=row.ordinal, restarts=CRASHES - 1)
        last = before.order_by("-created_at").first()
        words = last.last_words.strip().rpartition("\n")[2] if last else ""
        notice = Notice(
            event="crashed",
            app=row.app.name,
            what=f"{row.name} of v{row.release.version} crashed {CRASHES} times in succession.",
            why=without_secrets(row.app, words, home),
            keeps="Greenroom starts it again, with pauses of up to 5 minutes.",
            command=f"heroku logs --dyno {row.name} -a {row.app.name}",
        )
        yield Occurrence(key=f"crashed/{row.pk.hex}", app=row.app, at=row.created_at, notice=notice)


def ending_certificates(now: datetime) -> Iterator[Occurrence]:
    """The uploaded certificates that end within days; Greenroom renews its own."""
    rows = SniEndpoint.objects.filter(issued=False, expires_at__lt=now + timedelta(days=max(ENDING)))
    for row in rows.filter(expires_at__gt=now).select_related("app").order_by("expires_at")[:MOST]:
        days = next(days for days in ENDING if row.expires_at - now <= timedelta(days=days))
        notice = Notice(
            event="certificate",
            app=row.app.name,
            what=f"The certificate {row.name} ends on {row.expires_at:%Y-%m-%d}.",
            why=f"It is for {', '.join(row.names[:5])}.",
            turn="an operator",
            command=f"heroku certs:update CERTIFICATE KEY --name {row.name} -a {row.app.name}",
        )
        key = f"certificate/{row.pk.hex}/{row.expires_at:%Y%m%d}/{days}"
        yield Occurrence(key=key, app=row.app, at=now, notice=notice)


def low_disk(home: Path, now: datetime) -> Iterator[Occurrence]:
    """Once a day while the reserve of the disk is in use."""
    text = disk.lacking(home)
    if text:
        notice = Notice(
            event="disk",
            app="",
            what="The disk of Greenroom is low.",
            why=f"{text}.",
            keeps="Apps keep running; pushes and snapshots wait.",
            turn="an administrator",
            command="greenroom doctor",
        )
        yield Occurrence(key=f"disk/{now:%Y%m%d}", app=None, at=now, notice=notice)


def failed_backup(home: Path, now: datetime) -> Iterator[Occurrence]:
    """A backup that failed or was stopped, and once a day the last good one that is too old."""
    record = backup_record.read(home)
    last, good = record.last, record.succeeded
    if last is not None and last.state in ("failed", "interrupted"):
        yield _of_backup("The backup of Greenroom failed.", last.error, f"{last.started:.0f}", now)
    elif good is not None and now.timestamp() - good.started > backup_record.STALE:
        days = int((now.timestamp() - good.started) // 86400)
        yield _of_backup(f"The last backup of Greenroom is {days} days old.", "", f"old/{now:%Y%m%d}", now)


def _of_backup(what: str, why: str, key: str, now: datetime) -> Occurrence:
    notice = Notice(event="backup", app="", what=what, why=why, turn="an administrator", command="greenroom backup")
    return Occurrence(key=f"backup/{key}", app=None, at=now, notice=notice)


LIMITS = {
    "": "has room again",
    "full": "reached its limit and is read-only",
    "closed": "is far beyond its limit and closed",
    "near": "is near its limit",
}
"""Levels of an add-on's size, as its audit rows have them."""


def of_limit(app: App, key: str, at: datetime, detail: Mapping[str, Any]) -> Occurrence:
    """The size of a database or a volume, from an audit row."""
    level = str(detail.get("over") or "")
    notice = Notice(
        event="limit",
        app=app.name,
        what=f"{detail.get('addon', 'An add-on')} {LIMITS.get(level, f'is {level}')}.",
        why=f"It has {float(detail.get('bytes') or 0) / 1e6:,.0f} MB.",
        turn="an operator" if level else "",
        command=f"heroku logs -a {app.name}" if level else "",
    )
    return Occurrence(key=f"limit/{key}", app=app, at=at, notice=notice, data=dict(detail))


def without_secrets(app: App, text: str, home: Path) -> str:
    """The text with the values of the app's secret config vars masked."""
    newest = config_vars.latest(app)
    values = config_vars.values(newest, home) if newest and text else {}
    return masked(text, visible_config.hidden(values, ()))


def targets(app: App | None, event: str, at: datetime) -> Iterable[Notification]:
    """The notifications that an event is for: those of its app and those for all apps, older than the event."""
    rows = Notification.objects.filter(app=None) | Notification.objects.filter(app=app)
    return [row for row in rows.filter(created_at__lte=at) if event in row.events]


def _actor(account: Account | None) -> dict[str, str]:
    return {"id": str(account.pk), "email": account.email} if account else dict(NOBODY)
