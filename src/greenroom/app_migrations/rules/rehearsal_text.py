"""Text reports of a rehearsal: one paragraph for the terminal, and a table of all migrations."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from greenroom.app_migrations.rules import rehearsal
from greenroom.app_migrations.rules.rehearsal import Measured
from greenroom.app_migrations.rules.sql_warnings import Warning, warnings

CODE = {
    "old_old": "old code before migrate",
    "new_old": "new code before migrate",
    "new_new": "new code after migrate",
    "old_new": "old code after migrate",
}
SHOWN = 4
MODULE = re.compile(r"\b(?:[a-z_]\w*\.)+(?=[A-Z]\w*(?:Error|Exception|Violation|DoesNotExist)\b)")
"""The module of an exception, removed because it does not help the reader."""


def number(name: str) -> str:
    """``0003`` of ``shop.0003_prices``; the whole name when it has no number."""
    last = name.rpartition(".")[2]
    first = last.partition("_")[0]
    return first if first.isdigit() else last


def paragraph(migrations: Sequence[Measured], cells: Mapping[str, Mapping[str, Any]]) -> str:
    """``8 pending migrations, 4.9 s; blocks writes on shop_order 1.2 s (0003); ...``: the facts to know before a
    migrate.
    """
    if not migrations:
        return "No pending migrations."
    total = sum(one.seconds for one in migrations)
    count = "1 pending migration" if len(migrations) == 1 else f"{len(migrations)} pending migrations"
    failed = [one for one in migrations if one.error]
    parts = [f"{count}, {_took(total)}", *(f"{number(one.name)} FAILS: {one.error}" for one in failed)]
    blocks = _blocks(migrations)
    parts += blocks or ([] if failed else ["blocks nothing"])
    stuck = [number(one.name) for one in migrations if not one.reversible]
    parts += [f"{', '.join(stuck)} cannot be undone"] if stuck else []
    parts += [f"{number(one.name)} {loss}" for one in migrations for loss in rehearsal.lost(one)][:SHOWN]
    if not failed:
        parts += [
            f"{CODE[name]}: {cell}"
            for name in ("new_old", "new_new", "old_new")
            if (cell := _cell(name, migrations, cells))
        ]
        if _gap(migrations, cells):
            parts.append(
                "neither code works on both schemas: requests may fail from the migrate to the switch (maintenance:on"
                " shows visitors a maintenance page)"
            )
    return "; ".join(parts) + "."


def _took(seconds: float) -> str:
    """``1.3 s``, or ``under 0.1 s``."""
    return f"{seconds:.1f} s" if seconds >= 0.05 else "under 0.1 s"


def going_back(version: int, number: int, cells: Mapping[str, Mapping[str, Any]], reverse: Mapping[str, Any]) -> str:
    """The conclusions of rehearsal ``number`` for a rollback to the code before the migrations; empty if there are
    none.
    """
    cell = cells.get("old_new") or {}
    detail = f": {cell['detail']}" if cell.get("detail") else ""
    code = {"ok": f"v{version}'s code worked after them", "fails": f"v{version}'s code FAILED after them{detail}"}.get(
        str(cell.get("state")), ""
    )
    undo = ""
    if reverse.get("done"):
        undo = "reversing them " + (
            "left a different schema" if reverse.get("differences") else "restored the schema, though not the data"
        )
    elif reverse.get("detail"):
        undo = f"they could not be reversed: {reverse['detail']}"
    said = "; ".join(part for part in (code, undo) if part)
    return f"In rehearsal {number} {said}." if said else ""


def _gap(migrations: Sequence[Measured], cells: Mapping[str, Mapping[str, Any]]) -> bool:
    """Whether the new code needs the migrations and the old code fails after them."""
    new, old = ((cells.get(name) or {}).get("state") == "fails" for name in ("new_old", "old_new"))
    return new and (old or bool(rehearsal.breaks_old(migrations)))


def _blocks(migrations: Sequence[Measured]) -> list[str]:
    parts = []
    for one in migrations:
        reads, on = rehearsal.blocked(one, rehearsal.READ_BLOCKING)
        writes, table = rehearsal.blocked(one, rehearsal.WRITE_BLOCKING)
        rewrites = f", rewrites {len(one.rewrites)} relations" if one.rewrites else ""
        if writes >= rehearsal.BRIEF_SECONDS and (writes > 2 * reads or table != on):
            parts.append(f"blocks writes on {table} {writes:.1f} s ({number(one.name)})")
        if reads >= rehearsal.BRIEF_SECONDS:
            parts.append(f"blocks reads on {on} {reads:.1f} s ({number(one.name)}{rewrites})")
    return parts


def _cell(name: str, migrations: Sequence[Measured], cells: Mapping[str, Mapping[str, Any]]) -> str:
    """The text for one cell, about the schema and the requested app; empty if it works."""
    cell = cells.get(name) or {}
    state, detail = cell.get("state"), str(cell.get("detail") or "")
    certain = {"new_old": rehearsal.needs_new, "old_new": rehearsal.breaks_old}.get(name)
    words = certain(migrations) if certain else []
    known = f"cannot {words[0]}" + (f" and {len(words) - 1} more" if len(words) > 1 else "") if words else ""
    if state == "fails":
        return (
            "FAILS: "
            + (
                f"it {known}"
                if known and _agrees(detail, words)
                else f"{MODULE.sub('', detail)}" + (f", and it {known}" if known else "")
            ).strip()
        )
    if state == "inconclusive":
        return f"not known ({detail})"
    return ("answers" if state == "ok" else "") + (", but " if state == "ok" and known else "") + known if known else ""


def _agrees(detail: str, words: Sequence[str]) -> bool:
    """Whether an error concerns a column or table that ``words`` already names, so that they suffice."""
    return any(name in detail for text in words for name in re.findall(r"\((\w+) is ", text))


def table(
    migrations: Sequence[Measured],
    reverse: Mapping[str, Any] | None = None,
    cells: Mapping[str, Mapping[str, Any]] | None = None,
) -> str:
    """One line for each migration (colour, seconds, class, rows, name), then problems with the safe alternatives, then
    each combination of code and schema.
    """
    lines = []
    created: frozenset[str] = frozenset()
    for one in migrations:
        judged = rehearsal.judge(one)
        kind = f"{judged.kind} {judged.seconds:.1f} s" if judged.seconds else judged.kind
        lines.append(f"{judged.colour:<6} {one.seconds:>7.2f} s  {kind:<22} {_rows(one):<22} {one.name}".rstrip())
        lines += [f"         {reason}" for reason in judged.reasons]
        for warning in warnings(one, created):
            lines += [f"         {warning.rule}: {warning.text}", f"         safe: {warning.recipe}"]
        created |= {item.name for item in one.tables if item.change == "created"}
    return "\n".join([*lines, *_undone(reverse or {}), *_codes(cells or {})])


def _codes(cells: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The observed result of each code on each schema."""
    found = [(CODE[name], cells[name]) for name in rehearsal.CELLS if name in cells]
    words = {"ok": "works", "fails": "FAILS", "inconclusive": "not known", "skipped": "not tried"}
    said = [
        f"{code}: {words.get(str(cell.get('state')), 'not known')}"
        + (f": {cell['detail']}" if cell.get("detail") else "")
        for code, cell in found
    ]
    return [f"{'code' if number == 0 else '':<6} {line}" for number, line in enumerate(said)]


def _rows(one: Measured) -> str:
    sums = [sum(counts) for counts in zip(*(counts[1:] for counts in one.rows), strict=True)] or [0, 0, 0]
    words = [f"{count} {word}" for count, word in zip(sums, ("inserted", "updated", "deleted"), strict=True) if count]
    return ", ".join(words)


def _undone(reverse: Mapping[str, Any]) -> list[str]:
    if reverse.get("done"):
        seconds = reverse.get("seconds")
        took = f" in {seconds:.1f} s" if isinstance(seconds, int | float) else ""
        differences = [str(one) for one in reverse.get("differences") or ()]
        if not differences:
            return [f"undo   the schema was restored{took}; data that was dropped or changed is not"]
        return [f"undo   ran{took}, but the schema differs:", *(f"         {one}" for one in differences[:SHOWN])]
    return [f"undo   not possible: {reverse['detail']}"] if reverse.get("detail") else []


def all_warnings(migrations: Sequence[Measured]) -> dict[str, list[Warning]]:
    """The warnings of each migration by name, without empty ones."""
    created: frozenset[str] = frozenset()
    found = {}
    for one in migrations:
        if some := warnings(one, created):
            found[one.name] = some
        created |= {item.name for item in one.tables if item.change == "created"}
    return found
