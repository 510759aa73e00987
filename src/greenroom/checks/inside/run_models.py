"""Asks Django whether a model of the repository was changed without a migration for it."""

from __future__ import annotations

import json
import os
import re
import sys
from typing import Any

from . import outputs, plan, run_squawk
from .steps import run

ARGUMENTS = "makemigrations --check --dry-run --noinput --no-color"
CHANGES = "Migrations for '"
CONFLICT = "Conflicting migrations detected"
CHECKS = "SystemCheckError"
NEEDS_DEFAULT = 3
"""Django's exit code when a new migration would need an answer from a person."""

OPERATION = re.compile(r"\s*[-+~]\s+\S")
APP = re.compile(r"Migrations for '([^']+)'")
SETTINGS = re.compile(
    r"^(?:[\w.]+\.)?(?:ModuleNotFoundError|ImportError|ImproperlyConfigured|KeyError|NameError|SyntaxError"
    r"|IndentationError|UndefinedValueError|AttributeError|ValidationError)\b.*",
    re.MULTILINE,
)
"""The last line of a traceback that a person has to mend, and another run cannot."""


def judge(code: int, text: str) -> tuple[str, str]:
    """``success``, ``failure`` (changes or conflicts are named, or the settings do not load) or ``error``: an exit code
    of 1 alone may mean a crash.
    """
    if code == 0:
        return "success", ""
    if code == 1 and CHANGES in text:
        return "failure", "models have changed without a migration"
    if code == 1 and CONFLICT in text:
        return "failure", "migrations are in conflict: two of them have no successor"
    if code == 1 and CHECKS in text:
        return "failure", "Django's system check fails"
    if code == NEEDS_DEFAULT:
        return "failure", "models have changed without a migration, which needs a default from you"
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "no output").strip()[:300]
    if code == 1 and SETTINGS.match(last):
        module = os.environ.get("DJANGO_SETTINGS_MODULE")
        return "failure", f"the app does not load with {module or 'the settings that manage.py names'}: {last}"
    return "error", f"`manage.py makemigrations --check` ended with exit code {code}: {last}"


def changes(text: str) -> list[str]:
    """The lines that name files and changes, as Django prints them."""
    lines = [line.rstrip() for line in text.splitlines()]
    marks = (CHANGES, "CommandError", CHECKS)
    start = next((number for number, line in enumerate(lines) if line.startswith(marks)), 0)
    return [line for line in lines[start:] if line.strip()][:60]


def operations(lines: list[str]) -> set[tuple[str, str]]:
    """(app, operation) of each change that Django's lines name."""
    app, found = "", set()
    for line in lines:
        named = APP.match(line)
        app = named.group(1) if named else app
        if not named and OPERATION.match(line):
            found.add((app, " ".join(line.split())))
    return found


def run_all(wish: dict[str, Any], out: str) -> dict[str, Any]:
    """Run the command in the app's folder, then look at new migrations; an app without manage.py has nothing to check.

    wish: what ``run_squawk.lint`` takes, and known: the changes that the deployed commit has without a migration.
    Only apps whose code, or whose migrations, lie in the repository are asked about: nobody can commit a migration to
    an installed package.
    """
    manage = plan.manage_py(os.getcwd())
    if not manage:
        return {"outcome": "success", "detail": "no manage.py", "changes": [], "tail": ""}
    apps = _apps(manage, out)
    labels = " ".join(apps.get("own", []))
    if apps and not labels:
        step = run("true", dict(os.environ))
    else:
        step = run(f"python {manage} {ARGUMENTS} {labels}".rstrip(), dict(os.environ))
    text = outputs.ANSI.sub("", step.text)
    outcome, detail = judge(step.code, text)
    drift = changes(text) if outcome == "failure" else []
    notes = [_foreign(apps["foreign"])] if apps.get("foreign") else []
    if outcome == "failure" and operations(drift) and operations(drift) <= operations(wish.get("known") or []):
        outcome, detail = "success", ""
        notes.append(
            f"{len(operations(drift))} changes of models have no migration, as in the deployed commit:"
            f" {drift[0].rstrip(':')}"
        )
    lint = {} if outcome == "error" else {"squawk": run_squawk.lint(wish, manage, out)}
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
    """{own, foreign: labels}; empty when Django could not be asked, and ``makemigrations`` then says why."""
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
    """What is said of installed packages whose models differ from their migrations."""
    return (
        f"installed packages would get migrations: {', '.join(labels[:5])}; if DEFAULT_AUTO_FIELD is the reason, set"
        " default_auto_field in an AppConfig of yours for them, or MIGRATION_MODULES"
    )
