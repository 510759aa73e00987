"""Asks Django whether a model was changed without a migration for it."""

from __future__ import annotations

import os
from typing import Any

from . import outputs, plan, run_squawk
from .run_tests import run

ARGUMENTS = "makemigrations --check --dry-run --noinput --no-color"
CHANGES = "Migrations for '"
CONFLICT = "Conflicting migrations detected"
CHECKS = "SystemCheckError"
NEEDS_DEFAULT = 3
"""Django's exit code when a new migration would need an answer from a person."""


def judge(code: int, text: str) -> tuple[str, str]:
    """``success``, ``failure`` (changes or conflicts are named) or ``error``: an exit code of 1 alone may mean a crash."""
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
    last = next((line for line in reversed(text.splitlines()) if line.strip()), "no output")
    return "error", f"`manage.py makemigrations --check` ended with exit code {code}: {last.strip()[:300]}"


def changes(text: str) -> list[str]:
    """The lines that name files and changes, as Django prints them."""
    lines = [line.rstrip() for line in text.splitlines()]
    marks = (CHANGES, "CommandError", CHECKS)
    start = next((number for number, line in enumerate(lines) if line.startswith(marks)), 0)
    return [line for line in lines[start:] if line.strip()][:60]


def run_all(wish: dict[str, Any], out: str) -> dict[str, Any]:
    """Run the command in the app's folder, then look at new migrations; an app without manage.py has nothing to check.

    wish: what ``run_squawk.lint`` takes. Its result stands under ``squawk``; without settings that can be imported there is none.
    """
    manage = plan.manage_py(os.getcwd())
    if not manage:
        return {"outcome": "success", "detail": "no manage.py", "changes": [], "tail": ""}
    step = run(f"python {manage} {ARGUMENTS}", dict(os.environ))
    text = outputs.ANSI.sub("", step.text)
    outcome, detail = judge(step.code, text)
    lint = {} if outcome == "error" else {"squawk": run_squawk.lint(wish, manage, out)}
    return {
        **lint,
        "outcome": outcome,
        "detail": detail,
        "changes": changes(text) if outcome == "failure" else [],
        "tail": outputs.shorten(text[-20_000:]),
        "wall": round(step.seconds, 3),
    }
