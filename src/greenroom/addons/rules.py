"""Names of attachments: which are allowed, which a database gets that nobody named, and what is said to who would write
their config vars.
"""

from __future__ import annotations

import re

KIND_OF = {"heroku-postgresql": "postgres", "postgresql": "postgres", "postgres": "postgres"}
"""Names under which a service is known -> the kind of its add-ons."""
PLANS = {"heroku-postgresql": ("essential-0",)}
INSTEAD = {
    "redis": "there is no Redis: run one elsewhere and `heroku config:set REDIS_URL=redis://HOST:6379 -a APP`",
    "postgres": "heroku addons:create heroku-postgresql -a APP",
    "scheduler": (
        "there is no scheduler: a worker process in the Procfile with the times in it, for example with APScheduler or"
        " celery beat"
    ),
    "mail": "there is no mail service: `heroku config:set EMAIL_HOST=... -a APP` names one that the app reaches",
    "log": "heroku drains:add URL -a APP sends the log to a service elsewhere",
}
"""A word in a service's name -> what to use, where the service is not there."""
WORDS = {
    "redis": "redis",
    "memcached": "redis",
    "keydb": "redis",
    "valkey": "redis",
    "postgres": "postgres",
    "scheduler": "scheduler",
    "cron": "scheduler",
    "mail": "mail",
    "sendgrid": "mail",
    "postmark": "mail",
    "papertrail": "log",
    "logentries": "log",
    "logdna": "log",
    "coralogix": "log",
}


def instead(service: str) -> str:
    """What to do when a service is not there."""
    word = next((word for word in WORDS if word in service.lower()), "")
    return (
        INSTEAD[WORDS[word]]
        if word
        else (
            "the only add-on service is heroku-postgresql; what is elsewhere is reached by config vars: heroku"
            " config:set"
        )
    )


def plan_problem(wanted: str) -> str:
    """Why ``service:plan`` cannot be had, of a service that is there; empty if it can, or if no plan is named."""
    service, _, plan = wanted.partition(":")
    plans = PLANS["heroku-postgresql"]
    if not plan or plan in plans:
        return ""
    return f"Couldn't find the plan {plan[:60]!r} of {service}: the only one is {' and '.join(plans)}."


NAME = re.compile(r"[A-Z][A-Z0-9_]{0,54}\Z")
ADDON_NAME = re.compile(r"[a-z][a-z0-9-]{1,78}[a-z0-9]\Z")
COLOURS = (
    "AMBER",
    "AQUA",
    "BLACK",
    "BLUE",
    "BRONZE",
    "BROWN",
    "CHARCOAL",
    "COBALT",
    "COPPER",
    "CRIMSON",
    "CYAN",
    "GOLD",
    "GRAY",
    "GREEN",
    "IVORY",
    "JADE",
    "MAROON",
    "MAUVE",
    "NAVY",
    "OLIVE",
    "ONYX",
    "ORANGE",
    "PINK",
    "PUCE",
    "PURPLE",
    "RED",
    "ROSE",
    "SILVER",
    "TEAL",
    "VIOLET",
    "WHITE",
    "YELLOW",
)


def attachment_name(wanted: str, taken: set[str]) -> str:
    """The name to use: ``wanted`` in capitals, without ``_URL``; DATABASE for the first; else a colour as Heroku has
    it. '' when it cannot be.
    """
    name = wanted.upper().replace("-", "_").removesuffix("_URL")
    if wanted:
        return name if NAME.match(name) else ""
    if "DATABASE" not in taken:
        return "DATABASE"
    for number in range(1, 100):
        for colour in COLOURS:
            name = f"HEROKU_POSTGRESQL_{colour}" + (f"_{number}" if number > 1 else "")
            if name not in taken:
                return name
    return ""


GIVEN = "DATABASE_URL"
"""The config var that each app, each review app and each test run gets from the database that is made for it."""


def overwriting(keys: list[str], *, addons: dict[str, str], app: str) -> tuple[str, str]:
    """(text, hint) of the refusal to set or remove config vars that attachments own. addons: the add-on's name for each
    key.
    """
    key = keys[0]
    name = key.removesuffix("_URL")
    text = f"Cannot overwrite attachment values {', '.join(keys)}: {name} is attached to {addons[key]}."
    hint = (
        f"another database of yours: heroku pg:promote OTHER -a {app}, or heroku addons:attach OTHER --as {name} -a"
        f" {app}; to set {key} yourself: heroku addons:attach {addons[key]} --as SPARE -a {app} && heroku addons:detach"
        f" {name} -a {app}"
    )
    return text, hint
