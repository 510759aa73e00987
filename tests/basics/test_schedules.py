"""Schedules: what users may write, and the planned moments, also on the days when the clocks change."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from greenroom.basics import schedules

BERLIN = "Europe/Berlin"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def moments(schedule: str, start: str, count: int = 2, zone: str = BERLIN) -> list[str]:
    found = schedules.between(schedule, zone, at(start), None, most=count)
    return [moment.strftime("%m-%d %H:%M") for moment in found]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("0 3 * * *", "0 3 * * *"),
        ("  */10   * * * *  ", "*/10 * * * *"),
        ("30 6 * * MON-FRI", "30 6 * * MON-FRI"),
        ("@hourly", "0 * * * *"),
        ("@Daily", "0 0 * * *"),
        ("every 10 minutes", "*/10 * * * *"),
        ("Every hour at :30", "30 * * * *"),
        ("Every day at 3:30", "30 3 * * *"),
        ("daily at 23:05", "5 23 * * *"),
        ("every minute", "* * * * *"),
    ],
)
def test_cron_lines_and_the_words_of_herokus_scheduler_are_accepted(text, line):
    assert schedules.cron(text) == line


@pytest.mark.parametrize(
    "text",
    [
        *("", "3", "* * * *", "0 0 0 * * *", "60 * * * *", "0 25 * * *", "0 0 31 2 *", "@reboot", "every 7 minutes"),
        *(
            "every 0 minutes",
            "daily at 25:00",
            "daily at 3:75",
            "* * * * *\n;",
            "0 3 * * *; rm",
            "9" * 200,
            "* * * * é",
        ),
    ],
)
def test_anything_else_is_refused_with_a_reason(text):
    with pytest.raises(ValueError, match=r"schedule|minutes|cron line|characters"):
        schedules.cron(text)


def test_a_schedule_that_never_occurs_is_refused():
    with pytest.raises(ValueError, match="never occurs"):
        schedules.cron("0 0 */20 * 1L")


@given(st.text(alphabet="0123456789*/,-#LW MONdailyevery:@\n", max_size=60))
def test_any_text_is_refused_or_has_a_next_moment_and_words(text):
    try:
        schedules.cron(text)
    except ValueError:
        return
    start = datetime(2026, 1, 1, tzinfo=UTC)
    following = schedules.after(text, BERLIN, start)
    assert following is None or following > start
    assert schedules.words(text)


@pytest.mark.parametrize("name", ["Europe/Berlin", "UTC", "America/Argentina/Buenos_Aires", "Etc/GMT+5"])
def test_time_zones_have_the_names_of_the_tz_database(name):
    assert schedules.zone(name).key == name


@pytest.mark.parametrize(
    "name", ["", "Berlin", "Europe/Atlantis", "../../etc/passwd", "Europe/../Berlin", "/etc/localtime", "localtime"]
)
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="is not a time zone"):
        schedules.zone(name)


def test_a_fixed_time_is_local_time():
    assert moments("0 3 * * *", "2026-01-10T12:00") == ["01-11 02:00", "01-12 02:00"]
    assert moments("0 3 * * *", "2026-07-10T12:00") == ["07-11 01:00", "07-12 01:00"]


def test_a_job_in_the_gap_runs_once_when_the_gap_ends():
    """On 29 March 2026, 02:30 does not exist in Berlin: the clocks go from 02:00 to 03:00, which is 01:00 UTC."""
    assert moments("30 2 * * *", "2026-03-28T12:00") == ["03-29 01:00", "03-30 00:30"]


def test_a_job_in_the_overlap_runs_once():
    """On 25 October 2026, 02:30 occurs twice in Berlin: at 00:30 and at 01:30 UTC."""
    assert moments("30 2 * * *", "2026-10-24T12:00") == ["10-25 00:30", "10-26 01:30"]
    for start in ("2026-10-25T00:30", "2026-10-25T00:45", "2026-10-25T01:10", "2026-10-25T01:30"):
        assert moments("30 2 * * *", start, 1) == ["10-26 01:30"], start


def test_a_schedule_by_the_hour_follows_the_real_time():
    assert moments("0 * * * *", "2026-10-24T23:30", 3) == ["10-25 00:00", "10-25 01:00", "10-25 02:00"]
    assert moments("*/30 * * * *", "2026-03-29T00:30", 3) == ["03-29 01:00", "03-29 01:30", "03-29 02:00"]


def test_moments_end_at_the_limit():
    assert len(schedules.between("* * * * *", "UTC", at("2020-01-01T00:00"), at("2026-01-01T00:00"))) == 1000
    assert schedules.between("* * * * *", "UTC", at("2026-01-01T00:00"), at("2026-01-01T00:00")) == []


def test_the_interval_is_the_time_to_the_next_moment():
    assert schedules.interval("*/10 * * * *", "UTC", at("2026-01-01T00:10")) == timedelta(minutes=10)
    assert schedules.words("0 3 * * *") == "At 03:00 every day"
