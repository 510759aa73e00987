"""The environment of a rehearsal dyno: the copy replaces the database, and other services are unreachable."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

SERVICES = re.compile(
    r"^(postgres|postgresql|postgis|pgsql|timescale|psycopg2?|mysql|mysql2|mariadb|mssql|oracle|mongodb|mongodb\+srv"
    r"|redis|rediss|valkey|valkeys|amqp|amqps"
    r"|pyamqp|sqs|kafka|kafka\+ssl|nats|mqtt|mqtts|memcached?|smtp|smtps|smtp\+tls|smtp\+ssl|submission|ldap|ldaps"
    r"|elasticsearch|s3)(\+[\w.]+)?://",
    re.IGNORECASE,
)
NOWHERE = "127.0.0.1:1"
LIBPQ = (
    "PGHOST",
    "PGHOSTADDR",
    "PGPORT",
    "PGDATABASE",
    "PGUSER",
    "PGPASSWORD",
    "PGSERVICE",
    "PGPASSFILE",
    "PGSERVICEFILE",
)


def isolated(env: Mapping[str, str], *, live: Collection[str], clone: str) -> dict[str, str]:
    """The environment with each URL of the ``live`` database replaced by ``clone``, and all other service URLs
    disabled.

    libpq's variables are removed. The rest is unchanged, so that the app starts as usual; its dyno can reach only the
    copy.
    """
    found = {}
    for name, value in env.items():
        if name in LIBPQ:
            continue
        if value in live:
            found[name] = clone
        elif match := SERVICES.match(value):
            found[name] = f"{match.group(0)}{NOWHERE}/0"
        else:
            found[name] = value
    return {**found, "DATABASE_URL": clone}
