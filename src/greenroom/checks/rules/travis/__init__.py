"""Reads ``.travis.yml``: lines of a job by phase, and what of the file is honoured or not. ``travis_jobs`` makes the
plan of it.

Pure. The lines are the app's own and are handed to bash one by one, a shell for each job, as Travis does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from greenroom.checks.rules.travis import env as travis_env
from greenroom.checks.rules.travis.branches import verdict
from greenroom.checks.rules.travis.conditions import holds
from greenroom.checks.rules.travis.lines import parts, without_parts
from greenroom.checks.rules.travis.size import loaded

LIMIT = 200_000
"""Characters of a file that is read."""

MAX_LINES = 500
SETUP = ("before_install", "install", "before_script")
AFTER = ("before_cache", "after_success", "after_failure", "after_script")
OPTION = r"(?:-U|--upgrade|-q|--quiet|--no-cache-dir|--disable-pip-version-check)"
GOODS = r"(?:pip|setuptools|wheel|-r\s*(?:\./)?requirements(?:-test)?\.txt)"
INSTALLED = re.compile(
    rf"(?:travis_retry\s+)?(?:python3?\s+-m\s+)?pip3?\s+install(?:\s+{OPTION})*(?:\s+(?:{GOODS}|{OPTION}))+\s*\Z"
)
"""A line that installs what the build has installed already."""

SUDO = r"(?:travis_retry\s+)?(?:sudo\s+(?:-\w\s+)*)?"
SYSTEM = re.compile(rf"{SUDO}(?:apt-get|apt|add-apt-repository|service|systemctl|dpkg|/etc/init\.d/\S+)(?:\s|\Z)")
SERVER = re.compile(
    rf"{SUDO}(?:postgres\s+)?(?:psql\b.*\b(?:create|alter|drop)\s+(?:database|user|role)\b|createdb\b|createuser\b|"
    r"mysql\b.*\bcreate\s+database\b)",
    re.IGNORECASE,
)
WITHOUT = (
    (INSTALLED, "the build has installed it"),
    (SYSTEM, "a dyno has no root, and no system packages are added to it"),
    (SERVER, "the tests have an empty database of their own, at DATABASE_URL"),
)
"""Lines that are left out, since what they want is there or cannot be had; and why."""

IGNORED = {
    "deploy": "Greenroom deploys",
    "notifications": "the pusher sees the result, and `greenroom checks` shows it",
    "git": "the tests run on the built slug, not on a clone",
    "cache": "the build keeps the packages",
    "sudo": "dynos have no root",
    "dist": "dynos have the host's system",
    "os": "dynos run on Linux",
    "arch": "dynos have the host's processor",
    "addons": (
        "packages of the system cannot be added to a dyno; of services there is PostgreSQL, in Greenroom's version"
    ),
    "after_deploy": "Greenroom deploys",
    "before_deploy": "Greenroom deploys",
    "group": "dynos have the host's system",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of the file. setup: (phase, line) in order, the first that fails ends it; script: lines, each run, one
    that fails fails it.

    env: (name, text for a shell), expanded in their order. allowed: its failure is shown and does not count.
    """

    name: str
    stage: str = "test"
    setup: tuple[tuple[str, str], ...] = ()
    script: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    allowed: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run: each job of the branch, one after another.

    left_out: (job, why) that would run on Travis and cannot run here: with one of them the check cannot pass. covered:
    (job, why) whose lines
    run in another job, or that are not for a push to this branch. honoured, ignored: (key, what becomes of it) for the
    table.
    problem: why nothing can be run; empty if it can. other: why the file has no say in the tests: it is for another
    language than Python, or
    not for this branch.
    """

    jobs: tuple[Job, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    covered: tuple[tuple[str, str], ...] = ()
    honoured: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    other: str = ""

    def table(self) -> list[str]:
        """The table of what is honoured and what is ignored, as lines for the log."""
        if self.other:
            return [f"-----> .travis.yml is ignored: {self.other}"]
        rows = [("honoured", *row) for row in self.honoured] + [("ignored", *row) for row in self.ignored]
        rows += [
            ("runs", job.name, _runs(job)) for job in self.jobs if len(self.jobs) > 1 or self.covered or self.left_out
        ]
        rows += [("not run", *row) for row in (*self.covered, *self.left_out)]
        width = min(60, max((len(row[1]) for row in rows), default=0))
        return [
            "-----> .travis.yml",
            *(f"       {kind:8}  {key:{width}}  {what}" for kind, key, what in dict.fromkeys(rows)),
        ]


def _runs(job: Job) -> str:
    return _count(list(job.script)) + (", allowed to fail" if job.allowed else "")


class Reader:
    """Collects the parts of a plan and the rows of its table."""

    def __init__(self) -> None:
        self.honoured: list[tuple[str, str]] = []
        self.ignored: list[tuple[str, str]] = []
        self.problems: list[str] = []

    def lines(self, value: Any, where: str) -> list[str]:
        """A text, or a list of texts and lists, as lines. Anything else is a problem: YAML has read the line otherwise
        than it was meant.
        """
        found = []
        for item in flat(value):
            if isinstance(item, bool):
                found.append("true" if item else "false")
            elif isinstance(item, str):
                found += [item.strip()] if item.strip() else []
            else:
                self.problems.append(
                    f"{where} of .travis.yml has a part that is no command line (put it into quotes): {short(item)}"
                )
        return found[:MAX_LINES]

    def phases(self, data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """The lines of the phases before ``script``."""
        found: list[tuple[str, str]] = []
        for phase in SETUP:
            lines = self.lines(data.get(phase), phase)
            if phase == "install" and (not lines or lines in (["skip"], ["true"])):
                self.honoured.append(("install", "nothing to do: the build has installed the requirements"))
                continue
            left = [line for line in self.without(lines, phase) if line != "skip"]
            found += [(phase, line) for line in left]
            if left:
                self.honoured.append((phase, _count(left)))
        return tuple(found)

    def without(self, lines: list[str], where: str) -> list[str]:
        """The lines but those, and those of their commands, that are not needed or cannot be run."""
        left = []
        for line in lines:
            reasons = {part: why for part in parts(line) for why in [_reason(part)] if why}
            rest = without_parts(line, set(reasons)) if reasons else line
            if rest != line:
                self.ignored += [(where, f"`{short(part)}`: {why}") for part, why in reasons.items()]
            if rest:
                left.append(rest)
        return left

    def variables(self, items: list[Any]) -> tuple[tuple[str, str], ...]:
        """The entries of ``env`` as texts for a shell."""
        found: list[tuple[str, str]] = []
        for item in items:
            pairs, problems = travis_env.read(item)
            found += pairs
            self.ignored += [("env", problem) for problem in problems]
        return tuple(found)

    def rest(self, data: Mapping[str, Any]) -> None:
        """Services, and all that is only said to be ignored."""
        for service in flat(data.get("services")):
            if service == "postgresql":
                self.honoured.append(("services", "postgresql: an empty database of its own, at DATABASE_URL"))
            else:
                self.ignored.append(("services", f"{short(service)} is not available to tests"))
        for key in data:
            if key in AFTER:
                self.ignored.append((key, "has no influence on the result and is not run"))
            elif key in IGNORED:
                self.ignored.append((key, IGNORED[key]))
            elif key not in KNOWN:
                self.ignored.append((short(key), "not known to Greenroom"))


KNOWN = (
    *SETUP,
    "script",
    "env",
    "python",
    "services",
    "language",
    "jobs",
    "matrix",
    "branches",
    "stages",
    "if",
    "import",
)


def _reason(command: str) -> str:
    """Why a command is left out; empty if it is run."""
    return next((why for pattern, why in WITHOUT if pattern.match(command)), "")


def load(text: str, branch: str) -> tuple[dict[str, Any], Plan | None]:
    """(the file as a map, None), or (nothing, the plan of a file that is broken, or that has no say)."""
    if len(text) > LIMIT:
        return {}, Plan(problem=f".travis.yml has more than {LIMIT} characters")
    try:
        data = loaded(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return {}, Plan(
            problem=f".travis.yml is not YAML: {short(str(error).splitlines()[0] if str(error) else 'unreadable')}"
        )
    if not isinstance(data, Mapping):
        return {}, Plan(problem=".travis.yml is not a map of keys")
    if language(data) not in PLAIN:
        return {}, Plan(other=f"its language is {short(data['language'])}, and only python is honoured")
    if "if" in data and holds(data["if"], branch) is False:
        return {}, Plan(other=f"its condition does not hold for a push to {branch}: {short(data['if'])}")
    ours, said = verdict(data["branches"], branch) if "branches" in data else (True, "")
    return (dict(data), None) if ours else ({}, Plan(other=said))


PLAIN = ("python", "generic", "minimal", "shell", "bash", "sh")
"""Languages whose jobs are lines for a shell, or for Python."""


def language(data: Mapping[str, Any]) -> str:
    """The language of the file or of a job, in small letters; python where none is named."""
    return next((str(item).strip().lower() for item in flat(data.get("language")) if item), "python")


def marks(*, branch: str, sha: str, before: str = "", python: str = "") -> dict[str, str]:
    """The variables by which Travis makes itself known. before: what the branch had until the push; python: the version
    of the interpreter.
    """
    return {
        "TRAVIS": "true",
        "CI": "true",
        "CONTINUOUS_INTEGRATION": "true",
        "TRAVIS_BRANCH": branch,
        "TRAVIS_COMMIT": sha,
        "TRAVIS_COMMIT_RANGE": f"{before}...{sha}" if before.strip("0") else "",
        "TRAVIS_BUILD_DIR": "/app",
        "TRAVIS_EVENT_TYPE": "push",
        "TRAVIS_PULL_REQUEST": "false",
        "TRAVIS_TAG": "",
        "TRAVIS_SUDO": "false",
        "TRAVIS_OS_NAME": "linux",
        "TRAVIS_PYTHON_VERSION": ".".join(python.split(".")[:2]),
        "DEBIAN_FRONTEND": "noninteractive",
    }


def flat(value: Any) -> list[Any]:
    """The value as one list: lists in it, as YAML's aliases make them, are laid out, and nothing is left away."""
    if isinstance(value, list):
        return [part for item in value for part in flat(item)]
    return [] if value is None else [value]


def short(value: Any) -> str:
    """A value in a few words."""
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _count(lines: list[str]) -> str:
    return f"{len(lines)} line{'' if len(lines) == 1 else 's'}: {short(lines[0])}"
