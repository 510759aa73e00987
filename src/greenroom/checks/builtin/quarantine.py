"""Tests that somebody has put aside in greenroom.toml: their failure is shown and named, and lets the commit pass until
a day.

An entry without owner or end cannot be written. After its day it holds no more; a test that passes again is told as
well.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

Entry = dict[str, str]


def apply(result: dict[str, Any], entries: Sequence[Entry], today: date) -> dict[str, Any]:
    """The result with what is put aside under ``quarantined``: a failure of such tests alone is a success, and never
    without a passing test.

    ended: entries whose day is over and whose test fails now.
    """
    failures = [item for item in result.get("failures", []) if isinstance(item, dict)]
    if result.get("outcome") != "failure" or not failures or not entries:
        return result
    held = {
        str(item.get("name")): entry for item in failures if (entry := _entry(str(item.get("name")), entries, today))
    }
    late = [
        entry
        for entry in entries
        if entry["until"] < today.isoformat() and any(_means(entry, str(item.get("name"))) for item in failures)
    ]
    after = {**result, "quarantined": [{**entry, "test": name} for name, entry in held.items()], "ended": late}
    names = {str(item.get("name")) for item in failures}
    ran = result.get("tests")
    if (
        names == set(held)
        and int(result.get("failed") or len(names)) == len(names)
        and isinstance(ran, int)
        and ran > len(names)
    ):
        return {**after, "outcome": "success", "failures": [], "quarantined_output": failures}
    return {**after, "failures": [item for item in failures if str(item.get("name")) not in held]}


def _means(entry: Entry, name: str) -> bool:
    """Whether the entry names this very test, or the class or module that it is in."""
    return name == entry["test"] or name.startswith((f"{entry['test']}.", f"{entry['test']}::", f"{entry['test']}["))


def _entry(name: str, entries: Sequence[Entry], today: date) -> Entry | None:
    return next((entry for entry in entries if _means(entry, name) and entry["until"] >= today.isoformat()), None)


def notes(result: dict[str, Any]) -> list[str]:
    """What the verdict says of tests that are put aside."""
    rows = result.get("quarantined") or []
    found = [f"{len(rows)} in quarantine failed: {_named(rows)}."] if rows else []
    return found + [
        f"the quarantine of {row['test']} ({row['owner']}) ended on {row['until']}."
        for row in result.get("ended") or []
    ]


def _named(rows: Sequence[Entry]) -> str:
    shown = ", ".join(f"{row['test']} ({row['owner']}, until {row['until']}: {row['reason']})" for row in rows[:3])
    return shown + (" ..." if len(rows) > 3 else "")
