"""Retention of snapshots, and when a daily one is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from greenroom.addons.postgres.rules import KEEP, Held, due, expired, zone

NOW = datetime(2026, 11, 23, 12, 30, tzinfo=UTC)


def held(number, kind="manual", state="succeeded", pinned=False, used=False, days=0.0):
    return Held(f"{kind}{number}", kind, state, pinned, used, NOW - timedelta(days=days, minutes=number))


@pytest.mark.parametrize("kind", sorted(KEEP))
def test_only_the_newest_of_each_kind_are_kept(kind):
    rows = [held(number, kind) for number in range(KEEP[kind] + 2)]
    assert expired(rows, NOW) == [f"{kind}{KEEP[kind]}", f"{kind}{KEEP[kind] + 1}"]


def test_a_pinned_snapshot_is_never_removed_and_takes_nobodys_place():
    rows = [held(number, "scheduled", pinned=number % 2 == 0) for number in range(100)]
    gone = set(expired(rows, NOW))
    assert not {row.key for row in rows if row.pinned} & gone
    assert len([row for row in rows if not row.pinned]) - len(gone) == KEEP["scheduled"]


def test_a_snapshot_that_a_restore_needs_stays():
    rows = [held(number, used=number == 60) for number in range(61)]
    assert "manual60" not in expired(rows, NOW)


def test_failed_ones_are_shown_for_a_week():
    assert expired([held(1, state="failed", days=6.9), held(2, state="failed", days=7.1)], NOW) == ["manual2"]
    assert expired([held(1, state="running", days=90)], NOW) == []


def test_a_daily_snapshot_is_due_once_after_its_hour():
    today = date(2026, 11, 23)
    assert due(hour=13, timezone="UTC", last_day=None, now=NOW) is None
    assert due(hour=12, timezone="UTC", last_day=None, now=NOW) == today
    assert due(hour=12, timezone="UTC", last_day=today, now=NOW) is None
    assert due(hour=0, timezone="Asia/Tokyo", last_day=date(2026, 11, 22), now=NOW) == today
    assert due(hour=9, timezone="America/Los_Angeles", last_day=None, now=NOW) is None


def test_time_zones_by_name_or_herokus_abbreviation():
    assert zone("PST") == zone("America/Los_Angeles") is not None
    assert zone("../../etc/passwd") is None
    assert zone("Middle-earth/Shire") is None
