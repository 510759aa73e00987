"""The forecast effects of pending migrations on present data, from their SQL and the row counts, before any run.

Durations come only from a rehearsal of the same migrations. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from greenroom.app_migrations.rules import rehearsal
from greenroom.app_migrations.rules import rehearsal_text as text
from greenroom.app_migrations.rules.rehearsal import Column, Measured, Rewrite, Table
from greenroom.app_migrations.rules.sql_warnings import ALTER, FLAGS, NAME, Warning, plain

CREATED = re.compile(rf"\s*CREATE\s+TABLE\s+(?:IF\s+NOT\s+EXISTS\s+)?{NAME}", re.IGNORECASE)
ADDED = re.compile(rf"ADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?{NAME}(.*)", FLAGS)
TYPED = re.compile(r"\bALTER\s+COLUMN\s+\S+\s+(?:SET\s+DATA\s+)?TYPE\s+(?!varchar|character varying|text)", FLAGS)
"""A type change that rewrites the table: nearly all, except those between text types."""
SHOWN = 6
"""Maximum number of warnings in the push output."""


@dataclass(frozen=True)
class Forecast:
    """One warning about one pending migration. rows: of its table, None if unknown; measured: ``blocks writes 1.2 s``
    or empty.
    """

    migration: str
    rule: str
    text: str
    recipe: str
    table: str
    rows: int | None
    measured: str

    def line(self) -> str:
        """``0004_staff_iban renames payroll_staffmember.bank_account ...; 200,000 rows; blocks writes 1.2 s``."""
        rows = (
            ""
            if self.rows is None
            else f"; 1 row of {self.table}"
            if self.rows == 1
            else f"; {self.rows:,} rows of {self.table}"
        )
        return f"{self.migration} {self.text}{rows}{f': {self.measured}' if self.measured else ''}"


def forecasts(
    plan: Iterable[Mapping[str, Any]], rows: Mapping[str, int], measured: Iterable[Measured] = ()
) -> list[Forecast]:
    """The warnings of the plan in order. measured: from a rehearsal of the same plan, if there was one.

    A table that the plan creates gets no warnings. An empty table only gets those about code that fails regardless of
    the data.
    """
    seen = {one.name: one for one in measured}
    steps = [seen[str(item.get("name"))] if str(item.get("name")) in seen else expected(item) for item in plan]
    made = {table.name for step in steps for table in step.tables if table.change == "created"}
    found = []
    for name, warnings in text.all_warnings(steps).items():
        one = seen.get(name)
        for warning in warnings:
            if warning.table in made:
                continue
            count = rows.get(warning.table)
            if count == 0 and warning.rule not in LASTING:
                continue
            found.append(
                Forecast(
                    name, warning.rule, warning.text, warning.recipe, warning.table, count, _measured(one, warning)
                )
            )
    return found


LASTING = frozenset({"not-null", "rename", "drop"})
"""Rules about incompatible code, not about the duration of a lock."""


def expected(item: Mapping[str, Any]) -> Measured:
    """The expected measurements of a migration, from its SQL alone."""
    one = rehearsal.measured(
        {"name": item.get("name"), "statements": item.get("statements"), "reversible": item.get("reversible")}
    )
    made = tuple(Table(plain(match.group(1)), "created") for line in one.statements if (match := CREATED.match(line)))
    anew = tuple(
        Rewrite(plain(match.group(1)), 0)
        for line in one.statements
        if (match := ALTER.match(line)) and TYPED.search(match.group(2))
    )
    return replace(one, tables=made, columns=tuple(_columns(one.statements)), rewrites=anew)


def _columns(statements: Iterable[str]) -> Iterable[Column]:
    """Added columns; required if NOT NULL and without a default after the migration (Django drops its temporary
    default).
    """
    lines = list(statements)
    for number, line in enumerate(lines):
        table = ALTER.match(line)
        column = ADDED.match(table.group(2)) if table else None
        if table is None or column is None:
            continue
        name = plain(column.group(1))
        dropped = rf"ALTER\s+COLUMN\s+\"?{re.escape(name)}\"?\s+DROP\s+DEFAULT"
        bare = not re.search(r"\bDEFAULT\b|\bGENERATED\b", column.group(2), FLAGS)
        later = [match for line in lines[number + 1 :] if (match := ALTER.match(line))]
        gone = any(
            plain(match.group(1)) == plain(table.group(1)) and re.search(dropped, match.group(2), FLAGS)
            for match in later
        )
        required = bool(re.search(r"\bNOT\s+NULL\b", column.group(2), FLAGS)) and (bare or gone)
        yield Column(plain(table.group(1)), name, "added", required=required)


def _measured(one: Measured | None, warning: Warning) -> str:
    """The time that the rehearsal blocked the warning's table; empty if negligible."""
    if one is None:
        return ""
    held = [
        (lock.seconds, lock.mode in rehearsal.READ_BLOCKING)
        for lock in one.locks
        if lock.table == warning.table and lock.mode in rehearsal.WRITE_BLOCKING
    ]
    seconds, reads = max(held, default=(0.0, False))
    return (
        f"blocks {'reads and writes' if reads else 'writes'} {seconds:.1f} s in the rehearsal"
        if seconds >= rehearsal.BRIEF_SECONDS
        else ""
    )


def lines(found: Iterable[Forecast]) -> list[str]:
    """The push output: the first warnings, each followed by the safe alternative."""
    every = list(found)
    said = [line for one in every[:SHOWN] for line in (f" !     {one.line()}", f" !       safe: {one.recipe}")]
    more = len(every) - SHOWN
    return [*said, f" !     and {more} more: greenroom migrations"] if more > 0 else said
