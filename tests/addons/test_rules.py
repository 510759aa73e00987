"""Retention of snapshots, and when a daily one is due."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from greenroom.addons.postgres import rules
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


def test_late_databases_get_fewer_connections_and_none_gets_what_is_the_platforms():
    whole = rules.room(most=1_497, reserved=60)
    given = []
    while limit := rules.share(whole - sum(given) - rules.OWN * len(given)):
        given.append(limit)
    assert whole == 1_497 - 60 - rules.WORK
    assert sum(given) + rules.OWN * len(given) <= whole
    assert given[0] == rules.MOST
    assert given[-1] == rules.LEAST
    assert given == sorted(given, reverse=True)
    assert len(given) >= 60


def test_a_small_external_server_still_has_room_for_some_databases():
    assert rules.room(most=97, reserved=0) >= 6 * (rules.LEAST + rules.OWN)


def test_a_database_over_its_quota_is_read_only_over_twice_closed_and_lifted_below_a_margin():
    assert rules.over(100, 100, "") == ""
    assert rules.over(101, 100, "") == "full"
    assert rules.over(96, 100, "full") == "full"
    assert rules.over(95, 100, "full") == ""
    assert rules.over(201, 100, "full") == "closed"
    assert rules.over(195, 100, "closed") == "closed"
    assert rules.over(150, 100, "closed") == "full"
    assert rules.over(10**12, 0, "full") == ""


@pytest.mark.parametrize(
    "said",
    [
        "must be owner of table shop_order",
        "must be owner of materialized view report.sums",
        "permission denied for schema public",
        "permission denied for database d0123456789ab",
        "permission denied for table django_migrations",
        "permission denied for table alembic_version",
        "permission denied for sequence django_migrations_id_seq",
        'permission denied to create extension "hstore"',
    ],
)
def test_a_refusal_of_the_database_is_known_again_in_a_programs_output(said):
    output = f"Traceback\ndjango.db.utils.ProgrammingError: {said}\nLINE 1: CREATE TABLE\n"
    assert rules.refused(output) == said
    message, hint = rules.refusal(said, "shop")
    assert said in message
    assert "greenroom run -a shop python manage.py migrate" in hint


@pytest.mark.parametrize(
    "said",
    ["permission denied for table shop_order", "Permission denied: '/etc/x'", "permission denied to set role", ""],
)
def test_what_is_no_refusal_of_a_schema_change_is_not_taken_for_one(said):
    assert rules.refused(said) == ""


def test_a_build_is_told_of_each_refusal_since_it_only_reads():
    said = "permission denied for table shop_order"
    assert rules.refused(said, build=True) == said
    assert "builds can only read" in rules.refusal(said, "shop", build=True)[0]


@pytest.mark.parametrize(
    ("output", "named"),
    [
        (
            "psycopg.OperationalError: connection failed: server does not support SSL, but SSL was required",
            "ssl_require=False",
        ),
        ('ERROR:  extension "pgcrypto" is not available\nDETAIL: Could not open extension control file', "pgcrypto"),
        ('psycopg.errors.FeatureNotSupported: extension "uuid-ossp" is not available', "uuid-ossp"),
        ('permission denied to create extension "vector"\nHINT: Must be superuser', "EXTENSION IF NOT EXISTS vector"),
        ('permission denied to create extension "file_fdw"', ""),
        ("OK", ""),
    ],
)
def test_what_the_server_lacks_is_told_with_the_way_out(output, named):
    hint = rules.remedy(f"Traceback ...\n{output}\n")
    assert (named in hint) if named else hint == ""
