"""Valid and default names of attachments, and the messages for unknown services and attachment-owned config vars."""

from __future__ import annotations

import re
from collections.abc import Sequence

from greenroom.addons.rules.services import Service, listed

INSTEAD = {
    "scheduler": (
        "jobs need no add-on: greenroom jobs:add NAME --schedule @daily -a APP -- COMMAND; or [jobs.NAME] in"
        " greenroom.toml"
    ),
    "log": "send the log to an external service with: heroku drains:add URL -a APP",
}
"""A word in a service's name -> the substitute for a service that no kind provides."""
WORDS = {
    "scheduler": "scheduler",
    "cron": "scheduler",
    "papertrail": "log",
    "logentries": "log",
    "logdna": "log",
    "coralogix": "log",
}


def instead(wanted: str, there: Sequence[Service]) -> str:
    """The hint for an unknown service: an available one, or another substitute."""
    name = wanted.lower()
    known = next((one for one in there if any(word in name for word in one.words)), None)
    if known:
        return f"heroku addons:create {known.name} -a APP"
    word = next((word for word in WORDS if word in name), "")
    if word:
        return INSTEAD[WORDS[word]]
    return f"{listed(there)}; for an external service, set config vars: heroku config:set"


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


def attachment_name(service: Service, wanted: str, taken: set[str]) -> str:
    """The attachment name: ``wanted`` in upper case, without ``_URL``; by default the service's, then one with a colour
    like Heroku's.

    '' if ``wanted`` is invalid.
    """
    name = wanted.upper().replace("-", "_").removesuffix("_URL")
    if wanted:
        return name if NAME.match(name) else ""
    if service.attachment not in taken:
        return service.attachment
    for number in range(1, 100):
        for colour in COLOURS:
            name = f"{service.further}_{colour}" + (f"_{number}" if number > 1 else "")
            if name not in taken:
                return name
    return ""


def overwriting(keys: list[str], *, name: str, addon: str, service: Service, app: str) -> tuple[str, str]:
    """(text, hint) of the refusal to set or remove config vars that attachments own.

    name, addon, service: of the first key's attachment.
    """
    text = f"Cannot overwrite attachment values {', '.join(keys)}: {name} is attached to {addon}."
    promote = f"{service.promote} OTHER -a {app}, or " if service.promote else ""
    hint = (
        f"another {service.noun} of yours: {promote}heroku addons:attach OTHER --as {name} -a {app}; to set {keys[0]}"
        f" yourself: heroku addons:attach {addon} --as SPARE -a {app} && heroku addons:detach {name} -a {app}"
    )
    return text, hint


def given_already(services: Sequence[Service]) -> tuple[str, str]:
    """(text, hint) of the refusal to set config vars that new apps, review apps and test runs get from add-ons."""
    keys = ", ".join(one.variable for one in services)
    text = (
        f"Cannot overwrite attachment values {keys}: each new app, review app and test run gets a"
        f" {' and a '.join(one.noun for one in services)} of its own."
    )
    first = services[0].variable
    return text, f"use another name, for example REPORTS_{first}, and read it in your settings"
