"""Rules of the database service: snapshot retention and schedules, connection limits and quotas, and the explanation of
server errors. Pure.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from greenroom.addons.rules.services import LOOKED_AT, Diagnosis, Plan, Refusal, Service

TABLES = ("django_migrations", "alembic_version")
LEDGERS = (*TABLES, "django_migrations_id_seq")
"""Tables that only the owner writes: the records of applied migrations."""

THROWAWAY = r"^t[0-9a-f]{20}$"
"""Names of the roles of test runs, the only tenant roles that may create databases, under any free name."""

KEEP = {"manual": 20, "scheduled": 7, "before_migrate": 5, "before_restore": 5}
"""Number of finished snapshots of each kind kept for a database, newest first. Pinned ones are kept in addition."""
FAILED_DAYS = 7
KINDS = tuple(KEEP)
ZONES = {
    "PST": "America/Los_Angeles",
    "PDT": "America/Los_Angeles",
    "MST": "America/Boise",
    "MDT": "America/Boise",
    "CST": "America/Chicago",
    "CDT": "America/Chicago",
    "EST": "America/New_York",
    "EDT": "America/New_York",
    "Z": "UTC",
    "GMT": "Europe/London",
    "BST": "Europe/London",
    "CET": "Europe/Paris",
    "CEST": "Europe/Paris",
}
"""Time zone abbreviations that Heroku's CLI accepts."""

MOST, LEAST = 20, 5
"""Maximum connections of an app to its database, as on Heroku's Essential plans, and the minimum for a Django app."""
OWN = 5
"""Additional connections to each database for the platform's own tasks: dumps, migration probes, the database page."""
PLATFORM = 60
"""Connections of the server reserved for the platform: the pools of web and worker, and their single connections."""
WORK = 100
"""Connections of the server reserved for databases of test runs and rehearsals."""
STEP = 10
"""A new database gets one tenth of the remaining connections, so that late databases get fewer before any is
refused.
"""
HARD = 2
"""At this multiple of the quota, an app's roles may not log in."""


@dataclass(frozen=True)
class Held:
    """A snapshot, for retention. used: an open restore needs it."""

    key: str
    kind: str
    state: str
    pinned: bool
    used: bool
    at: datetime


def expired(rows: list[Held], now: datetime) -> list[str]:
    """Keys of removable snapshots: beyond KEEP of their kind, or failed a week ago. Never a pinned or a used one."""
    gone = []
    seen = dict.fromkeys(KEEP, 0)
    for row in sorted(rows, key=lambda row: row.at, reverse=True):
        if row.pinned or row.used or row.kind not in KEEP:
            continue
        if row.state == "succeeded":
            seen[row.kind] += 1
            if seen[row.kind] > KEEP[row.kind]:
                gone.append(row.key)
        elif row.state == "failed" and now - row.at > timedelta(days=FAILED_DAYS):
            gone.append(row.key)
    return gone


def zone(name: str) -> ZoneInfo | None:
    """The time zone of that name or Heroku abbreviation; None if there is none."""
    try:
        return ZoneInfo(ZONES.get(name.upper(), name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return None


def due(*, hour: int, timezone: str, last_day: date | None, now: datetime) -> date | None:
    """The local date for which a snapshot is due now; None if it exists, or its hour has not come."""
    place = zone(timezone)
    there = now.astimezone(place) if place else now
    day = there.date()
    return day if there.hour >= hour and (last_day is None or last_day < day) else None


def room(*, most: int, reserved: int) -> int:
    """Connections of a server for the databases of apps.

    most: the limit for roles that are not superusers; reserved: by reserved_connections. A small external server keeps
    a quarter for the platform and a tenth for test runs.
    """
    return most - max(reserved, min(PLATFORM, most // 4)) - min(WORK, most // 10)


def share(left: int) -> int:
    """The connections of a new database if ``left`` remain; 0 if that is not enough."""
    return max(LEAST, min(MOST, left // STEP - OWN)) if left >= LEAST + OWN else 0


def over(size: int, quota: int, before: str) -> str:
    """The quota state of a database of ``size`` bytes: '', 'full' (read-only) or 'closed' (no sessions). Quota 0:
    unlimited.

    A state ends at 95 % of its threshold, so that it does not flip with each row.
    """
    if not quota:
        return ""
    full, closed = quota, HARD * quota
    if before:
        full = full * 95 // 100
    if before == "closed":
        closed = closed * 95 // 100
    return "closed" if size > closed else "full" if size > full else ""


REFUSED = re.compile(
    r"must be owner of (?:\w+ ){1,3}[\w.\"-]+"
    r"|permission denied (?:for (?:schema|database) [\w.\"-]+|for (?:table|sequence)"
    r" \"?(?:django_migrations|alembic_version)\w*\"?"
    r"|to create extension \"[^\"\n]{1,80}\")"
)
"""PostgreSQL's errors for a role that may not change the schema or the record of migrations."""
BUILD_REFUSED = re.compile(REFUSED.pattern + r"|permission denied for (?:table|sequence|view) [\w.\"-]+")


def refused(output: str, *, build: bool = False) -> str:
    """The last refused schema change in a program's output; empty if there is none. build: any refused change."""
    found = [match.group() for match in (BUILD_REFUSED if build else REFUSED).finditer(output[-LOOKED_AT:])]
    return found[-1] if found else ""


def refusal(words: str, app: str, *, build: bool = False) -> tuple[str, str]:
    """(meaning, remedy) of a refusal, for users."""
    migrate = f"greenroom run -a {app} python manage.py migrate"
    if build:
        return (
            (
                f"The database refused `{words}`: builds can only read live data; a user runs migrations"
                " after the release."
            ),
            f"remove it from the build (bin/pre_compile, bin/post_compile); after the release: {migrate}",
        )
    return (
        (
            f"The database refused `{words}`: only a command that a user runs may change the schema or the record of"
            " migrations."
        ),
        (
            f"remove it from the Procfile or its script, then: {migrate}; an app that creates tables at run time"
            ' needs [policy] schema_changes = "any" in greenroom.toml'
        ),
    )


NO_TLS = re.compile(r"server does not support SSL, but SSL was required")
"""Only an external server without TLS causes it: dynos reach the embedded one through forwards, which speak TLS."""
UNTRUSTED = ("vector", "postgis")
"""Extensions of superusers that ``greenroom_cli.host.untrusted_extensions`` lets owners create."""
RESERVED = re.compile(rf"permission denied to create extension \"({'|'.join(UNTRUSTED)})\"")
NO_EXTENSION = re.compile(r"extension \"([\w-]{1,63})\" is not available")


def remedy(output: str) -> str:
    """The remedy if a program's output reports a missing server feature: TLS or an extension. Else empty."""
    text = output[-LOOKED_AT:]
    if NO_TLS.search(text):
        return (
            "the settings require TLS (ssl_require=True, sslmode=require), and the external PostgreSQL of this"
            " installation has none; the operator can switch it on there (ssl = on), or the settings can ask for it"
            ' without requiring it: ssl_require=False, or options={"sslmode": "prefer"}, in DATABASES'
        )
    if missing := NO_EXTENSION.search(text):
        return (
            f"this PostgreSQL does not have the extension {missing[1]}; the operator gets the command that installs it"
            " from `greenroom doctor`, and docs/howto/operate.md (Extensions) says what an existing installation needs"
        )
    if reserved := RESERVED.search(text):
        return (
            f"only a superuser creates the extension {reserved[1]} without IF NOT EXISTS; write CREATE EXTENSION IF NOT"
            f" EXISTS {reserved[1]}, as the operations of Django and pgvector do, and Greenroom creates it for the"
            " database's owner; on an external PostgreSQL, its superuser creates it"
        )
    return ""


def _refusal(output: str, app: str, build: bool) -> Refusal | None:
    words = refused(output, build=build)
    return Refusal(words, *refusal(words, app, build=build)) if words else None


SERVICE = Service(
    kind="postgres",
    id="00000000-0000-4000-8000-000000000010",
    name="heroku-postgresql",
    human_name="PostgreSQL",
    noun="database",
    promote="heroku pg:promote",
    aliases=("postgresql", "postgres"),
    words=("postgres",),
    plans=(
        Plan(
            id="00000000-0000-4000-8000-000000000011",
            name="essential-0",
            human_name="Essential 0",
            description="PostgreSQL on this machine",
        ),
    ),
    attachment="DATABASE",
    further="HEROKU_POSTGRESQL",
    nowhere={"_URL": "postgres://nobody:nothing@127.0.0.1:1/nothing"},
    given=True,
    size_command="heroku pg:info",
    diagnosis=Diagnosis(refusal=_refusal, remedy=remedy),
)
