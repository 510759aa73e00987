"""Months as the date of their first day. Independent of the database."""

import calendar
import datetime as dt


def first_day(day: dt.date) -> dt.date:
    return day.replace(day=1)


def last_day(day: dt.date) -> dt.date:
    return day.replace(day=calendar.monthrange(day.year, day.month)[1])


def shift(month: dt.date, by: int) -> dt.date:
    """The first day of the month that lies `by` months later (earlier if negative)."""
    index = month.year * 12 + month.month - 1 + by
    return dt.date(index // 12, index % 12 + 1, 1)


def parse(text: str) -> dt.date:
    """`2026-07` as the first of July 2026; anything else is a ValueError."""
    return dt.datetime.strptime(text, "%Y-%m").date()


class MonthConverter:
    """URL converter for a month, as in /units/2026-07/."""

    regex = "[0-9]{4}-(?:0[1-9]|1[0-2])"

    def to_python(self, value: str) -> dt.date:
        return parse(value)

    def to_url(self, value: dt.date) -> str:
        return f"{value:%Y-%m}"
