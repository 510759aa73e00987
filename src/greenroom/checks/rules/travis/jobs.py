"""Builds the plan of a .travis.yml: the jobs of its matrix and of ``jobs.include`` for a push to the deployed branch.
Pure.

A dyno has one interpreter and one operating system. Jobs that differ only in these run once. A job that cannot run
here and that no other job covers is reported, and the check cannot pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from greenroom.checks.rules.travis import IGNORED, PLAIN, SETUP, Job, Plan, Reader, flat, language, load, short
from greenroom.checks.rules.travis.branches import verdict
from greenroom.checks.rules.travis.conditions import holds

MAX_JOBS = 20
"""Maximum number of jobs per check."""

DEPLOYS = ("deploy", "deployment", "release", "publish", "production")


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A candidate job. own: its own keys, which override those of the file; python, os: its requirements, empty for
    any.
    """

    own: Mapping[str, Any]
    name: str
    stage: str
    python: str = ""
    os: str = "linux"
    included: bool = False


def read(text: str, branch: str, python: str = "") -> Plan:
    """The plan of the file; ``other`` is set if the file does not apply, ``problem`` if it is invalid. python: the
    slug's version.
    """
    data, plan = load(text, branch)
    try:
        return plan or _plan(data, branch, python)
    except (
        AttributeError,
        TypeError,
        ValueError,
        LookupError,
        RecursionError,
    ) as error:  # unexpected structure
        return Plan(problem=f".travis.yml cannot be read: {type(error).__name__}: {short(error)}")


def _plan(data: Mapping[str, Any], branch: str, python: str) -> Plan:
    reader = Reader()
    said = verdict(data["branches"], branch)[1] if "branches" in data else ""
    reader.honoured += [("branches", said)] if said else []
    reader.honoured += [("language", language(data))] if "language" in data else []
    matrix = list(_matrix(data)) if data.get("script") is not None else []
    included = list(_included(data))
    if len(matrix) == 1 and any(_inherits(cell, branch) for cell in included):
        matrix = []  # Travis then has only the jobs of jobs.include
    cells = _ordered([*matrix, *included], data)
    if len(cells) > 10 * MAX_JOBS:
        return Plan(problem=f".travis.yml has {len(cells)} jobs; the maximum is {MAX_JOBS}")
    jobs, left_out, covered = _decided(cells, data, branch, ".".join(python.split(".")[:2]), reader)
    reader.rest(data)
    left_out += [("import", "imported files are not read")] if data.get("import") else []
    problem = "" if jobs or left_out else ".travis.yml has no script, so it tests nothing"
    if len(jobs) > MAX_JOBS:
        problem = f".travis.yml has {len(jobs)} jobs; the maximum is {MAX_JOBS}"
    problem = next(iter(reader.problems), problem)
    _honoured(reader, jobs)
    return Plan(
        jobs=tuple(jobs),
        left_out=tuple(left_out),
        covered=tuple(covered),
        honoured=tuple(dict.fromkeys(reader.honoured)),
        ignored=tuple(dict.fromkeys(reader.ignored)),
        problem=problem,
    )


def _honoured(reader: Reader, jobs: list[Job]) -> None:
    names = sorted({name for job in jobs for name, _ in job.env})
    if names:
        reader.honoured.append(("env", ", ".join(names)[:200]))
    if jobs:
        lines = len({line for job in jobs for line in job.script})
        first = f"{lines} line{'' if lines == 1 else 's'}: {short(jobs[0].script[0])}"
        reader.honoured.append(("script", first if len(jobs) == 1 else f"{len(jobs)} jobs, one after another"))


def _rows(data: Mapping[str, Any]) -> list[Any]:
    """The rows of the matrix's ``env``; one empty row if there are none."""
    env = data.get("env")
    if isinstance(env, Mapping):
        if not {"global", "jobs", "matrix"} & set(env):
            return [env]
        env = env.get("jobs", env.get("matrix"))
    rows = [row for row in flat(env) if not (isinstance(row, Mapping) and set(row) == {"secure"})]
    return rows or [None]


def _shared(data: Mapping[str, Any]) -> list[Any]:
    """The entries of ``env`` for all jobs: global and encrypted rows."""
    env = data.get("env")
    if isinstance(env, Mapping):
        return flat(env.get("global"))
    return [row for row in flat(env) if isinstance(row, Mapping) and set(row) == {"secure"}]


def _version(value: Any) -> str:
    """``3.12`` for a number, a string such as ``3.12.4`` or a map ``{python: ...}``."""
    text = str(value.get("python", "")) if isinstance(value, Mapping) else "" if value is None else str(value)
    return ".".join(text.split(".")[:2]) if text[:1].isdigit() else text


def _matrix(data: Mapping[str, Any]) -> Iterator[Cell]:
    """The jobs of the matrix: each combination of Python version, ``env`` row and operating system."""
    pythons = [_version(item) for item in flat(data.get("python"))] or [""]
    systems = [str(item) for item in flat(data.get("os"))] or ["linux"]
    excluded = [job for key in ("jobs", "matrix") for job in _listed(data.get(key), "exclude")]
    rows = _rows(data)
    for python in pythons:
        for row in rows:
            for system in systems:
                words = [f"Python {python}" if python else "", _words(row), system if len(systems) > 1 else ""]
                name = ", ".join(word for word in words if word)
                cell = Cell(own={"env": row}, name=name or "the job", stage="test", python=python, os=system)
                if not any(_fits(cell, entry) for entry in excluded):
                    yield cell


def _included(data: Mapping[str, Any]) -> Iterator[Cell]:
    """The jobs of ``jobs.include``. A stage applies to the jobs after it."""
    stage, rows = "test", _rows(data)
    first = next((_version(item) for item in flat(data.get("python"))), "")
    for key in ("jobs", "matrix"):
        value = data.get(key)
        for number, job in enumerate(_listed(value, "include") if isinstance(value, Mapping) else _maps(value), 1):
            stage = str(job.get("stage") or stage).strip()
            own = {"env": rows[0], **job}
            python = _version(job["python"]) if "python" in job else first
            words = [str(job.get("name") or f"job {number}"), *([_words(job["env"])] if job.get("env") else [])]
            name = f"{stage}: {short(', '.join(words))}"
            system = next((str(item) for item in flat(job.get("os")) if item), "linux")
            yield Cell(own=own, name=name, stage=stage, python=python, os=system, included=True)


def _listed(value: Any, key: str) -> list[Mapping[str, Any]]:
    return _maps(value.get(key)) if isinstance(value, Mapping) else []


def _maps(value: Any) -> list[Mapping[str, Any]]:
    return [job for job in flat(value) if isinstance(job, Mapping)]


def _words(row: Any) -> str:
    if row is None:
        return ""
    if isinstance(row, Mapping):
        return short(" ".join(f"{name}={value}" for name, value in row.items() if not isinstance(value, Mapping)))
    return short(" ".join(map(_words, row))) if isinstance(row, list) else short(row)


def _fits(cell: Cell, entry: Mapping[str, Any]) -> bool:
    """Whether the job matches all keys of an ``exclude`` or ``allow_failures`` entry."""
    seen = {**cell.own, "python": cell.python, "os": cell.os, "stage": cell.stage.lower()}
    asked = {
        key: str(value).lower() if key == "stage" else _version(value) if key == "python" else value
        for key, value in entry.items()
    }
    return bool(entry) and all(_plain(seen.get(key)) == _plain(value) for key, value in asked.items())


def _plain(value: Any) -> str:
    return _words(value) if isinstance(value, (Mapping, list)) else "" if value is None else str(value).strip()


def _ordered(cells: list[Cell], data: Mapping[str, Any]) -> list[Cell]:
    """The jobs sorted by stage: in the order of ``stages``, then by first use."""
    listed = [_stage(item) for item in flat(data.get("stages"))]
    seen = list(dict.fromkeys([*listed, *(cell.stage.lower() for cell in cells)]))
    return sorted(cells, key=lambda cell: seen.index(cell.stage.lower()))


def _stage(item: Any) -> str:
    return str(item.get("name", "") if isinstance(item, Mapping) else item).strip().lower()


def _decided(
    cells: list[Cell], data: Mapping[str, Any], branch: str, python: str, reader: Reader
) -> tuple[list[Job], list[tuple[str, str]], list[tuple[str, str]]]:
    """(jobs to run, jobs that cannot run, jobs that other jobs cover)."""
    jobs: dict[tuple[Any, ...], Job] = {}
    left_out: list[tuple[str, str]] = []
    covered: list[tuple[str, str]] = []
    closed = {
        _stage(item): item["if"] for item in _maps(data.get("stages")) if holds(item.get("if", True), branch) is False
    }
    ours = [cell for cell in cells if cell.python in ("", python)]
    for cell in [*ours, *(cell for cell in cells if cell not in ours)]:
        job = _job(cell, data, reader)
        why = _not_ours(cell, branch, closed)
        key = (job.stage.lower(), job.setup, job.script, job.env)
        if why:
            covered.append((cell.name, why))
        elif key in jobs:
            covered.append((cell.name, _same(cell, python)))
            jobs[key] = replace(jobs[key], allowed=jobs[key].allowed and job.allowed)
        elif not job.script and (_skips(_own(cell, data, "script")) or not _foreign(cell)):
            covered += [(cell.name, "it has no script")] if cell.included else []
        elif what := _foreign(cell):
            (covered if job.allowed else left_out).append((cell.name, f"it needs {what}; dynos run Linux and Python"))
        else:
            jobs[key] = job
            if cell.python not in ("", python):
                reader.ignored.append(
                    ("python", f"{cell.name}: runs on the slug's interpreter{f', Python {python}' if python else ''}")
                )
    order = {cell.stage.lower(): number for number, cell in enumerate(reversed(cells))}
    return sorted(jobs.values(), key=lambda job: -order[job.stage.lower()]), left_out, covered


def _foreign(cell: Cell) -> str:
    """The operating system or language that dynos do not support; empty if a dyno can run the job."""
    return cell.os if cell.os != "linux" else "" if language(cell.own) in PLAIN else language(cell.own)


def _own(cell: Cell, data: Mapping[str, Any], key: str) -> list[Any]:
    """The job's value of a key, else the file's. An empty value counts as missing."""
    own = cell.own.get(key)
    return flat(data.get(key) if own is None else own)


def _skips(script: list[Any]) -> bool:
    """Whether a script is explicitly empty."""
    return len(script) == 1 and (script[0] is True or str(script[0]).strip() in ("skip", "true"))


def _inherits(cell: Cell, branch: str) -> bool:
    """Whether a job of ``jobs.include`` inherits the file's script."""
    return cell.own.get("script") is None and not _not_ours(cell, branch, {}) and not _foreign(cell)


def _same(cell: Cell, python: str) -> str:
    return (
        f"the same lines run on Python {python}, the slug's"
        if cell.python not in ("", python) and python
        else "another job runs the same lines"
    )


def _not_ours(cell: Cell, branch: str, closed: Mapping[str, Any]) -> str:
    """Why a push to the branch does not start the job; empty if it starts."""
    if holds(cell.own.get("if", True), branch) is False:
        return f"its condition is false for a push to {branch}: {short(cell.own['if'])}"
    if cell.stage.lower() in closed:
        return f"its stage's condition is false for a push to {branch}: {short(closed[cell.stage.lower()])}"
    if cell.own.get("branches") is not None and not verdict(cell.own["branches"], branch)[0]:
        return f"its branches exclude {branch}"
    if cell.stage.lower() in DEPLOYS:
        return "Greenroom deploys"
    return ""


def _job(cell: Cell, data: Mapping[str, Any], reader: Reader) -> Job:
    """The job. Its own phases override those of the file."""
    own = {key: _own(cell, data, key) for key in (*SETUP, "script")}
    script = [] if _skips(own["script"]) else reader.lines(own["script"], "script")
    entries = flat(cell.own.get("env"))
    if len(entries) == 1 and isinstance(entries[0], Mapping) and {"global", "jobs", "matrix"} & set(entries[0]):
        entries = [*flat(entries[0].get("global")), *flat(entries[0].get("jobs", entries[0].get("matrix")))]
    for key in cell.own if cell.included else ():
        if key in IGNORED and key not in ("os", "dist", "arch"):
            reader.ignored.append((f"{key} of {cell.name}", IGNORED[key]))
    allowed = [entry for key in ("jobs", "matrix") for entry in _listed(data.get(key), "allow_failures")]
    return Job(
        name=cell.name,
        stage=cell.stage,
        setup=reader.phases(own) if script else (),
        script=tuple(reader.without(script, "script")),
        env=reader.variables([*_shared(data), *entries]),
        allowed=any(_fits(cell, entry) for entry in allowed),
    )
