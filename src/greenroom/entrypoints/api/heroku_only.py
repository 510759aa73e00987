"""Heroku's resources that Greenroom does not support, and the alternatives: the text of the 404 for their paths."""

from __future__ import annotations

import re

HERE = "/schema and docs/reference list the resources"
A = r"/apps/[^/]+"
"""The path of an app."""
DB = r"/client/v11/databases/[^/]+"

ENTERED = (
    "Access to running dynos is not supported: run:inside, ps:exec, ps:socks, ps:forward, ps:copy.",
    "use a one-off dyno with the same code and config vars: heroku run -a APP bash",
)

ELSEWHERE: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        (r"/teams/apps/[^/]+/collaborators",),
        "Teams are not supported, so users cannot join an app themselves.",
        "ask the app's owner to run heroku access:add E-MAIL -a APP",
    ),
    (
        (r"/(teams|organizations|enterprise-accounts)(/.*)?",),
        "Teams and private spaces are not supported: an app has an owner, and collaborators with roles.",
        (
            "omit --team and --space; add a collaborator with heroku access:add E-MAIL -a APP, or transfer the app with"
            " heroku apps:transfer E-MAIL"
        ),
    ),
    (
        (r"/(spaces|peerings?|vpn-connections)(/.*)?",),
        "Private spaces are not supported: the sandbox of its dynos isolates each app.",
        "omit --space",
    ),
    (
        (rf"{A}/dynos/[^/]+", r"/api/v2/.*", rf"{A}/ssh.*"),
        *ENTERED,
    ),
    (
        (r"/v2/.*", rf"{A}/(docker|oci-images|containers).*"),
        "A container registry is not supported: apps are built from commits.",
        "git push heroku HEAD:master",
    ),
    (
        (
            rf"{A}/(metrics|alerts|errors).*",
            rf"{A}/formation/[^/]+/(metrics|monitors).*",
            r"/(notifications|user/notifications).*",
        ),
        "Metrics, alerts, notifications and autoscaling of dynos are not supported.",
        "scale with heroku ps:scale web=N -a APP; heroku logs --tail -a APP shows the time of each request",
    ),
    (
        (
            r"/(invoices|usage|billing)(/.*)?",
            r"/account/(invoices|credits|payment|usage|quota).*",
            rf"{A}/(usage.*|actions/get-quota)",
        ),
        "Billing is not supported: Greenroom is free of charge.",
        "greenroom status shows what the installation uses",
    ),
    (
        (r"/oauth/(clients|tokens)(/.*)?",),
        "OAuth clients and grants are not supported: programs use an API token.",
        "heroku authorizations:create -d NAME",
    ),
    (
        (r"/users/[^/]+/two-factor.*", r"/account/(sms-number|recovery-codes|two-factor).*"),
        "Two-factor authentication is not supported.",
        "use tokens that expire: heroku authorizations:create -e SECONDS",
    ),
    (
        (
            r"/data/.*",
            rf"{DB}/(links|follow|fork|unfollow|upgrade|credentials_rotation|maintenance).*",
            r"/postgres/v0/databases/[^/]+/(links|upgrade|settings|config|connection-pools|maintenance|credentials).*",
        ),
        (
            "Databases are plain PostgreSQL, without followers, forks, pools, links, settings or upgrades. Kafka is not"
            " supported."
        ),
        "create a database with heroku addons:create heroku-postgresql -a APP; connect with heroku pg:psql -a APP",
    ),
    (
        (r"/telemetry-drains.*", rf"{A}/telemetry-drains.*"),
        "Telemetry drains are not supported.",
        "send the log with heroku drains:add URL -a APP",
    ),
    (
        (r"/favorites.*", r"/apps/favorites.*"),
        "Favorites are not supported.",
        "heroku apps",
    ),
)
"""(paths, message, hint with the alternative); the first match counts."""

_COMPILED = tuple((re.compile(rf"(?:{'|'.join(paths)})\Z"), text, hint) for paths, text, hint in ELSEWHERE)


def instead(path: str) -> tuple[str, str] | None:
    """(message, hint with the alternative) for an unsupported path of Heroku's API; None for any other path."""
    return next(((text, hint) for pattern, text, hint in _COMPILED if pattern.match(path)), None)
