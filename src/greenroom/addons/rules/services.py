"""The services of add-ons, as in Heroku's catalogue, each declared by its kind's ``rules.py``. Pure.

A kind is a package of ``greenroom.addons`` with a module ``kind``; the package's name is the kind's name.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec

import greenroom.addons

LOOKED_AT = 200_000
"""Number of characters searched at the end of an output."""


@dataclass(frozen=True)
class Refusal:
    """words: the server's message; message: its meaning; hint: the remedy."""

    words: str
    message: str
    hint: str


@dataclass(frozen=True)
class Diagnosis:
    """A kind's diagnoses of a program's output.

    refusal: (output, app's name, whether it is a build's) -> the last refused change, or None.
    remedy: output -> the remedy for a missing server feature, or ''.
    """

    refusal: Callable[[str, str, bool], Refusal | None]
    remedy: Callable[[str], str]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A plan of a service. id: a permanent UUID; name: without the service's name."""

    id: str
    name: str
    human_name: str
    description: str


@dataclass(frozen=True, kw_only=True)
class Service:
    """A kind of add-on as users and Heroku clients see it.

    kind: the package's name. id: a permanent UUID. name: Heroku's slug; aliases: other names of it. words: parts of
    other services' names for which this one is a substitute.
    noun: ``database``. promote: the command that makes another add-on the app's primary one. plans: the first is the
    default.
    attachment: the name of an app's first attachment; further: the prefix of later ones. variables: suffixes of an
    attachment's config vars, the main one first. nowhere: their values for commands that need the config vars but no
    server.
    dialects: an attachment's name -> suffix -> the suffix in ``variables`` whose value it has. An alias in lower case
    of that name gives it: ``mailgun`` attaches as MAILGUN, with the config vars of Heroku's add-on of that name.
    shared: whether other apps can attach one. options: names of the options of a creation.
    given: each new app, review app and test run gets one. size_command: the command that shows the limits. diagnosis:
    None if the kind's errors need no explanation.
    """

    kind: str
    id: str
    name: str
    human_name: str
    noun: str
    plans: tuple[Plan, ...]
    attachment: str
    further: str
    promote: str = ""
    aliases: tuple[str, ...] = ()
    words: tuple[str, ...] = ()
    variables: tuple[str, ...] = ("_URL",)
    nowhere: Mapping[str, str] = field(default_factory=dict)
    dialects: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    shared: bool = True
    options: tuple[str, ...] = ()
    given: bool = False
    size_command: str = "heroku addons:info"
    diagnosis: Diagnosis | None = None

    @property
    def plan(self) -> str:
        """The default plan with the service's name, ``heroku-redis:mini``."""
        return f"{self.name}:{self.plans[0].name}"

    @property
    def variable(self) -> str:
        """The main config var of an app's first attachment, ``DATABASE_URL``."""
        return f"{self.attachment}{self.variables[0]}"

    def options_in(self, given: object) -> dict[str, object]:
        """The service's own options in an untrusted ``options`` of app.json."""
        return {key: given[key] for key in self.options if key in given} if isinstance(given, dict) else {}

    @property
    def names(self) -> tuple[str, ...]:
        """All names of the service."""
        return (self.name, *self.aliases)

    def suffixes(self, attachment: str) -> dict[str, str]:
        """The suffixes of an attachment's config vars -> the suffix in ``variables`` whose value it has."""
        return dict(self.dialects.get(attachment) or {suffix: suffix for suffix in self.variables})

    def keys(self, attachment: str) -> list[str]:
        """The config vars of an attachment."""
        return [f"{attachment}{suffix}" for suffix in self.suffixes(attachment)]

    def dialect_of(self, name: str) -> str:
        """The name of the first attachment of ``alias:plan``; empty for names without a dialect."""
        wanted = name.partition(":")[0].upper()
        return wanted if wanted in self.dialects else ""


def folders() -> tuple[str, ...]:
    """The names of the kinds, sorted."""
    return _folders(tuple(greenroom.addons.__path__))


@cache
def _folders(places: tuple[str, ...]) -> tuple[str, ...]:
    packages = (found.name for found in pkgutil.iter_modules(places) if found.ispkg)
    return tuple(sorted(name for name in packages if find_spec(f"greenroom.addons.{name}.kind")))


def services() -> tuple[Service, ...]:
    """The services of all kinds."""
    return tuple(importlib.import_module(f"greenroom.addons.{name}.rules").SERVICE for name in folders())


def named(text: str) -> Service | None:
    """The service of that name or alias; None when there is none."""
    return next((one for one in services() if text in one.names), None)


def substitute(wanted: str) -> Service | None:
    """The service that replaces an unknown one of that name; None when there is none."""
    name = wanted.lower()
    return next((one for one in services() if any(word in name for word in one.words)), None)


def given() -> tuple[Service, ...]:
    """The services that each new app gets an add-on of."""
    return tuple(one for one in services() if one.given)


def config_vars(service: Service, attachment: str, values: Mapping[str, str]) -> dict[str, str]:
    """The config vars of an attachment. values: by the service's suffix, ``{"_URL": ...}``; empty: not ready."""
    return {
        f"{attachment}{suffix}": values[own] for suffix, own in service.suffixes(attachment).items() if own in values
    }


def plan_problem(service: Service, wanted: str) -> str:
    """The error for an unknown ``service:plan``; empty if it exists or no plan is named."""
    named, _, plan = wanted.partition(":")
    plans = [one.name for one in service.plans]
    if not plan or plan in plans:
        return ""
    there = f"the only one is {plans[0]}" if len(plans) == 1 else f"the plans are {', '.join(plans)}"
    return f"Couldn't find the plan {plan[:60]!r} of {named}: {there}."


def plan_of(service: Service, wanted: str) -> str:
    """The plan of ``service:plan`` with the service's canonical name, for any alias; else the default plan."""
    plan = wanted.partition(":")[2]
    return f"{service.name}:{plan}" if plan else service.plan


def remedies(app: str, own: Mapping[str, str]) -> dict[str, str]:
    """The command that restores each main config var of a given service. own: the app's add-on for each service's
    kind.
    """
    return {
        one.variable: f"heroku addons:attach {own[one.kind]} --as {one.attachment} -a {app}"
        if own.get(one.kind)
        else f"heroku addons:create {one.name} --as {one.attachment} -a {app}"
        for one in given()
    }


def creating(key: str) -> str:
    """The command that creates the add-on which sets the config var; empty if no service does, or each app has it."""
    for one in services():
        for attachment in () if one.given else (one.attachment, *one.dialects):
            if key in one.keys(attachment):
                return f"heroku addons:create {one.name if attachment == one.attachment else attachment.lower()}"
    return ""


def listed(services: Iterable[Service]) -> str:
    """``the only add-on service is X``, or ``the add-on services are X and Y``."""
    names = [one.name for one in services]
    if len(names) == 1:
        return f"the only add-on service is {names[0]}"
    return f"the add-on services are {' and '.join(names)}"
