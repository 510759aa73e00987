"""The migration probe: a script that a dyno of a release runs, and what its answer means. One folder for each framework.

It is handed to the slug's own Python on standard input, so that nothing has to be installed or mounted for it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from greenroom.checks.builtin.results import read_json, why_ended
from greenroom.engine.contract import DynoState, Mount, scratch_folder

OUT = "/greenroom/out"
ANSWER = "probe.json"
STATUSES = ("ok", "error", "none")
FRAMEWORKS = ("django", "alembic")
"""Names of the folders beside this file, in the order in which an app's framework is looked for."""


@dataclass(frozen=True, kw_only=True)
class ProbeParts:
    """What a DynoSpec needs to run the probe or another script, beside the release's own mounts, environment and forwards."""

    command: tuple[str, ...]
    stdin: bytes
    mounts: tuple[Mount, ...]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the probe found.

    status: ``ok``; ``error`` (nothing is known, also when the database is down); ``none`` (no framework with migrations).
    pending: ``app.name`` in the order in which migrate would run them. missing: applied in the database, not in the code.
    lacking: ``table.column`` that the models need and existing tables have not; every query on such a model fails.
    conflicts: {app: names without a successor}. unmade: changes of the models that no migration holds, in words.
    plan: one map for each pending migration {name, operations, reversible, atomic, statements}. rows: {table: rows} of what the plan alters.
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
    detail: str = ""
    kind: str = ""


@lru_cache
def _script(framework: str) -> bytes:
    return (Path(__file__).parent / framework / "probe.py").read_bytes()


def probe_spec_parts(framework: str = "django") -> ProbeParts:
    """The probe's parts."""
    return parts_of(_script(framework))


def parts_of(script: bytes) -> ProbeParts:
    """The command, the script for standard input, and the scratch folder for the answer."""
    mount = Mount(target=OUT, source="scratch:out", mode="rw")
    return ProbeParts(command=("python", "-", OUT), stdin=script, mounts=(mount,))


def answer(*, home: Path, state: DynoState) -> Answer:
    """What an ended probe dyno found. No readable answer is an error, never "nothing is pending"."""
    found = read_json(home / scratch_folder(state.id, "out") / ANSWER)
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
        conflicts={str(app)[:100]: list(_names(names)) for app, names in conflicts.items()} if isinstance(conflicts, dict) else {},
        plan=tuple(_step(item) for item in found.get("plan") or () if isinstance(item, dict))[:200],
        unmade=_names(found.get("unmade"))[:50],
        rows=_rows(found.get("rows")),
        detail=str(found.get("detail", ""))[:4000],
        kind=str(found.get("kind", ""))[:40],
    )


def _step(item: dict[str, Any]) -> dict[str, Any]:
    """One migration of the plan, as it is stored: the tenant's words, cut to a size."""
    statements = tuple(text[:1000] for text in _names(item.get("statements"), 1000)[:100])
    facts = {"reversible": item.get("reversible") is not False, "atomic": item.get("atomic") is not False}
    parent = {"parent": str(item["parent"])[:300]} if isinstance(item.get("parent"), str) else {}
    return {"name": str(item.get("name"))[:300], "operations": list(_names(item.get("operations"))[:50]), **facts, **parent, "statements": list(statements)}


def _rows(value: Any) -> dict[str, int]:
    pairs = value.items() if isinstance(value, dict) else ()
    return {str(name)[:200]: count for name, count in pairs if isinstance(count, int) and not isinstance(count, bool) and count >= 0}


def _names(value: Any, size: int = 300) -> tuple[str, ...]:
    return tuple(str(item)[:size] for item in value) if isinstance(value, list) else ()
