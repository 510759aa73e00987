"""What a rehearsal's dyno sees of the app's environment: the copy in place of the database, and no other service."""

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
    """The environment with ``clone`` wherever a URL of the ``live`` database stands, and with the URLs of all other
    services leading nowhere.

    libpq's own variables go too. The rest stays as it is: the app has to start as it always does; its dyno has no
    network beside the copy.
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
