"""What the pending migrations would do is measured on a copy of the data, before a human runs them."""

from __future__ import annotations

import json

from tests.stories.test_held import hold, ready  # noqa: F401 -- a fixture


def rehearsed(team, code: int = 0) -> tuple[dict, str]:
    """A rehearsal that a human asks for: (its row with the report, what the human reads)."""
    result = team.greenroom("migrations:rehearse", check=False)
    said = result.stdout + result.stderr
    assert result.returncode == code, said
    number = team.read("migrations")["rehearsal"]["number"]
    row = json.loads(team.greenroom("migrations:rehearsal", str(number), "--json", check=False).stdout)
    assert row["state"] == "done", row
    return row, said


def cells(row: dict) -> dict[str, str]:
    return {name: cell["state"] for name, cell in row["report"]["cells"].items()}


def copies(team) -> list[str]:
    """Databases of rehearsals that are there now."""
    rows = team.greenroom("run", "--", "python", "manage.py", "shell", "-c", COPIES).stdout
    return [line for line in rows.splitlines() if "_rehearsal_" in line]


COPIES = """from django.db import connection as c
k = c.cursor()
k.execute("SELECT datname FROM pg_database UNION SELECT rolname FROM pg_roles")
print(*(row[0] for row in k), sep=chr(10))"""


def test_a_rename_is_said_to_break_both_codes_and_nothing_is_left_of_the_copy(ready):
    output = hold(ready)
    assert "Rehearsing on a copy of the data" in output
    row = ready.wait_for_rehearsal()
    assert (row["state"], row["pending"]) == ("done", ["payroll.0004_staff_iban"]), row
    row, said = rehearsed(ready)
    assert cells(row) == {"old_old": "ok", "new_old": "fails", "new_new": "ok", "old_new": "fails"}, row["report"][
        "cells"
    ]
    assert row["report"]["reverse"]["done"]
    assert row["report"]["reverse"]["differences"] == []
    assert "payroll_staffmember (iban is missing)" in said
    assert "payroll_staffmember (bank_account is renamed to iban)" in said
    assert row["report"]["migrations"][0]["locks"][0]["mode"] == "AccessExclusiveLock"
    assert row["colour"] == "amber"
    assert copies(ready) == []
    ran = ready.greenroom("migrations:run")
    assert "Rehearsed" in ran.stderr
    run = ready.read("migrations")["runs"][0]
    assert run["seconds"] > 0
    assert run["rehearsed_seconds"] is not None


def test_not_null_without_a_default_is_said_to_break_the_old_codes_write(ready):
    ready.apply("not-null-without-default")
    ready.push()
    ready.wait_for_rehearsal()
    row, said = rehearsed(ready)
    assert (cells(row)["old_old"], cells(row)["old_new"]) == ("ok", "fails"), row["report"]["cells"]
    assert "purpose" in row["report"]["cells"]["old_new"]["detail"]
    assert "insert into payroll_payrun (purpose is required and has no default)" in said


def test_a_slow_index_is_measured_and_the_safe_way_is_said(ready):
    ready.greenroom("config:set", "SLOW_INDEX_SECONDS=3")
    ready.apply("slow-index")
    ready.push()
    ready.wait_for_rehearsal()
    row, said = rehearsed(ready)
    held = max(lock["seconds"] for lock in row["report"]["migrations"][0]["locks"] if lock["mode"] == "ShareLock")
    assert 3 <= held < 6, row["report"]["migrations"]
    assert row["colour"] == "amber"
    assert "blocks writes" in said
    assert "AddIndexConcurrently" in said
