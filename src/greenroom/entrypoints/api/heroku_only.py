"""Heroku's resources that Greenroom leaves out, and what to use instead: the text of the 404 for their paths."""

from __future__ import annotations

import re

HERE = "the resources are listed at /schema and in docs/reference"
A = r"/apps/[^/]+"
"""The path of an app."""
DB = r"/client/v11/databases/[^/]+"

ENTERED = (
    "A dyno that runs is not entered: there is no run:inside, ps:exec, ps:socks, ps:forward or ps:copy.",
    "heroku run -a APP bash starts a one-off dyno with the same code and config vars",
)

ELSEWHERE: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        (r"/teams/apps/[^/]+/collaborators",),
        "There are no teams: nobody joins an app by themselves.",
        "its owner lets you in: heroku access:add E-MAIL -a APP",
    ),
    (
        (r"/(teams|organizations|enterprise-accounts)(/.*)?",),
        "There are no teams or private spaces here: an app has an owner, and collaborators with roles.",
        (
            "leave --team and --space out; heroku access:add E-MAIL -a APP lets somebody in, heroku apps:transfer"
            " E-MAIL gives an app away"
        ),
    ),
    (
        (r"/(spaces|peerings?|vpn-connections)(/.*)?",),
        "There are no private spaces: every app is isolated from every other by the sandbox of its dynos.",
        "leave --space out",
    ),
    (
        (rf"{A}/dynos/[^/]+", r"/api/v2/.*", rf"{A}/ssh.*"),
        *ENTERED,
    ),
    (
        (r"/v2/.*", rf"{A}/(docker|oci-images|containers).*"),
        "There is no container registry: apps are built from their commits.",
        "git push heroku HEAD:master",
    ),
    (
        (
            rf"{A}/(metrics|alerts|errors).*",
            rf"{A}/formation/[^/]+/(metrics|monitors).*",
            r"/(notifications|user/notifications).*",
        ),
        "There are no metrics, alerts, notifications or autoscaling of dynos.",
        "heroku ps:scale web=N -a APP sets how many run; heroku logs --tail -a APP shows each request's time",
    ),
    (
        (
            r"/(invoices|usage|billing)(/.*)?",
            r"/account/(invoices|credits|payment|usage|quota).*",
            rf"{A}/(usage.*|actions/get-quota)",
        ),
        "Nothing is billed here.",
        "greenroom status shows what the installation uses",
    ),
    (
        (r"/oauth/(clients|tokens)(/.*)?",),
        "There are no OAuth clients or grants: programs use a token.",
        "heroku authorizations:create -d NAME",
    ),
    (
        (r"/users/[^/]+/two-factor.*", r"/account/(sms-number|recovery-codes|two-factor).*"),
        "There is no two-factor sign-in here.",
        "heroku authorizations:create -e SECONDS makes tokens that end by themselves",
    ),
    (
        (
            r"/(redis|data)/.*",
            rf"{DB}/(links|follow|fork|unfollow|upgrade|credentials_rotation|maintenance).*",
            r"/postgres/v0/databases/[^/]+/(links|upgrade|settings|config|connection-pools|maintenance|credentials).*",
        ),
        (
            "The add-ons here are plain PostgreSQL databases: no followers, forks, pools, links, settings or upgrades,"
            " and no Redis or Kafka."
        ),
        "heroku addons:create heroku-postgresql -a APP makes one; heroku pg:psql -a APP reaches it",
    ),
    (
        (r"/telemetry-drains.*", rf"{A}/telemetry-drains.*"),
        "There are no telemetry drains.",
        "heroku drains:add URL -a APP sends the log",
    ),
    (
        (r"/favorites.*", r"/apps/favorites.*"),
        "There are no favourites.",
        "heroku apps",
    ),
)
"""(paths, what is not there, what to use instead); the first that matches counts."""

_COMPILED = tuple((re.compile(rf"(?:{'|'.join(paths)})\Z"), text, hint) for paths, text, hint in ELSEWHERE)


def instead(path: str) -> tuple[str, str] | None:
    """(what is not there, what to use instead) for a path of Heroku's that is left out; None for any other path."""
    return next(((text, hint) for pattern, text, hint in _COMPILED if pattern.match(path)), None)
