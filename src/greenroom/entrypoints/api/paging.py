"""Heroku's paging: a Range header ``version ..; order=desc,max=15``; the response is 206 with Next-Range while there is
more.

A page ends at a value and, if several rows share it, at a row's id: ``created_at ]2026-11-23T09:11:00Z~ID..; max=200``.
Pages are found by comparison, so deleted or new rows between two requests cause no duplicates or gaps.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, unquote

from django.http import HttpRequest

from greenroom.basics.errors import UserError
from greenroom.entrypoints.api.calls import Reply

DEFAULT = 200
LIMIT = 1000
RANGE = re.compile(
    r"(?P<field>\w+)\s*(?P<open>\]?)(?P<start>[^;,\s]*?)\s*\.\.\s*(?P<end>[^;,\s]*)\s*(?P<rest>[;,].*)?\Z"
)
OPTION = re.compile(r"\s*(max\s*=\s*\d{1,9}|order\s*=\s*(asc|desc))?\s*\Z")


class RangeError(UserError):
    """An invalid Range header."""

    id = "requested_range_not_satisfiable"
    status = 416


@dataclass(frozen=True)
class Wanted:
    """The values of a Range header. ``open``: start is exclusive."""

    field: str
    start: str
    end: str
    open: bool
    size: int
    descending: bool


def apply(request: HttpRequest, reply: Reply, field: str) -> Reply:
    """The part of the list that the Range header or ``?limit=`` requests. ``field``: the default sort field.

    A list without a sort field is returned in full, unless there is a Range header. Raises RangeError for an invalid
    header.
    """
    header = request.headers.get("Range", "").strip()
    asked = bool(header) and not header.lower().startswith("bytes")
    limit = request.GET.get("limit", "")
    usual = min(LIMIT, int(limit) or 1) if limit.isdecimal() and len(limit) < 9 else DEFAULT
    wanted = parse(header, usual) if asked else Wanted(field, "", "", False, usual, False)
    names = list(reply.data[0]) if reply.data and isinstance(reply.data[0], dict) else []
    known = next((name for name in (wanted.field, field, "id") if name in names), "")
    if not known or not (asked or field):
        return reply
    rows = _within(reply.data, known, wanted) if asked else list(reply.data)
    return _page(reply, rows, known, wanted)


def parse(header: str, usual: int) -> Wanted:
    """The values of the header. Raises RangeError if it is invalid."""
    match = RANGE.match(header)
    options = re.split(r"[;,]", match["rest"] or "") if match else ["?"]
    if match is None or not all(OPTION.match(option) for option in options):
        raise RangeError(f"Invalid Range header: {header[:60]!r}.", hint='for example: "id ..; max=100, order=desc"')
    size = next((int(option.partition("=")[2]) for option in options if "max" in option), usual)
    return Wanted(
        field=match["field"],
        start=unquote(match["start"]),
        end=unquote(match["end"]),
        open=bool(match["open"]),
        size=max(1, min(LIMIT, size)),
        descending=any("desc" in option for option in options),
    )


def _within(rows: list[Any], field: str, wanted: Wanted) -> list[Any]:
    """The rows between start and end, sorted. For a descending order, start is the higher value."""
    ordered = sorted(rows, key=lambda row: _key(row, field), reverse=wanted.descending)
    if wanted.start:
        value, tied, tie = wanted.start.partition("~")
        ordered = [row for row in ordered if _after(row, field, value, tie if tied else None, wanted)]
    if wanted.end:
        ordered = [row for row in ordered if _compare(row, field, wanted.end, wanted.descending) <= 0]
    return ordered


def _after(row: Any, field: str, value: str, tie: str | None, wanted: Wanted) -> bool:
    place = _compare(row, field, value, wanted.descending)
    if place == 0 and tie is not None:
        name = str(row.get("id"))
        return name < tie if wanted.descending else name > tie
    return place > 0 or (place == 0 and not wanted.open)


def _compare(row: Any, field: str, text: str, descending: bool) -> int:
    """-1, 0 or 1: the row compared with the value, in the direction of the list."""
    own = _key(row, field)[:2]
    other = _sortable(int(text) if own[0] == 0 and re.fullmatch(r"-?\d{1,18}", text) else text)
    place = (own > other) - (own < other)
    return -place if descending else place


def _key(row: Any, field: str) -> tuple[int, Any, str]:
    return (*_sortable(row.get(field)), str(row.get("id")))


def _sortable(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int) else (1, str(value))


def _page(reply: Reply, rows: list[Any], field: str, wanted: Wanted) -> Reply:
    page = rows[: wanted.size]
    reply.data = page
    names = sorted(
        name
        for name in ("id", "name", "created_at", "updated_at", "version", "number", field)
        if page and name in page[0]
    )
    reply.headers["Accept-Ranges"] = ", ".join(names) or field
    if page:
        reply.headers["Content-Range"] = f"{field} {text(page[0], field)}..{text(page[-1], field)}"
    if len(rows) > len(page):
        order = ",order=desc" if wanted.descending else ""
        tie = f"~{page[-1]['id']}" if field != "id" and "id" in page[-1] else ""
        reply.headers["Next-Range"] = f"{field} ]{text(page[-1], field)}{tie}..; max={wanted.size}{order}"
        reply.status = 206
    return reply


def text(row: Any, field: str) -> str:
    """A row's value in header form."""
    return quote(str(row.get(field)), safe=":-+@*/")
