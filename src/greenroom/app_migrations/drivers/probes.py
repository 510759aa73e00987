"""The migration probe: a script of the app's framework, run in a dyno of a release, and the parser of its answer.

The slug's own Python reads it from standard input, so that nothing has to be installed or mounted.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from greenroom.app_migrations import frameworks
from greenroom.app_migrations.frameworks.kind import Framework
from greenroom.checks.builtin.results import left_json, why_ended
from greenroom.engine.contract import DynoState, Engine, Mount

OUT = "/greenroom/out"
ANSWER = "probe.json"
STATUSES = ("ok", "error", "none")


@dataclass(frozen=True, kw_only=True)
class ProbeParts:
    """The fields of a DynoSpec for the probe or another script, besides the release's mounts, environment and
    forwards.
    """

    command: tuple[str, ...]
    stdin: bytes
    mounts: tuple[Mount, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The probe's answer.

    status: ``ok``; ``error`` (unknown, also if the database is down); ``none`` (no framework with migrations).
    pending: ``app.name`` in migrate order. missing: applied in the database, absent from the code.
    lacking: ``table.column`` that the models need and existing tables lack; every query on such a model fails.
    conflicts: {app: names without a successor}. unmade: descriptions of model changes without a migration.
    plan: one map for each pending migration {name, operations, reversible, atomic, statements}. rows: {table: rows} of
    the tables that the plan alters.
    about: {vendor, debug, insecure_key, wsgi} of the settings, and page {status} or {error, schema}: the response of
    the health path on this schema.
    """

    framework: str
    status: str
    pending: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    lacking: tuple[str, ...] = ()
    conflicts: dict[str, list[str]] | None = None
    plan: tuple[dict[str, Any], ...] = ()
    unmade: tuple[str, ...] = ()
    rows: dict[str, int] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    kind: str = ""


@lru_cache
def _script(framework: str) -> bytes:
    found = frameworks.find(framework)
    return program(found, found.probe).read_bytes()


def program(framework: Framework, path: str) -> Path:
    """The path of a framework's dyno program."""
    return Path(inspect.getfile(type(framework))).parent / path


def probe_spec_parts(framework: str = "", asked: tuple[str, ...] = ()) -> ProbeParts:
    """The probe's parts. asked: the health path and the host name of the app, and ``first`` without a live one."""
    parts = parts_of(_script(framework))
    return replace(parts, command=(*parts.command, *asked))


def parts_of(script: bytes) -> ProbeParts:
    """The command, the script for standard input, and the scratch directory for the answer."""
    mount = Mount(target=OUT, source="scratch:out", mode="rw")
    return ProbeParts(command=("python", "-", OUT), stdin=script, mounts=(mount,))


def answer(*, engine: Engine, state: DynoState) -> Answer:
    """The answer of an ended probe dyno. An unreadable answer is an error, never "nothing is pending"."""
    found = left_json(engine, state.id, ANSWER)
    if not state.ended:
        return Answer(framework="", status="error", detail="the probe has not ended", kind="unfinished")
    if found is None or found.get("status") not in STATUSES:
        return Answer(
            framework="", status="error", detail=f"the probe did not finish: {why_ended(state)}", kind="probe"
        )
    conflicts = found.get("conflicts")
    return Answer(
        framework=str(found.get("framework", "")),
        status=str(found["status"]),
        pending=_names(found.get("pending")),
        missing=_names(found.get("missing")),
        lacking=_names(found.get("lacking")),
        conflicts={str(app)[:100]: list(_names(names)) for app, names in conflicts.items()}
        if isinstance(conflicts, dict)
        else {},
        plan=tuple(_step(item) for item in found.get("plan") or () if isinstance(item, dict))[:200],
        unmade=_names(found.get("unmade"))[:50],
        rows=_rows(found.get("rows")),
        about=_about(found.get("about")),
        detail=str(found.get("detail", ""))[:4000],
        kind=str(found.get("kind", ""))[:40],
    )


def _step(item: dict[str, Any]) -> dict[str, Any]:
    """One migration of the plan in stored form: untrusted text, truncated."""
    statements = tuple(text[:1000] for text in _names(item.get("statements"), 1000)[:100])
    facts = {"reversible": item.get("reversible") is not False, "atomic": item.get("atomic") is not False}
    parent = {"parent": str(item["parent"])[:300]} if isinstance(item.get("parent"), str) else {}
    return {
        "name": str(item.get("name"))[:300],
        "operations": list(_names(item.get("operations"))[:50]),
        **facts,
        **parent,
        "statements": list(statements),
    }


def _about(value: Any) -> dict[str, Any]:
    """The ``about`` map, truncated; empty for anything but a map."""
    if not isinstance(value, dict):
        return {}
    page, told = value.get("page"), {key: str(value.get(key) or "")[:200] for key in ("vendor", "wsgi")}
    asked: dict[str, Any] = {}
    if isinstance(page, dict) and isinstance(page.get("status"), int):
        asked = {"status": page["status"]}
    elif isinstance(page, dict) and page.get("error"):
        asked = {"error": str(page["error"])[:600], "schema": page.get("schema") is True}
    return {
        **told,
        "debug": value.get("debug") is True,
        "insecure_key": value.get("insecure_key") is True,
        "page": asked,
    }


def _rows(value: Any) -> dict[str, int]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {
        str(name)[:200]: count
        for name, count in pairs
        if isinstance(count, int) and not isinstance(count, bool) and count >= 0
    }


def _names(value: Any, size: int = 300) -> tuple[str, ...]:
    return tuple(str(item)[:size] for item in value) if isinstance(value, list) else ()


SQLITE = "The settings use SQLite in the dyno's own files{ignoring}: all data is lost when the dyno ends."
SQLITE_HINT = (
    'in the settings: import dj_database_url; DATABASES = {"default": dj_database_url.config(conn_max_age=60)};'
    " in the requirements: dj-database-url and a driver, psycopg[binary] or, before Django 4.2, psycopg2-binary"
)


def without_database(found: Answer, *, attached: bool) -> Answer:
    """The answer for settings that use SQLite: nothing is pending in a persistent database; ``detail`` has the
    reason.
    """
    if found.status != "ok" or found.about.get("vendor") != "sqlite":
        return found
    text = SQLITE.format(ignoring=" and ignore DATABASE_URL" if attached else "")
    return replace(
        found, pending=(), missing=(), lacking=(), plan=(), rows={}, conflicts={}, detail=f"{text} {SQLITE_HINT}"
    )
