"""Lints the SQL of migrations that are new since the deployed commit: hazards for tables in use, and safer
alternatives.

Greenroom deploys code first; a user runs migrations later, after a rehearsal. So findings are warnings, unless the app
sets ``[scan] migrations = "error"``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import sys
import tarfile
from dataclasses import asdict
from typing import Any

from . import baseline
from .scanners.kind import ScanError, call
from .steps import run

MIGRATION = re.compile(r"(^|/)migrations/(?!__init__\.py$)[^/]+\.py$")
NOISE = (
    "require-timeout-settings,prefer-robust-stmts,prefer-text-field,prefer-bigint-over-int,prefer-bigint-over-smallint,"
    "prefer-identity,prefer-timestamp-tz,ban-drop-default,ban-char-field,ban-drop-not-null,transaction-nesting,ban-unc"
    "ommitted-transaction,"
    "identifier-too-long,prefer-repack,require-table-schema,ban-alter-domain-with-add-constraint,ban-create-domain-wit"
    "h-constraint"
)
"""Ignored rules: about Django's own SQL, or about timeouts that Greenroom sets when a user migrates."""

CONCURRENT = "ban-concurrent-index-creation-in-transaction"
ALWAYS = ("ban-drop-database", "ban-truncate-cascade", "syntax-error")
"""Rules for SQL that is wrong in any deployment order; all others are hazards."""

RECIPES = {
    "renaming-column": (
        "keep the column name with db_column, or add a new field, write to both, copy the rows, drop the old field"
        " later"
    ),
    "renaming-table": "keep the table name with Meta.db_table",
    "ban-drop-column": (
        "release code without the field first (SeparateDatabaseAndState removes it from the models), drop the column in"
        " a later release"
    ),
    "ban-drop-table": "first release code that does not use the table, drop it in a later release",
    "adding-required-field": (
        "give the field db_default, or add it with null=True, fill it, and make it required in a later release"
    ),
    "adding-not-nullable-field": "add a CHECK (... IS NOT NULL) NOT VALID, validate it, then set NOT NULL",
    "adding-field-with-default": (
        "add the field without the default, set the default for new rows, fill old rows in batches"
    ),
    "changing-column-type": (
        "add a field of the new type, fill it in batches, switch the code to it, drop the old field"
    ),
    "require-concurrent-index-creation": (
        "use AddIndexConcurrently of django.contrib.postgres.operations in a migration with atomic = False"
    ),
    "require-concurrent-index-deletion": (
        "use RemoveIndexConcurrently of django.contrib.postgres.operations in a migration with atomic = False"
    ),
    "constraint-missing-not-valid": (
        "use AddConstraintNotValid of django.contrib.postgres.operations, then ValidateConstraint in a later migration"
    ),
    "adding-foreign-key-constraint": (
        "add the field with db_constraint=False, add the constraint NOT VALID, then validate it"
    ),
    "disallowed-unique-constraint": (
        "build the unique index concurrently first, then add the constraint USING that index"
    ),
    CONCURRENT: "set atomic = False in this migration",
    "ban-truncate-cascade": "name the tables to truncate, without CASCADE",
}


def migrations(options: dict[str, Any], folder: str) -> list[str]:
    """The app's migration files that are new or changed since the deployed tree. options: {old, root}."""
    root = f"{options['root']}/" if options.get("root") else ""
    with tarfile.open(options["old"], "r:") as tar:
        known = {
            member.name.removeprefix("./"): _digest(tar, member)
            for member in tar
            if member.isreg() and MIGRATION.search(member.name)
        }
    found = []
    for place, folders, names in os.walk(folder):
        folders[:] = [
            name for name in folders if not name.startswith(".") and name not in ("node_modules", "__pycache__")
        ]
        paths = (os.path.relpath(os.path.join(place, name), folder) for name in names)
        found += [path for path in paths if MIGRATION.search(path)]
    return sorted(path for path in found if known.get(root + path) != _digest_of(os.path.join(folder, path)))


def _digest(tar: tarfile.TarFile, member: tarfile.TarInfo) -> str:
    source = tar.extractfile(member)
    return hashlib.sha256(source.read() if source else b"").hexdigest()


def _digest_of(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def lint(options: dict[str, Any], manage: str, out: str) -> dict[str, Any]:
    """The result of the part ``squawk``. options: {squawk, old (or null), root, strict}; manage: its path."""
    folder = os.getcwd()
    if not options.get("squawk") or not options.get("old"):
        return _result([], "", 0)
    try:
        paths = migrations(options, folder)
        rows, vendor = _sql(manage, paths, out) if paths else ([], "")
        return _result(judge(options, rows, out), _note(rows, vendor), len(rows))
    except (ScanError, OSError, tarfile.TarError, KeyError, TypeError, ValueError, IndexError) as error:
        return {"outcome": "error", "detail": str(error)[:500], "findings": [], "new": 0, "total": 0}


def _sql(manage: str, paths: list[str], out: str) -> tuple[list[dict[str, Any]], str]:
    target = os.path.join(out, "sql.json")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "sql_of.py")
    sys.stdout.flush()
    step = run("", dict(os.environ), ("python", script, manage, target, *(os.path.abspath(path) for path in paths)))
    try:
        with open(target, encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError) as error:
        last = next((line for line in reversed(step.text.splitlines()) if line.strip()), "no output")
        raise ScanError(f"cannot generate the SQL of {len(paths)} new migrations: {last.strip()[:300]}") from error
    return content["migrations"], content["vendor"]


def _note(rows: list[dict[str, Any]], vendor: str) -> str:
    if vendor not in ("", "postgresql"):
        return f"new migrations were not checked: the app's database is {vendor}"
    bad = [row for row in rows if row["problem"]]
    return (
        f"cannot generate the SQL of {bad[0]['app']}.{bad[0]['name']} without a database ({bad[0]['problem']})"
        if bad
        else ""
    )


def judge(options: dict[str, Any], rows: list[dict[str, Any]], out: str) -> list[baseline.Finding]:
    """squawk's findings in all new migrations together, so that it knows which tables are new."""
    lines: list[tuple[dict[str, Any], int]] = []
    text = []
    for row in rows:
        for number, statements in enumerate(row["operations"]):
            for statement in statements:
                part = statement.rstrip().rstrip(";") + ";"
                text.append(part)
                lines += [(row, number)] * (part.count("\n") + 1)
    if not text:
        return []
    path = os.path.join(out, "new.sql")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(text) + "\n")
    argv = [
        options["squawk"],
        "--reporter",
        "json",
        "--assume-in-transaction",
        "--pg-version",
        "18.0",
        "--exclude",
        NOISE,
        path,
    ]
    report = json.loads(call(argv, cwd=out))
    return _findings(report, lines, bool(options.get("strict")), str(options.get("root") or ""))


def _findings(
    report: list[dict[str, Any]], lines: list[tuple[dict[str, Any], int]], strict: bool, root: str
) -> list[baseline.Finding]:
    found: dict[tuple[str, str, int], baseline.Finding] = {}
    for item in report:
        row, number = lines[min(int(item["line"]), len(lines) - 1)]
        rule = str(item["rule_name"])
        if rule == CONCURRENT and not row["atomic"]:
            continue
        line = row["lines"][number] if number < len(row.get("lines") or []) else 1
        with open(row["path"], encoding="utf-8", errors="replace") as file:
            source = file.read().split("\n")
        recipe = RECIPES.get(rule) or item.get("help")
        message = str(item["message"]).rstrip(".") + (f". Safer: {recipe}" if recipe else "")
        severity = 2 if strict or rule in ALWAYS else 3
        path = os.path.join(root, os.path.relpath(row["path"]))
        text = baseline.squeeze(source[line - 1]) if 0 < line <= len(source) else ""
        found.setdefault((rule, path, line), baseline.Finding("squawk", rule, path, line, 0, severity, message, text))
    return baseline.number(found.values())


def _result(found: list[baseline.Finding], note: str, looked: int) -> dict[str, Any]:
    return {
        "outcome": "failure" if any(finding.severity <= baseline.BLOCKING for finding in found) else "success",
        "detail": "",
        "note": note,
        "total": len(found),
        "new": len(found),
        "migrations": looked,
        "findings": [{**asdict(finding), "fingerprint": finding.fingerprint()} for finding in found],
    }
