"""Validates the gate sections of greenroom.toml: ``[scan]``, ``[tests]`` and ``[[tests.quarantine]]``."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from greenroom.buildpacks.errors import BuildError

SCAN = ("scanners", "migrations")
LIMITS = {"minutes": 240, "silent_minutes": 60}
"""Maximum values of the time limits of the tests."""

QUARANTINE = ("test", "owner", "until", "reason")
STRICTNESS = ("error", "warn")
NAME = re.compile(r"[a-z][a-z0-9-]{0,39}\Z")
Bad = Callable[[str, str], BuildError]


def scan(value: object, bad: Bad) -> dict[str, Any]:
    """``{scanners: [...], migrations: "warn" | "error"}``. bad: creates the error from a location and a problem."""
    if not isinstance(value, dict):
        raise bad("scan", "a table is expected")
    for key in value:
        if key not in SCAN:
            raise bad(f"[scan] {key}", f"unknown key; allowed are {', '.join(SCAN)}")
    names = value.get("scanners", [])
    if not isinstance(names, list) or not all(isinstance(name, str) and NAME.match(name) for name in names):
        raise bad("[scan] scanners", f'a list of names such as ["bandit"] is expected; found {str(names)[:60]!r}')
    strict = value.get("migrations", "warn")
    if strict not in STRICTNESS:
        raise bad("[scan] migrations", f'"error" or "warn" is expected, found {str(strict)[:40]!r}')
    return {"scanners": list(dict.fromkeys(names)), "migrations": strict}


def tests(value: object, bad: Bad) -> dict[str, Any]:
    """``{quarantine: [{test, owner, until (ISO date), reason}]}``, each entry complete; minutes, silent_minutes if
    given.
    """
    if not isinstance(value, dict):
        raise bad("tests", "a table is expected, or [[tests.quarantine]] entries")
    for key in value:
        if key not in ("quarantine", *LIMITS):
            raise bad(f"[tests] {key}", f"unknown key; allowed are {', '.join(LIMITS)} and [[tests.quarantine]]")
    given = {key: value[key] for key in LIMITS if key in value}
    for key, minutes in given.items():
        if not isinstance(minutes, int) or isinstance(minutes, bool) or not 1 <= minutes <= LIMITS[key]:
            raise bad(
                f"[tests] {key}", f"whole minutes from 1 to {LIMITS[key]} are expected, found {str(minutes)[:40]!r}"
            )
    rows = value.get("quarantine", [])
    if not isinstance(rows, list):
        raise bad("tests.quarantine", "[[tests.quarantine]] entries are expected")
    return {"quarantine": [_entry(row, number, bad) for number, row in enumerate(rows, 1)], **given}


def _entry(row: object, number: int, bad: Bad) -> dict[str, str]:
    where = f"[[tests.quarantine]] number {number}"
    if not isinstance(row, dict) or set(row) != set(QUARANTINE):
        found = ", ".join(sorted(map(str, row))) if isinstance(row, dict) else str(row)[:40]
        raise bad(where, f"it needs exactly {', '.join(QUARANTINE)}; found {found or 'nothing'}")
    until = row["until"]
    if isinstance(until, datetime) or not isinstance(until, date):
        raise bad(
            f"{where}, until", f"a date such as 2026-12-31 is expected, without quotes; found {str(until)[:40]!r}"
        )
    for key in ("test", "owner", "reason"):
        if not isinstance(row[key], str) or not row[key].strip() or len(row[key]) > 300:
            raise bad(f"{where}, {key}", "a text of 1 to 300 characters is expected")
    return {
        "test": row["test"].strip(),
        "owner": row["owner"].strip(),
        "until": until.isoformat(),
        "reason": row["reason"].strip(),
    }
