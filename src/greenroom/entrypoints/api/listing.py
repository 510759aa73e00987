"""Lists with paging in SQL: a view supplies querysets and a function to show rows; a page is one query per table.

``paging`` defines the Range header. A page ends at a value and, because several rows may share it, at a row's id. Times
are compared to the microsecond there, and to the second if a client uses the API's format.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from django.core.exceptions import FieldDoesNotExist
from django.db import models
from django.db.models import Q, QuerySet
from django.http import HttpRequest

from greenroom.entrypoints.api import paging
from greenroom.entrypoints.api.calls import Reply
from greenroom.entrypoints.api.paging import RangeError, Wanted

USUAL = {"id": "pk", "created_at": "created_at"}
NAMED = {"name": "name", **USUAL}
TIME = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?Z?\Z")
SECOND = timedelta(seconds=1)


@dataclass(frozen=True)
class Listing:
    """rows: unsliced querysets with the same columns, mostly one. show: converts a page of rows to dictionaries with a
    constant number of queries.

    order: default order: a field of ``columns``, with ``-`` for descending. columns: API field -> model field.
    first: entries before the first row of the first page. size: default page size. newest_last: reverses the default
    page.
    """

    rows: QuerySet[Any] | Sequence[QuerySet[Any]]
    show: Callable[[list[Any]], list[dict[str, Any]]]
    order: str = "created_at"
    columns: Mapping[str, str] = field(default_factory=lambda: USUAL)
    first: tuple[dict[str, Any], ...] = ()
    size: int = paging.DEFAULT
    newest_last: bool = False


def each(shape: Callable[[Any], dict[str, Any]]) -> Callable[[list[Any]], list[dict[str, Any]]]:
    """A ``show`` for rows without related data."""
    return lambda rows: [shape(row) for row in rows]


def cut(request: HttpRequest, reply: Reply) -> Reply:
    """The requested page. Raises RangeError for an invalid Range header."""
    listing: Listing = reply.data
    wanted, asked = _wanted(request, listing)
    column = listing.columns[wanted.field]
    first = [] if wanted.start else list(listing.first[: wanted.size])
    room = wanted.size - len(first)
    queries = [listing.rows] if isinstance(listing.rows, QuerySet) else list(listing.rows)
    found = [row for query in queries for row in _within(query, column, wanted)[: room + 1]]
    if len(queries) > 1:
        found.sort(key=lambda row: (getattr(row, column), str(row.pk)), reverse=wanted.descending)
    page = found[:room]
    data = first + listing.show(page)
    reply.headers["Accept-Ranges"] = ", ".join(sorted(listing.columns))
    if data and wanted.field in data[0]:
        reply.headers["Content-Range"] = (
            f"{wanted.field} {paging.text(data[0], wanted.field)}..{paging.text(data[-1], wanted.field)}"
        )
    if len(found) > room:
        reply.headers["Next-Range"] = _next(page[-1] if page else found[0], column, replace(wanted, open=bool(page)))
        reply.status = 206
    reply.data = data[::-1] if listing.newest_last and not asked else data
    return reply


def _wanted(request: HttpRequest, listing: Listing) -> tuple[Wanted, bool]:
    """(the requested range, or the list's default; whether the request has one)."""
    header, limit = request.headers.get("Range", "").strip(), request.GET.get("limit", "")
    size = min(paging.LIMIT, int(limit) or 1) if limit.isdecimal() and len(limit) < 9 else listing.size
    usual = listing.order.removeprefix("-")
    if not header or header.lower().startswith("bytes"):
        return Wanted(usual, "", "", False, size, listing.order.startswith("-")), False
    wanted = paging.parse(header, size)
    return (wanted if wanted.field in listing.columns else replace(wanted, field=usual, start="", end="")), True


def _within(query: QuerySet[Any], column: str, wanted: Wanted) -> QuerySet[Any]:
    """The rows between start and end, in order. For a descending order, start is the higher value."""
    beyond, sign = ("lt", "-") if wanted.descending else ("gt", "")
    kind = _kind(query, column)
    if wanted.start:
        text, tied, tie = wanted.start.partition("~")
        low, high = _bounds(kind, text)
        if tied:
            same = _bounds(query.model._meta.pk, tie)[0]
            query = query.filter(Q(**{f"{column}__{beyond}": low}) | Q(**{column: low, f"pk__{beyond}": same}))
        elif wanted.descending:
            query = query.filter(**({f"{column}__lt": low} if wanted.open else _up_to(column, low, high)))
        else:
            query = query.filter(
                **(
                    {f"{column}__gte" if high != low else f"{column}__gt": high}
                    if wanted.open
                    else {f"{column}__gte": low}
                )
            )
    if wanted.end:
        low, high = _bounds(kind, wanted.end)
        query = query.filter(**({f"{column}__gte": low} if wanted.descending else _up_to(column, low, high)))
    return query.order_by(f"{sign}{column}", f"{sign}pk")


def _up_to(column: str, low: Any, high: Any) -> dict[str, Any]:
    """The filter for all values up to and including one, which may be a whole second."""
    return {f"{column}__lt": high} if high != low else {f"{column}__lte": low}


def _kind(query: QuerySet[Any], column: str) -> Any:
    model: Any = query.model
    if column == "pk":
        return model._meta.pk
    *path, last = column.split("__")
    for name in path:
        model = model._meta.get_field(name).related_model
    try:
        return model._meta.get_field(last)
    except FieldDoesNotExist:
        return models.IntegerField()  # a rank annotation


def _bounds(kind: Any, text: str) -> tuple[Any, Any]:
    """(first, last) value of a text; they differ only for a time without microseconds. Raises RangeError for an invalid
    value.
    """
    try:
        if isinstance(kind, models.DateTimeField):
            if not TIME.match(text):
                raise ValueError(text)
            moment = datetime.fromisoformat(text.removesuffix("Z")).replace(tzinfo=UTC)
            return moment, moment if "." in text else moment + SECOND
        if isinstance(kind, models.UUIDField):
            return (uuid.UUID(text),) * 2
        if isinstance(kind, models.IntegerField):
            if not re.fullmatch(r"-?\d{1,18}", text):
                raise ValueError(text)
            return (int(text),) * 2
    except ValueError:
        raise RangeError(
            f"Invalid value in the Range header: {text[:40]!r}.",
            hint='for example: "id ..; max=100, order=desc"',
        ) from None
    return text, text


def _next(row: Any, column: str, wanted: Wanted) -> str:
    """The Range header of the next page: after a row, or from it on if the page contained only ``first`` entries."""
    order = ",order=desc" if wanted.descending else ""
    end = quote(wanted.end, safe=":-+@*/")
    value = row
    for name in column.split("__"):
        value = getattr(value, name)
    text = value.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if isinstance(value, datetime) else str(value)
    tie = f"~{row.pk}" if wanted.open and column != "pk" else ""
    return (
        f"{wanted.field} {']' if wanted.open else ''}{quote(text, safe=':-+@*/')}{tie}..{end}; max={wanted.size}{order}"
    )
