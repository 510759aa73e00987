"""Validates jobs: ``[jobs.NAME]`` of greenroom.toml, and those that users add."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from greenroom.basics import schedules
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.release_commands import migrates

MOST = 50
"""Maximum number of jobs of an app."""
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
KEYS = ("schedule", "command", "time_zone", "overlap", "catch_up", "minutes", "size")
OVERLAPS = ("skip", "queue", "allow")
SIZES = ("eco", "basic", "standard-1x", "standard-2x", "performance-m", "performance-l")
MAX_MINUTES = 24 * 60
MAX_COMMAND = 2000
DEFAULTS: dict[str, Any] = {
    "time_zone": "UTC",
    "overlap": "skip",
    "catch_up": False,
    "minutes": None,
    "size": "standard-1x",
}


class JobError(ValueError):
    """An invalid job. key: of the value, empty for the job itself; problem: without a full stop; hint: may be empty."""

    def __init__(self, key: str, problem: str, hint: str = "") -> None:
        super().__init__(problem)
        self.key, self.problem, self.hint = key, problem, hint


def job(name: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """All settings of a job, with defaults. JobError for an invalid name or value."""
    if not NAME.match(name):
        raise JobError(
            "", "the name of a job has 1 to 40 lower-case letters, digits and dashes and begins with a letter"
        )
    unknown = sorted(set(given) - set(KEYS))
    if unknown:
        raise JobError(unknown[0], f"unknown key; allowed are {', '.join(KEYS)}")
    found = DEFAULTS | dict(given)
    _check_command(found.get("command"))
    _check_times(found)
    for key, allowed in (("overlap", OVERLAPS), ("size", SIZES)):
        found[key] = found[key].lower() if isinstance(found[key], str) else found[key]
        if found[key] not in allowed:
            raise JobError(key, f"one of {', '.join(allowed)} is expected; found {str(found[key])[:40]!r}")
    if not isinstance(found["catch_up"], bool):
        raise JobError("catch_up", f"true or false is expected; found {str(found['catch_up'])[:40]!r}")
    return found


def _check_command(command: object) -> None:
    if not isinstance(command, str) or not command.strip() or "\0" in command or len(command) > MAX_COMMAND:
        raise JobError(
            "command",
            f"a command of at most {MAX_COMMAND} characters is expected, such as"
            f' "python manage.py clearsessions"; found {str(command)[:60]!r}',
        )
    if migrates(command):
        raise JobError(
            "command",
            f"`{command[:100]}` migrates the database, which only a user's command may do",
            hint="greenroom run -a APP -- python manage.py migrate",
        )


def _check_times(found: Mapping[str, Any]) -> None:
    for key, check in (("schedule", schedules.cron), ("time_zone", schedules.zone)):
        value = found.get(key)
        if not isinstance(value, str):
            raise JobError(key, f"a text is expected; found {str(value)[:40]!r}")
        try:
            check(value)
        except ValueError as error:
            raise JobError(key, str(error)) from error
    minutes = found["minutes"]
    if minutes is not None and (type(minutes) is not int or not 1 <= minutes <= MAX_MINUTES):
        raise JobError("minutes", f"whole minutes from 1 to {MAX_MINUTES} are expected; found {str(minutes)[:40]!r}")


def jobs(value: object, bad: Callable[[str, str], BuildError]) -> dict[str, dict[str, Any]]:
    """name -> settings, of the table ``jobs`` of greenroom.toml. bad: makes the error of a location and a problem."""
    if not isinstance(value, dict):
        raise bad("jobs", "tables such as [jobs.clearsessions] are expected")
    if len(value) > MOST:
        raise bad("jobs", f"at most {MOST} jobs are allowed; found {len(value)}")
    found = {}
    for name, given in value.items():
        if not isinstance(given, dict):
            raise bad(f"jobs.{name[:60]}", f"a table such as [jobs.{name[:60]}] is expected; found {str(given)[:40]!r}")
        try:
            found[name] = job(name, given)
        except JobError as error:
            wrong = bad(f"[jobs.{name[:60]}] {error.key}".strip(), error.problem.rstrip("."))
            wrong.hint = f"remove it; {error.hint}" if error.hint else wrong.hint
            raise wrong from error
    return found
