"""Rates the measurements of a rehearsal: a colour, a readable class, and which code works on which schema.

The measurements come from a tenant's dyno: no type or size in them is trusted.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

BLOCKED_SECONDS = 1.0
"""Blocking reads or writes for longer than this makes a migration amber."""
BRIEF_SECONDS = 0.1
"""Shorter locks are not reported."""
REWRITE_BYTES = 100_000_000
"""Rewriting more than this makes a migration amber."""

READ_BLOCKING = frozenset({"AccessExclusiveLock"})
WRITE_BLOCKING = frozenset({"ShareLock", "ShareRowExclusiveLock", "ExclusiveLock", *READ_BLOCKING})
COLOURS = ("green", "amber", "red")
CELLS = ("old_old", "new_old", "new_new", "old_new")
"""Combinations of code and schema: old_new is the old code on the migrated schema."""


@dataclass(frozen=True)
class Lock:
    """The longest lock of one mode on a table that existed before the migration; mode as in pg_locks."""

    table: str
    mode: str
    seconds: float


@dataclass(frozen=True)
class Rewrite:
    """A rewritten table or index, and its size in bytes afterwards."""

    relation: str
    bytes: int


@dataclass(frozen=True)
class Column:
    """A column that a migration added, dropped or renamed in an existing table.

    change: added, dropped, renamed. rows: of the table, -1 if unknown. values: not null, among the rows. new: the new
    name of a renamed column.
    """

    table: str
    name: str
    change: str
    required: bool = False
    rows: int = -1
    values: int = -1
    new: str = ""


@dataclass(frozen=True)
class Table:
    """A table that a migration created, dropped or renamed. rows: -1 if unknown."""

    name: str
    change: str
    rows: int = -1
    new: str = ""


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The measured effects of one pending migration on the copy. seconds: from its first statement to its commit.

    statements: SQL without parameters, the first 200 of ``count``. rows: (table, inserted, updated, deleted), from
    ``{table: [...]}`` or unchanged.
    """

    name: str
    operations: tuple[str, ...] = ()
    seconds: float = 0.0
    atomic: bool = True
    reversible: bool = True
    safe: str = ""
    statements: tuple[str, ...] = ()
    count: int = 0
    locks: tuple[Lock, ...] = ()
    rewrites: tuple[Rewrite, ...] = ()
    rows: tuple[tuple[str, int, int, int], ...] = ()
    columns: tuple[Column, ...] = ()
    tables: tuple[Table, ...] = ()
    error: str = ""
    traceback: str = ""


@dataclass(frozen=True)
class Judged:
    """A migration's colour, class (``blocks reads``, ``blocks writes`` or ``harmless``), seconds, table and reasons."""

    colour: str
    kind: str
    seconds: float
    table: str
    reasons: tuple[str, ...]


def plan_digest(plan: Iterable[Mapping[str, Any]]) -> str:
    """SHA-256 over the plan in order: each migration's ``name`` and a digest of its ``operations``."""
    whole = hashlib.sha256()
    for item in plan:
        operations = json.dumps([str(one) for one in _list(item.get("operations"))], ensure_ascii=True)
        whole.update(f"{item.get('name')} {hashlib.sha256(operations.encode()).hexdigest()}\n".encode())
    return whole.hexdigest()


def blocked(one: Measured, modes: frozenset[str]) -> tuple[float, str]:
    """(seconds, table) of the longest lock of these modes; (0, "") if there was none. Tables that the plan created are
    ignored.
    """
    held = [(lock.seconds, lock.table) for lock in one.locks if lock.mode in modes]
    return max(held, default=(0.0, ""))


def lost(one: Measured) -> list[str]:
    """Descriptions of the data that the migration destroyed; empty if the dropped objects had no data."""
    found = [
        f"drops {column.table}.{column.name}" + (f" with {column.values} values" if column.values > 0 else "")
        for column in one.columns
        if column.change == "dropped" and column.values != 0 and column.rows != 0
    ]
    tables = [table for table in one.tables if table.change == "dropped" and table.rows != 0]
    return found + [f"drops {table.name}" + (f" with {table.rows} rows" if table.rows > 0 else "") for table in tables]


def judge(one: Measured) -> Judged:
    """Red on failure; amber if it blocks for over 1 s, rewrites over 100 MB, is irreversible or loses data; else
    green.
    """
    reads, on = blocked(one, READ_BLOCKING)
    writes, written = blocked(one, WRITE_BLOCKING)
    kind, seconds, table = "harmless", 0.0, ""
    if reads >= BRIEF_SECONDS:
        kind, seconds, table = "blocks reads", reads, on
    elif writes >= BRIEF_SECONDS:
        kind, seconds, table = "blocks writes", writes, written
    reasons = []
    if reads > BLOCKED_SECONDS:
        reasons.append(f"blocks reads of {on} for {reads:.1f} s")
    if writes > BLOCKED_SECONDS and writes > reads:
        reasons.append(f"blocks writes to {written} for {writes:.1f} s")
    if (size := sum(item.bytes for item in one.rewrites)) > REWRITE_BYTES:
        reasons.append(f"rewrites {size / 1e6:.0f} MB")
    if not one.reversible:
        reasons.append("cannot be undone")
    reasons += lost(one)
    if one.error:
        return Judged("red", kind, seconds, table, (f"fails: {one.error}", *reasons))
    return Judged("amber" if reasons else "green", kind, seconds, table, tuple(reasons))


def colour(migrations: Iterable[Measured], cells: Mapping[str, Mapping[str, Any]]) -> str:
    """The rehearsal's colour: that of its worst migration; red if the new code fails on the migrated schema.

    At least amber if the old code fails on it: only a restore would undo it, and requests may fail until the switch.
    """
    found = list(migrations)
    ranks = [COLOURS.index(judge(one).colour) for one in found]
    if (cells.get("old_new") or {}).get("state") == "fails" or breaks_old(found):
        ranks.append(COLOURS.index("amber"))
    if (cells.get("new_new") or {}).get("state") == "fails":
        return "red"
    return COLOURS[max(ranks, default=0)]


def breaks_old(migrations: Iterable[Measured]) -> list[str]:
    """Descriptions of old code that will fail after these migrations: certain, because Django names every column of a
    table.
    """
    found = []
    for one in migrations:
        for column in one.columns:
            if column.change == "added" and column.required:
                found.append(f"insert into {column.table} ({column.name} is required and has no default)")
            elif column.change == "dropped":
                found.append(f"use {column.table} ({column.name} is dropped)")
            elif column.change == "renamed":
                found.append(f"use {column.table} ({column.name} is renamed to {column.new})")
        gone = [table for table in one.tables if table.change in ("dropped", "renamed")]
        found += [f"use {table.name} (it is " + (f"called {table.new})" if table.new else "gone)") for table in gone]
    return list(dict.fromkeys(found))


def needs_new(migrations: Iterable[Measured]) -> list[str]:
    """Descriptions of new code that fails before these migrations."""
    found = []
    for one in migrations:
        added = [(column.table, column.name) for column in one.columns if column.change == "added"]
        added += [(column.table, column.new) for column in one.columns if column.change == "renamed"]
        found += [f"use {table} ({name} is missing)" for table, name in added]
        found += [
            f"use {table.new or table.name} (it is missing)"
            for table in one.tables
            if table.change in ("created", "renamed")
        ]
    return list(dict.fromkeys(found))


def compare(cells: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The cells with conclusions. If the old code fails even on the old schema, other failures prove nothing."""
    result = {name: dict(cells[name]) for name in CELLS if name in cells}
    if all(result.get(name, {}).get("state") == "fails" for name in ("old_old", "old_new")):
        result["old_new"]["state"] = "inconclusive"
    return result


def with_tests(
    cells: Mapping[str, Mapping[str, Any]], before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """The cells with the old code's test results. before, after: {state: ok, fails or unknown, detail} on each schema.

    Tests that fail on the old schema prove nothing about the new one; the old one is tested only after a failure on the
    new one. Without test results the cells are unchanged.
    """
    result = {name: dict(cell) for name, cell in cells.items()}
    cell = result.get("old_new")
    if not after or cell is None:
        return result
    detail, said = _text(cell.get("detail"), 1000), _text(after.get("detail"), 500)
    if after.get("state") == "ok":
        cell["detail"] = f"{detail}, and its tests pass"
    elif after.get("state") == "fails" and before.get("state") == "ok":
        cell["state"], cell["detail"] = "fails", f"its tests, which pass on the old schema: {said}"
    else:
        why = (
            "they fail on the old schema as well"
            if before.get("state") == "fails"
            else _text(before.get("detail"), 300) or said
        )
        cell["detail"] = f"{detail}; the result of its tests is unknown: {why}"
    return result


def wants_tests(settings: Mapping[str, Any] | None) -> bool:
    """Whether to run the old code's tests on the new schema: no smoke command, and not disabled in greenroom.toml
    (``[policy] rehearse_tests = false``). settings: None without old code.
    """
    return (
        settings is not None
        and not settings.get("smoke")
        and (settings.get("policy") or {}).get("rehearse_tests") is not False
    )


def cell(found: Mapping[str, Any], otherwise: str) -> dict[str, Any]:
    """One cell of the script's document: {state: ok, fails or inconclusive, detail, seconds}.

    otherwise: the default reason why it could not be tried.
    """
    known = found.get("state") in ("ok", "fails")
    detail = _text(found.get("detail"), 1500)
    return {
        "state": found["state"] if known else "inconclusive",
        "detail": detail if known else f"it could not be tested: {detail or otherwise}",
        "seconds": _number(found.get("seconds")),
    }


def measured(value: Any) -> Measured:
    """One migration of the recorder's document; fields of a wrong type count as absent."""
    item = value if isinstance(value, Mapping) else {}
    maps = {
        key: [one for one in _list(item.get(key)) if isinstance(one, Mapping)]
        for key in ("locks", "rewrites", "columns", "tables")
    }
    rows = item.get("rows")
    counted = (
        [(table, *_list(counts)) for table, counts in rows.items()]
        if isinstance(rows, Mapping)
        else filter(None, map(_list, _list(rows)))
    )
    return Measured(
        name=_text(item.get("name"), 300),
        operations=tuple(_text(one, 300) for one in _list(item.get("operations"))[:50]),
        seconds=_number(item.get("seconds")),
        atomic=item.get("atomic") is not False,
        reversible=item.get("reversible") is not False,
        safe=_text(item.get("safe"), 60),
        statements=tuple(_text(one, 1000) for one in _list(item.get("statements"))[:200]),
        count=_whole(item.get("count")),
        locks=tuple(
            Lock(_text(one.get("table")), _text(one.get("mode")), _number(one.get("seconds")))
            for one in maps["locks"][:200]
        ),
        rewrites=tuple(Rewrite(_text(one.get("relation")), _whole(one.get("bytes"))) for one in maps["rewrites"][:200]),
        rows=tuple((_text(table), *_three(counts)) for table, *counts in list(counted)[:200]),
        columns=tuple(_column(one) for one in maps["columns"][:200]),
        tables=tuple(
            Table(_text(one.get("name")), _text(one.get("change")), _whole(one.get("rows"), -1), _text(one.get("new")))
            for one in maps["tables"][:200]
        ),
        error=_text(item.get("error"), 1000),
        traceback=_text(item.get("traceback"), 8000),
    )


def _column(one: Mapping[str, Any]) -> Column:
    return Column(
        table=_text(one.get("table")),
        name=_text(one.get("name")),
        change=_text(one.get("change")),
        required=one.get("required") is True,
        rows=_whole(one.get("rows"), -1),
        values=_whole(one.get("values"), -1),
        new=_text(one.get("new")),
    )


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else []


def _text(value: Any, limit: int = 200) -> str:
    return str(value)[:limit] if isinstance(value, str | int | float) and not isinstance(value, bool) else ""


def _number(value: Any) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return min(max(float(value), 0.0), 1e6) if good else 0.0


def _whole(value: Any, otherwise: int = 0) -> int:
    return min(value, 10**15) if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise


def _three(value: Any) -> tuple[int, int, int]:
    one, two, three = [*map(_whole, _list(value)[:3]), 0, 0, 0][:3]
    return one, two, three
