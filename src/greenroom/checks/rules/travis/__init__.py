"""Reads ``.travis.yml``: the lines of a job by phase, and which keys are honoured or ignored. ``jobs`` builds the
plan.

Pure. The lines are the app's own code; bash runs them one by one, in one shell per job, as on Travis.
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
"""Maximum length of the file, in characters."""

MAX_LINES = 500
SETUP = ("before_install", "install", "before_script")
AFTER = ("before_cache", "after_success", "after_failure", "after_script")
OPTION = r"(?:-U|--upgrade|-q|--quiet|--no-cache-dir|--disable-pip-version-check)"
GOODS = r"(?:pip|setuptools|wheel|-r\s*(?:\./)?requirements(?:-test)?\.txt)"
INSTALLED = re.compile(
    rf"(?:travis_retry\s+)?(?:python3?\s+-m\s+)?pip3?\s+install(?:\s+{OPTION})*(?:\s+(?:{GOODS}|{OPTION}))+\s*\Z"
)
"""A line that installs packages which the build has already installed."""

SUDO = r"(?:travis_retry\s+)?(?:sudo\s+(?:-\w\s+)*)?"
SYSTEM = re.compile(rf"{SUDO}(?:apt-get|apt|add-apt-repository|service|systemctl|dpkg|/etc/init\.d/\S+)(?:\s|\Z)")
SERVER = re.compile(
    rf"{SUDO}(?:postgres\s+)?(?:psql\b.*\b(?:create|alter|drop)\s+(?:database|user|role)\b|createdb\b|createuser\b|"
    r"mysql\b.*\bcreate\s+database\b)",
    re.IGNORECASE,
)
WITHOUT = (
    (INSTALLED, "already installed by the build"),
    (SYSTEM, "dynos have no root access, so system packages cannot be installed"),
    (SERVER, "the tests have their own empty database in DATABASE_URL"),
)
"""Lines that are skipped, and the reason."""

IGNORED = {
    "deploy": "Greenroom deploys",
    "notifications": "see the push output or `greenroom checks` for the result",
    "git": "tests run on the built slug, not on a clone",
    "cache": "the build caches packages",
    "sudo": "dynos have no root access",
    "dist": "dynos use the host's operating system",
    "os": "dynos run on Linux",
    "arch": "dynos use the host's processor",
    "addons": ("system packages cannot be installed in dynos; the only service is PostgreSQL, in Greenroom's version"),
    "after_deploy": "Greenroom deploys",
    "before_deploy": "Greenroom deploys",
    "group": "dynos use the host's operating system",
}


@dataclass(frozen=True, kw_only=True)
class Job:
    """One job of the file. setup: (phase, line) in order; the first failure ends the job. script: lines that all run;
    one failure fails the job.

    env: (name, shell text), expanded in order. allowed: its failure is shown but does not count.
    """

    name: str
    stage: str = "test"
    setup: tuple[tuple[str, str], ...] = ()
    script: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    allowed: bool = False


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The jobs to run, one after another.

    left_out: (job, reason) that would run on Travis but cannot run here; the check then cannot pass. covered:
    (job, reason) whose lines run in another job, or that do not run for a push to this branch. honoured, ignored:
    (key, explanation) for the table.
    problem: why nothing can run, or empty. other: why the file does not apply: a language other than Python, or
    another branch.
    """

    jobs: tuple[Job, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    covered: tuple[tuple[str, str], ...] = ()
    honoured: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    other: str = ""

    def table(self) -> list[str]:
        """The table of honoured and ignored keys, as log lines."""
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
        """A string, or a nested list of strings, as lines. Other types are a problem: YAML misread an unquoted line."""
        found = []
        for item in flat(value):
            if isinstance(item, bool):
                found.append("true" if item else "false")
            elif isinstance(item, str):
                found += [item.strip()] if item.strip() else []
            else:
                self.problems.append(
                    f"{where} of .travis.yml has an item that is not a command (quote it): {short(item)}"
                )
        return found[:MAX_LINES]

    def phases(self, data: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
        """The lines of the phases before ``script``."""
        found: list[tuple[str, str]] = []
        for phase in SETUP:
            lines = self.lines(data.get(phase), phase)
            if phase == "install" and (not lines or lines in (["skip"], ["true"])):
                self.honoured.append(("install", "nothing to do: the build installed the requirements"))
                continue
            left = [line for line in self.without(lines, phase) if line != "skip"]
            found += [(phase, line) for line in left]
            if left:
                self.honoured.append((phase, _count(left)))
        return tuple(found)

    def without(self, lines: list[str], where: str) -> list[str]:
        """The lines without the lines and commands that are not needed or cannot run."""
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
        """The entries of ``env`` as shell texts."""
        found: list[tuple[str, str]] = []
        for item in items:
            pairs, problems = travis_env.read(item)
            found += pairs
            self.ignored += [("env", problem) for problem in problems]
        return tuple(found)

    def rest(self, data: Mapping[str, Any]) -> None:
        """Record services and ignored keys."""
        for service in flat(data.get("services")):
            if service == "postgresql":
                self.honoured.append(("services", "postgresql: its own empty database in DATABASE_URL"))
            else:
                self.ignored.append(("services", f"{short(service)} is not available to tests"))
        for key in data:
            if key in AFTER:
                self.ignored.append((key, "does not affect the result and is not run"))
            elif key in IGNORED:
                self.ignored.append((key, IGNORED[key]))
            elif key not in KNOWN:
                self.ignored.append((short(key), "not supported by Greenroom"))


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
    """Why a command is skipped; empty if it runs."""
    return next((why for pattern, why in WITHOUT if pattern.match(command)), "")


def load(text: str, branch: str) -> tuple[dict[str, Any], Plan | None]:
    """(the file as a dict, None), or ({}, plan with a reason) if it is invalid or does not apply."""
    if len(text) > LIMIT:
        return {}, Plan(problem=f".travis.yml is longer than {LIMIT} characters")
    try:
        data = loaded(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return {}, Plan(
            problem=f".travis.yml is not valid YAML: {short(str(error).splitlines()[0] if str(error) else 'invalid')}"
        )
    if not isinstance(data, Mapping):
        return {}, Plan(problem=".travis.yml is not a mapping")
    if language(data) not in PLAIN:
        return {}, Plan(other=f"its language is {short(data['language'])}; only python is supported")
    if "if" in data and holds(data["if"], branch) is False:
        return {}, Plan(other=f"its condition is false for a push to {branch}: {short(data['if'])}")
    ours, said = verdict(data["branches"], branch) if "branches" in data else (True, "")
    return (dict(data), None) if ours else ({}, Plan(other=said))


PLAIN = ("python", "generic", "minimal", "shell", "bash", "sh")
"""Languages whose jobs run in a shell or in Python."""


def language(data: Mapping[str, Any]) -> str:
    """The language of the file or of a job in lower case; python by default."""
    return next((str(item).strip().lower() for item in flat(data.get("language")) if item), "python")


def marks(*, branch: str, sha: str, before: str = "", python: str = "") -> dict[str, str]:
    """The environment variables of Travis. before: the branch's commit before the push; python: the interpreter's
    version.
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
    """The value as one flat list. Nested lists, which YAML aliases produce, are flattened."""
    if isinstance(value, list):
        return [part for item in value for part in flat(item)]
    return [] if value is None else [value]


def short(value: Any) -> str:
    """A value as a short string."""
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _count(lines: list[str]) -> str:
    return f"{len(lines)} line{'' if len(lines) == 1 else 's'}: {short(lines[0])}"
