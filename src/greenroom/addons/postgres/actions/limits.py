"""Limits the connections and the size of each database, so that no account can exhaust the server.

Connections are reserved at the creation of a database: the sum of all reservations stays below the server's limit for
apps. The worker measures some databases each turn: above its quota, a database becomes read-only for the app; above
twice the quota, it is closed.
"""

from __future__ import annotations

import logging
import uuid
from functools import partial
from pathlib import Path

import psycopg
from django.conf import settings
from django.db import connection as own
from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.rules import PLATFORM
from greenroom.addons.actions import note
from greenroom.addons.models import Addon
from greenroom.addons.postgres import rules
from greenroom.addons.postgres.drivers import server
from greenroom.addons.postgres.queries import connections_of, given_out, roles_of
from greenroom.basics.errors import ConflictError
from greenroom.basics.guard import Guard
from greenroom.logs.actions import say

log = logging.getLogger(__name__)
OWNER = {"statement_timeout": "0", "idle_in_transaction_session_timeout": "1h"}
"""Defaults of the role that changes the schema: no timeout for migrations, a timeout for idle transactions."""
RUNNING = {"statement_timeout": "15min", "idle_in_transaction_session_timeout": "10min"}
"""Defaults of the role that serves requests. The app can change them for a session or, with ALTER ROLE, for itself."""
LOCK = 7_403
A_TURN = 20


def take(owner: Account) -> int:
    """Reserve connections for a new database of the account, until the end of the transaction.

    Returns their number. ConflictError if there is no capacity.
    """
    with own.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    return _left(owner, before=0)


def _left(owner: Account, before: int) -> int:
    whole, taken = _room(), given_out() - before
    limit = rules.share(whole - taken)
    if not limit:
        raise ConflictError(
            f"The PostgreSQL server has no connections left for another database: {taken} of {whole} are reserved.",
            hint=(
                "destroy an unused database (greenroom addons -a APP); the operator can raise"
                " GREENROOM_POSTGRES_CONNECTIONS (max_connections of an external server) and restart"
            ),
        )
    most = settings.ACCOUNT_CONNECTIONS
    if owner.is_admin or not most:
        return limit
    used = given_out(owner.pk) - before
    mine = rules.share(most - used)
    if not mine:
        raise ConflictError(
            f"The account {owner.email} has reached its limit of database connections: {used} of {most}.",
            hint=(
                "destroy an unused database (greenroom addons -a APP); "
                "the operator can raise GREENROOM_ACCOUNT_CONNECTIONS"
            ),
        )
    return min(limit, mine)


@transaction.atomic
def refuse_if_full(owner: Account) -> None:
    """ConflictError if ``take`` would raise it: to check before creating an app that could get no database."""
    take(owner)


def _room() -> int:
    with own.cursor() as cursor:
        cursor.execute(
            "SELECT current_setting('max_connections')::int, current_setting('superuser_reserved_connections')::int,"
            " coalesce(current_setting('reserved_connections', true), '0')::int"
        )
        most, superusers, reserved = cursor.fetchone()
    return rules.room(most=most - superusers, reserved=reserved)


class Watch:
    """Checks sizes and limits of ``A_TURN`` databases each turn, in rotation."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.place = uuid.UUID(int=0)
        self.guard = Guard(log)

    def turn(self) -> None:
        """Check the next databases. Idempotent; corrects server settings that differ from the row."""
        rows = list(
            Addon.objects.filter(kind="postgres", state="provisioned", pk__gt=self.place)
            .select_related("app__owner")
            .order_by("pk")[:A_TURN]
        )
        self.place = rows[-1].pk if len(rows) == A_TURN else uuid.UUID(int=0)
        for addon in rows:
            self.guard.run(addon.pk, f"limits of {addon.name}", partial(look, addon=addon, home=self.home))


def look(*, addon: Addon, home: Path) -> None:
    """Measure the database, record and report a change of its quota state, and correct the server's limits.

    Missing roles on the server are skipped.
    """
    with server.connect() as connection:
        facts = server.facts(connection, addon.data["database"])
        if facts is None:
            return
        quota = settings.DATABASE_MB * 1_000_000
        before = addon.data.get("over", "")
        now = rules.over(facts.bytes, quota, before)
        if now != before:
            note(addon, {"over": now})
        _grow(addon)
        roles = [role for role in roles_of(addon) if server.role_exists(connection, role)]
        _enforce(connection, addon, roles)
        if now or before:
            for role in roles:
                server.restrain(connection, role, read_only=bool(now), login=now != "closed")
        if now != before:
            for role in roles:
                server.end_sessions(connection, role=role)
            _tell(addon, home, facts.bytes, quota)


def _enforce(connection: psycopg.Connection, addon: Addon, roles: list[str]) -> None:
    limit = connections_of(addon)
    if server.database_limit(connection, addon.data["database"]) != limit + rules.OWN:
        server.limit_database(connection, addon.data["database"], limit)
    for role in roles:
        if server.role_limit(connection, role) != limit:
            server.limit_role(connection, role, limit)


@transaction.atomic
def _grow(addon: Addon) -> None:
    """Give more connections to a database that got few while the server was full."""
    now = connections_of(addon)
    if now >= rules.MOST:
        return
    with own.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK])
    try:
        more = _left(addon.app.owner, before=now + rules.OWN)
    except ConflictError:
        return
    if more > now:
        note(addon, {"connections": more})


def _tell(addon: Addon, home: Path, size: int, quota: int) -> None:
    over = addon.data["over"]
    facts = f"{addon.name} has {size / 1e6:.0f} MB; the limit is {quota / 1e6:.0f} MB"
    text = {
        "": f"{facts}: the app can write again.",
        "full": (
            f"{facts}: it is read-only for the app. Delete rows from a one-off dyno (begin its session with SET"
            " default_transaction_read_only = off), then VACUUM FULL; or ask the operator to raise"
            " GREENROOM_DATABASE_MB."
        ),
        "closed": (
            f"{facts}: the app cannot connect until it is smaller. Empty it with `heroku pg:reset` or restore a"
            " snapshot with `greenroom pg:restore`; or ask the operator to raise GREENROOM_DATABASE_MB."
        ),
    }[over]
    say(app=addon.app, home=home, process="postgres", text=text)
    audit(
        actor=PLATFORM, action="addon.quota", app=addon.app, detail={"addon": addon.name, "bytes": size, "over": over}
    )
