"""Reads ``.travis.yml`` as a plan for the check ``tests``: which lines run in which phase, and what of the file is honoured or not.

Pure: text in, plan out. The lines are the app's own and are handed to bash one by one, in one shell, as Travis does.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import yaml

from greenroom.checks.travis_branches import verdict

LIMIT = 200_000
"""Characters of a file that is read."""

MAX_LINES = 500
SETUP = ("before_install", "install", "before_script")
AFTER = ("before_cache", "after_success", "after_failure", "after_script")
ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
OPTION = r"(?:-U|--upgrade|-q|--quiet|--no-cache-dir|--disable-pip-version-check)"
GOODS = r"(?:pip|setuptools|wheel|-r\s*(?:\./)?requirements(?:[-_]tests?)?\.txt)"
INSTALLED = re.compile(rf"(?:python3?\s+-m\s+)?pip3?\s+install(?:\s+{OPTION})*(?:\s+(?:{GOODS}|{OPTION}))+\s*\Z")
"""A line that installs what the build has installed already."""

IGNORED = {
    "deploy": "Greenroom deploys",
    "notifications": "the pusher sees the result, and `greenroom checks` shows it",
    "if": "conditions are not evaluated; the tests run",
    "git": "the tests run on the built slug, not on a clone",
    "cache": "the build keeps the packages",
    "sudo": "dynos have no root",
    "dist": "dynos have the host's system",
    "os": "dynos run on Linux",
    "arch": "dynos have the host's processor",
    "stages": "the jobs run as one",
    "addons": "of services there is PostgreSQL, in Greenroom's version",
    "after_deploy": "Greenroom deploys",
    "before_deploy": "Greenroom deploys",
    "group": "dynos have the host's system",
}


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is run. setup: (phase, line) in order, the first that fails ends all; script: lines, each run, one that fails fails the tests.

    honoured, ignored: (key, what becomes of it) for the table. problem: why nothing can be run; empty if it can.
    other: why the file has no say in the tests: it is for another language than Python, or not for this branch.
    """

    setup: tuple[tuple[str, str], ...] = ()
    script: tuple[str, ...] = ()
    env: dict[str, str] = field(default_factory=dict)
    honoured: tuple[tuple[str, str], ...] = ()
    ignored: tuple[tuple[str, str], ...] = ()
    problem: str = ""
    other: str = ""

    def table(self) -> list[str]:
        """The table of what is honoured and what is ignored, as lines for the log."""
        if self.other:
            return [f"-----> .travis.yml is ignored: {self.other}"]
        rows = [("honoured", *row) for row in self.honoured] + [("ignored", *row) for row in self.ignored]
        width = max((len(row[1]) for row in rows), default=0)
        return ["-----> .travis.yml", *(f"       {kind:8}  {key:{width}}  {what}" for kind, key, what in rows)]


class _Reader:
    """Collects the parts of a plan and the rows of its table."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.data = data
        self.honoured: list[tuple[str, str]] = []
        self.ignored: list[tuple[str, str]] = []
        self.env: dict[str, str] = {}

    def lines(self, value: Any, where: str) -> list[str]:
        """A text or a list of texts as lines; anything else in it is left out and said."""
        items = value if isinstance(value, list) else [] if value is None else [value]
        found = []
        for item in items:
            if isinstance(item, str) and item.strip():
                found.append(item.strip())
            elif isinstance(item, bool):
                found.append("true" if item else "false")
            elif item is not None:
                self.ignored.append((where, f"{_short(item)} is no command line"))
        return found[:MAX_LINES]

    def phases(self) -> tuple[tuple[str, str], ...]:
        """The lines of the phases before ``script``."""
        found: list[tuple[str, str]] = []
        for phase in SETUP:
            lines = self.lines(self.data.get(phase), phase)
            if phase == "install" and (not lines or lines in (["skip"], ["true"])):
                self.honoured.append(("install", "nothing to do: the build has installed the requirements"))
                continue
            done = [line for line in lines if INSTALLED.match(line)]
            self.ignored += [(phase, f"`{_short(line)}`: the build has installed it") for line in done]
            left = [line for line in lines if line not in done and line != "skip"]
            found += [(phase, line) for line in left]
            if left:
                self.honoured.append((phase, _count(left)))
        return tuple(found)

    def script(self) -> tuple[str, ...]:
        """The lines of ``script``: at the top, else of the first job that has some."""
        lines = self.lines(self.data.get("script"), "script")
        jobs = [(key, job) for key in ("jobs", "matrix") for job in _jobs(self.data.get(key))]
        if lines:
            self.ignored += [(f"{key}.include", "the script at the top is run, once") for key, _ in jobs[:1]]
        for key, job in [] if lines else jobs:
            lines = self.lines(job.get("script"), f"{key}.include")
            if lines:
                name = f"`{_short(job['name'])}`" if job.get("name") else "the first with a script"
                self.ignored += [(f"{key}.include", f"jobs other than {name}")] if len(jobs) > 1 else []
                break
        if lines:
            self.honoured.append(("script", _count(lines)))
        return tuple(lines)

    def variables(self) -> None:
        """``env``: the global ones, and the first row of a matrix."""
        env = self.data.get("env")
        rows: list[Any] = env if isinstance(env, list) else [env] if isinstance(env, str) else []
        if isinstance(env, Mapping):
            matrix = env.get("jobs", env.get("matrix"))
            if not {"global", "jobs", "matrix"} & set(env):
                self._take(env)
            glob = env.get("global")
            for item in glob if isinstance(glob, list) else [glob]:
                self._take(item)
            rows = matrix if isinstance(matrix, list) else [matrix] if matrix else []
        plain = [row for row in rows if not (isinstance(row, Mapping) and "secure" in row)]
        for row in rows:
            if row not in plain:
                self._take(row)
        if plain:
            self._take(plain[0])
        if len(plain) > 1:
            self.ignored.append(("env", f"{len(plain) - 1} more of the matrix; the first row is run"))
        if self.env:
            self.honoured.append(("env", ", ".join(sorted(self.env))[:200]))

    def _take(self, item: Any) -> None:
        """One entry of ``env``: ``A=1 B=2`` or a map. What is encrypted cannot be read here."""
        if isinstance(item, str):
            try:
                pairs = [word.partition("=") for word in shlex.split(item)]
            except ValueError:
                self.ignored.append(("env", "an entry has an open quote"))
                return
            self._set([(name, value) for name, sign, value in pairs if sign])
        elif isinstance(item, Mapping) and "secure" in item:
            self.ignored.append(("env", "an encrypted value (secure) can only be read by Travis: put it into app.json"))
        elif isinstance(item, Mapping):
            self._set([(str(name), _word(value)) for name, value in item.items() if not isinstance(value, (Mapping, list))])
            if any(isinstance(value, Mapping) for value in item.values()):
                self.ignored.append(("env", "an encrypted value (secure) can only be read by Travis: put it into app.json"))

    def _set(self, pairs: list[tuple[str, str]]) -> None:
        for name, value in pairs:
            if not ENV_NAME.match(name) or "\0" in value:
                self.ignored.append(("env", f"{_short(name)!r} is no name of a variable"))
            elif name in ("DATABASE_URL", "SECRET_KEY"):
                self.ignored.append(("env", f"{name} is set by Greenroom"))
            else:
                self.env[name] = value

    def rest(self) -> None:
        """Languages, interpreters, services, and all that is only said to be ignored."""
        pythons = self.lines([str(item) for item in _list(self.data.get("python"))], "python")
        if pythons:
            self.ignored.append(("python", f"{', '.join(pythons)}: the tests run on the interpreter of the slug (.python-version)"))
        for service in _list(self.data.get("services")):
            if service == "postgresql":
                self.honoured.append(("services", "postgresql: an empty database of its own, at DATABASE_URL"))
            else:
                self.ignored.append(("services", f"{_short(service)} is not available to tests"))
        for key in self.data:
            if key in AFTER:
                self.ignored.append((key, "has no influence on the result and is not run"))
            elif key in IGNORED:
                self.ignored.append((key, IGNORED[key]))
            elif key not in (*SETUP, "script", "env", "python", "services", "language", "jobs", "matrix", "branches"):
                self.ignored.append((_short(key), "not known to Greenroom"))


def read(text: str, branch: str) -> Plan:
    """The plan that the file asks for; ``other`` when it is not for Python or not for the branch, a ``problem`` when it is broken."""
    if len(text) > LIMIT:
        return Plan(problem=f".travis.yml has more than {LIMIT} characters")
    try:
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        return Plan(problem=f".travis.yml is not YAML: {_short(str(error).splitlines()[0] if str(error) else 'unreadable')}")
    if not isinstance(data, Mapping):
        return Plan(problem=".travis.yml is not a map of keys")
    if data.get("language", "python") != "python":
        return Plan(other=f"its language is {_short(data['language'])}, and only python is honoured")
    ours, said = verdict(data["branches"], branch) if "branches" in data else (True, "")
    if not ours:
        return Plan(other=said)
    reader = _Reader(data)
    reader.honoured += [("branches", said)] if said else []
    reader.honoured += [("language", "python")] if "language" in data else []
    reader.variables()
    setup, script = reader.phases(), reader.script()
    reader.rest()
    problem = "" if script else ".travis.yml has no script, so it tests nothing"
    return Plan(
        setup=setup, script=script, env=reader.env, honoured=tuple(reader.honoured), ignored=tuple(reader.ignored), problem=problem
    )  # fmt: skip


def marks(*, branch: str, sha: str, before: str = "", python: str = "") -> dict[str, str]:
    """The variables by which Travis makes itself known. before: what the branch had until the push; python: the version of the interpreter."""
    return {
        "TRAVIS_COMMIT_RANGE": f"{before}...{sha}" if before.strip("0") else "", "TRAVIS_PYTHON_VERSION": ".".join(python.split(".")[:2]),
        "TRAVIS": "true", "CI": "true", "CONTINUOUS_INTEGRATION": "true", "TRAVIS_BRANCH": branch, "TRAVIS_COMMIT": sha,
        "TRAVIS_BUILD_DIR": "/app", "TRAVIS_PULL_REQUEST": "false", "TRAVIS_OS_NAME": "linux", "DEBIAN_FRONTEND": "noninteractive",
    }  # fmt: skip


def _jobs(value: Any) -> list[Mapping[str, Any]]:
    include = value.get("include") if isinstance(value, Mapping) else value
    return [job for job in _list(include) if isinstance(job, Mapping)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "" if value is None else str(value)


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _count(lines: list[str]) -> str:
    return f"{len(lines)} line{'' if len(lines) == 1 else 's'}: {_short(lines[0])}"
