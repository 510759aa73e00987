"""Quarantined tests from greenroom.toml: until an end date their failures are shown, but do not fail the check.

Each entry needs an owner and an end date, and has no effect afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

Entry = dict[str, str]


def apply(result: dict[str, Any], entries: Sequence[Entry], today: date) -> dict[str, Any]:
    """The result with failures of quarantined tests moved to ``quarantined``. If no other test failed and at least one
    test passed, the outcome is success.

    ended: expired entries whose test fails now.
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
    """Whether the entry names this test, its class or its module."""
    return name == entry["test"] or name.startswith((f"{entry['test']}.", f"{entry['test']}::", f"{entry['test']}["))


def _entry(name: str, entries: Sequence[Entry], today: date) -> Entry | None:
    return next((entry for entry in entries if _means(entry, name) and entry["until"] >= today.isoformat()), None)


def notes(result: dict[str, Any]) -> list[str]:
    """The verdict's notes on quarantined tests."""
    rows = result.get("quarantined") or []
    found = [f"{len(rows)} in quarantine failed: {_named(rows)}."] if rows else []
    return found + [
        f"the quarantine of {row['test']} ({row['owner']}) ended on {row['until']}."
        for row in result.get("ended") or []
    ]


def _named(rows: Sequence[Entry]) -> str:
    shown = ", ".join(f"{row['test']} ({row['owner']}, until {row['until']}: {row['reason']})" for row in rows[:3])
    return shown + (" ..." if len(rows) > 3 else "")
