"""Known effects of a migration's SQL on a table with traffic, and safe alternatives. Pure; parses text only.

Only tables that existed before the plan count: nobody uses a table during its creation.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenroom.app_migrations.rules.rehearsal import Measured

NAME = r'((?:"[^"]+"|[\w$]+)(?:\.(?:"[^"]+"|[\w$]+))?)'
ALTER = re.compile(rf"\s*ALTER\s+TABLE\s+(?:IF\s+EXISTS\s+)?(?:ONLY\s+)?{NAME}\s+(.*)", re.IGNORECASE | re.DOTALL)
INDEX = re.compile(
    rf"\s*CREATE\s+(UNIQUE\s+)?INDEX\s+(CONCURRENTLY\s+)?(?:IF\s+NOT\s+EXISTS\s+)?"
    rf"(?:{NAME}\s+)?ON\s+(?:ONLY\s+)?{NAME}",
    re.IGNORECASE,
)
DROP_INDEX = re.compile(rf"\s*DROP\s+INDEX\s+(CONCURRENTLY\s+)?(?:IF\s+EXISTS\s+)?{NAME}", re.IGNORECASE)
DROP_TABLE = re.compile(rf"\s*DROP\s+TABLE\s+(?:IF\s+EXISTS\s+)?{NAME}", re.IGNORECASE)
VOLATILE = re.compile(
    r"\bDEFAULT\s+\(*\s*(gen_random_uuid|uuid_generate_v\d|random|clock_timestamp|nextval|timeofday)\s*\(",
    re.IGNORECASE,
)
FLAGS = re.IGNORECASE | re.DOTALL


@dataclass(frozen=True)
class Warning:
    """rule: a fixed short name; text: the effect on a table; recipe: the safe alternative; table: the affected
    table.
    """

    rule: str
    text: str
    recipe: str
    table: str = ""


RECIPES = {
    "not-null": (
        "Give the field db_default, or add it with null=True first, fill it in batches, and make it required in a later"
        " release."
    ),
    "index": "Use AddIndexConcurrently of django.contrib.postgres.operations in a migration with atomic = False.",
    "drop-index": (
        "Use RemoveIndexConcurrently of django.contrib.postgres.operations in a migration with atomic = False."
    ),
    "rename": (
        "Keep the name in the database: db_column (or db_table) with the old name. Else add the new one, write both,"
        " move, drop later."
    ),
    "drop": (
        "First release code that does not use it (SeparateDatabaseAndState removes it from the models), drop it in a"
        " later release."
    ),
    "type": "Add a new column of the new type, fill it in batches, let the code change over, then drop the old one.",
    "constraint": (
        "Add it NOT VALID (AddConstraintNotValid of django.contrib.postgres.operations), then ValidateConstraint in a"
        " later migration."
    ),
    "unique": "Build the unique index concurrently first, then add the constraint USING that index.",
    "foreign-key": (
        "Add the column without the constraint (db_constraint=False), then the constraint NOT VALID, then validate it."
    ),
    "set-not-null": (
        "Add a CHECK (... IS NOT NULL) NOT VALID, validate it, then SET NOT NULL, which then needs no scan."
    ),
    "volatile": "Add the column without a default, set the default for new rows, fill the old ones in batches.",
}


def warnings(one: Measured, created: frozenset[str] = frozenset()) -> list[Warning]:
    """The distinct warnings of one migration. created: tables that the plan created before or in this migration."""
    new = created | {table.name for table in one.tables if table.change == "created"}
    found: list[Warning] = []
    for statement in one.statements:
        found += _of_statement(statement, one, new)
    return list(dict.fromkeys(found))


def _of_statement(statement: str, one: Measured, new: frozenset[str]) -> list[Warning]:
    if match := INDEX.match(statement):
        table = plain(match.group(4))
        if match.group(2) or table in new:
            return []
        return [_warn("index", f"builds an index on {table} while writes to it are blocked", table)]
    if match := DROP_INDEX.match(statement):
        return (
            []
            if match.group(1)
            else [_warn("drop-index", f"drops the index {plain(match.group(2))} under a lock that blocks reads")]
        )
    if match := DROP_TABLE.match(statement):
        table = plain(match.group(1))
        return [] if table in new else [_warn("drop", f"drops the table {table}; old code that uses it fails", table)]
    if match := ALTER.match(statement):
        table = plain(match.group(1))
        return [] if table in new else _of_alter(table, match.group(2), one)
    return []


def _of_alter(table: str, rest: str, one: Measured) -> list[Warning]:
    found = []
    if match := re.match(rf"ADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?{NAME}(.*)", rest, FLAGS):
        found += _of_column(table, plain(match.group(1)), match.group(2), one)
    if match := re.match(rf"RENAME\s+COLUMN\s+{NAME}\s+TO\s+{NAME}", rest, FLAGS):
        found.append(
            _warn(
                "rename",
                f"renames {table}.{plain(match.group(1))} to {plain(match.group(2))}; old code that uses it fails",
                table,
            )
        )
    elif match := re.match(rf"RENAME\s+TO\s+{NAME}", rest, FLAGS):
        found.append(
            _warn("rename", f"renames the table {table} to {plain(match.group(1))}; old code that uses it fails", table)
        )
    for match in re.finditer(rf"\bDROP\s+COLUMN\s+(?:IF\s+EXISTS\s+)?{NAME}", rest, FLAGS):
        found.append(_warn("drop", f"drops {table}.{plain(match.group(1))}; old code that uses it fails", table))
    for match in re.finditer(rf"\bALTER\s+COLUMN\s+{NAME}\s+(?:SET\s+DATA\s+)?TYPE\b", rest, FLAGS):
        if any(item.relation == table for item in one.rewrites):
            found.append(
                _warn(
                    "type",
                    f"changes the type of {table}.{plain(match.group(1))} and rewrites the whole table",
                    table,
                )
            )
    for match in re.finditer(rf"\bALTER\s+COLUMN\s+{NAME}\s+SET\s+NOT\s+NULL", rest, FLAGS):
        found.append(
            _warn(
                "set-not-null",
                f"reads all of {table} under a lock that blocks reads, to verify that {plain(match.group(1))} is never"
                " null",
                table,
            )
        )
    return found + _of_constraint(table, rest)


def _of_column(table: str, column: str, rest: str, one: Measured) -> list[Warning]:
    found = []
    if VOLATILE.search(rest):
        found.append(
            _warn(
                "volatile",
                f"adds {table}.{column} with a different default for each row and rewrites the whole table",
                table,
            )
        )
    required = any(
        item.table == table and item.name == column and item.change == "added" and item.required for item in one.columns
    )
    if required or (
        one.error and re.search(r"\bNOT\s+NULL\b", rest, FLAGS) and not re.search(r"\bDEFAULT\b", rest, FLAGS)
    ):
        found.append(
            _warn(
                "not-null",
                f"adds {table}.{column} NOT NULL without a default in the database; old code can no longer insert",
                table,
            )
        )
    return found


def _of_constraint(table: str, rest: str) -> list[Warning]:
    if re.search(r"\bNOT\s+VALID\b", rest, FLAGS):
        return []
    if re.search(r"\bADD\s+CONSTRAINT\b.*\bFOREIGN\s+KEY\b|\bCONSTRAINT\b.*\bREFERENCES\b", rest, FLAGS):
        return [_warn("foreign-key", f"checks a foreign key of {table} while writes to both tables are blocked", table)]
    if re.search(r"\bADD\s+CONSTRAINT\b.*\bCHECK\b", rest, FLAGS):
        return [_warn("constraint", f"checks all rows of {table} under a lock that blocks reads", table)]
    if re.search(r"\bADD\s+CONSTRAINT\b.*\b(UNIQUE|EXCLUDE|PRIMARY\s+KEY)\b", rest, FLAGS) and not re.search(
        r"\bUSING\s+INDEX\b", rest, FLAGS
    ):
        return [_warn("unique", f"builds a unique index on {table} under a lock that blocks reads", table)]
    return []


def plain(name: str) -> str:
    """``"public"."shop_item"`` as ``shop_item``: without quotes and without the schema ``public``."""
    parts = [part.strip('"') for part in re.findall(r'"[^"]+"|[\w$]+', name)]
    return ".".join(parts[1:] if parts[:1] == ["public"] else parts)


def _warn(rule: str, text: str, table: str = "") -> Warning:
    return Warning(rule, text, RECIPES[rule], table)
