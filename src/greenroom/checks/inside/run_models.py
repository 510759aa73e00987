"""Checks with Django whether a model in the repository changed without a migration."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from . import outputs, plan, run_squawk
from .steps import Step, run

ARGUMENTS = "makemigrations --check --dry-run --noinput --no-color"
CHANGES = "Migrations for '"
CONFLICT = "Conflicting migrations detected"
CHECKS = "SystemCheckError"
NEEDS_DEFAULT = 3
"""Django's exit code if a new migration needs an answer from a user."""

CONSISTENCY = "check_consistent_history"
"""Django before 3.2 reads the applied migrations here, and fails without a database; later ones only warn."""
NOT_COMPARED = (
    "models were not compared with their migrations: Django before 3.2 needs the database for it, and the scan has none"
)

SKIP_CHECKS = "--skip-checks"
NO_DATABASE = re.compile(r"Connection refused|Can't connect to|Connection timed out")
"""What drivers say of the address that a check has instead of a database."""
ASKS_DATABASE = "the app queries the database while it loads, and the scan has none: move the query into a function"

OPERATION = re.compile(r"\s*[-+~]\s+\S")
APP = re.compile(r"Migrations for '([^']+)'")
SETTINGS = re.compile(
    r"^(?:[\w.]+\.)?(?:ModuleNotFoundError|ImportError|ImproperlyConfigured|KeyError|NameError|SyntaxError"
    r"|IndentationError|UndefinedValueError|AttributeError|ValidationError)\b.*",
    re.MULTILINE,
)
"""The last line of a traceback that needs a fix; a retry would not help."""


def judge(code: int, text: str) -> tuple[str, str]:
    """``success``, ``failure`` (the output names changes or conflicts, or the settings do not load) or ``error``. Exit
    code 1 alone may mean a crash.
    """
    if code == 0 or needs_database(text):
        return "success", ""
    if code == 1 and CHANGES in text:
        return "failure", "models have changed without a migration"
    if code == 1 and CONFLICT in text:
        return "failure", "migrations are in conflict: there are multiple leaf nodes"
    if code == 1 and CHECKS in text:
        return "failure", "Django's system check fails"
    if code == NEEDS_DEFAULT:
        return "failure", "models have changed without a migration, and the migration needs a default value"
    if code == 1 and lacks_database(text):
        return "error", ASKS_DATABASE
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "no output").strip()[:300]
    if code == 1 and SETTINGS.match(last):
        module = os.environ.get("DJANGO_SETTINGS_MODULE")
        return "failure", f"the app does not load with {module or 'the settings that manage.py names'}: {last}"
    return "error", f"`manage.py makemigrations --check` ended with exit code {code}: {last}"


def needs_database(text: str) -> bool:
    """Whether an old Django failed only because the scan has no database."""
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "")
    tail = text[text.rfind("Traceback (most recent call last)") :]
    return CONSISTENCY in tail and ("OperationalError" in tail or "Connection refused" in last)


def lacks_database(text: str) -> bool:
    """Whether the app itself queried the database that the scan does not have: as it loads, or in a system check (that
    of the user model creates an instance, and with it the defaults of its fields).
    """
    tail = text[text.rfind("Traceback (most recent call last)") :]
    return "OperationalError" in tail and NO_DATABASE.search(tail) is not None and not needs_database(text)


def _compare(manage: str, labels: str) -> tuple[Step, str]:
    """Run the command, without system checks if they need a database: (step, its output without colours)."""
    for skipped in ("", SKIP_CHECKS):
        command = " ".join(filter(None, ("python", manage, ARGUMENTS, skipped, labels)))
        step = run(command, dict(os.environ))
        text = outputs.ANSI.sub("", step.text)
        if not (step.code and lacks_database(text)):
            break
    return step, text


def changes(text: str) -> list[str]:
    """Django's output lines with files and changes."""
    lines = [line.rstrip() for line in text.splitlines()]
    marks = (CHANGES, "CommandError", CHECKS)
    start = next((number for number, line in enumerate(lines) if line.startswith(marks)), 0)
    return [line for line in lines[start:] if line.strip()][:60]


def operations(lines: list[str]) -> set[tuple[str, str]]:
    """(app, operation) of each change in Django's output."""
    app, found = "", set()
    for line in lines:
        named = APP.match(line)
        app = named.group(1) if named else app
        if not named and OPERATION.match(line):
            found.add((app, " ".join(line.split())))
    return found


def run_all(options: dict[str, Any], out: str) -> dict[str, Any]:
    """Run the command in the app's folder, then lint new migrations. An app without manage.py passes.

    options: the input of ``run_squawk.lint``, and known: the missing migrations of the deployed commit. Only apps with
    code or migrations in the repository are checked, because migrations cannot be committed to an installed package.
    """
    manage = plan.manage_py(os.getcwd())
    if not manage:
        return {"outcome": "success", "detail": "no manage.py", "changes": [], "tail": ""}
    apps = _apps(manage, out)
    labels = " ".join(apps.get("own", []))
    step, text = (run("true", dict(os.environ)), "") if apps and not labels else _compare(manage, labels)
    outcome, detail = judge(step.code, text)
    drift = changes(text) if outcome == "failure" else []
    notes = [_foreign(apps["foreign"])] if apps.get("foreign") else []
    if step.code and outcome == "success":
        notes.append(NOT_COMPARED)
    if outcome == "failure" and operations(drift) and operations(drift) <= operations(options.get("known") or []):
        outcome, detail = "success", ""
        notes.append(
            f"{len(operations(drift))} changes of models have no migration, as in the deployed commit:"
            f" {drift[0].rstrip(':')}"
        )
    lint = {} if outcome == "error" else {"squawk": run_squawk.lint(options, manage, out)}
    return {
        **lint,
        "outcome": outcome,
        "detail": detail,
        "note": ". ".join(notes),
        "changes": drift if outcome == "failure" else [],
        "drift": drift,
        "tail": outputs.shorten(text[-20_000:]),
        "wall": round(step.seconds, 3),
    }


def _apps(manage: str, out: str) -> dict[str, list[str]]:
    """{own, foreign: labels}; empty if Django does not start, and ``makemigrations`` then reports the reason."""
    target = os.path.join(out, "apps.json")
    script = os.path.join(os.path.dirname(os.path.abspath(__file__)), "apps_of.py")
    sys.stdout.flush()
    run("", dict(os.environ), ("bash", "-c", '"$@" >/dev/null 2>&1', "apps", "python", script, manage, target))
    try:
        with open(target, encoding="utf-8") as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def _foreign(labels: list[str]) -> str:
    """The note about installed packages whose models differ from their migrations."""
    return (
        f"installed packages would get migrations: {', '.join(labels[:5])}; if DEFAULT_AUTO_FIELD is the reason, set"
        " default_auto_field in your own AppConfig for them, or MIGRATION_MODULES"
    )
