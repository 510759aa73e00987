"""Heroku's paging: a Range header ``version ..; order=desc,max=15`` answered by 206 with Next-Range while there is more."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from django.http import HttpRequest

if TYPE_CHECKING:
    from greenroom.entrypoints.api.routing import Reply

DEFAULT = 200
LIMIT = 1000
RANGE = re.compile(r"(?P<field>\w+)\s*(?P<start>\]?[^.;\s]*)\.\.(?P<end>[^;]*)(?P<rest>;.*)?\Z")


def apply(request: HttpRequest, reply: Reply, field: str) -> Reply:
    """The part of the list that the Range header or ``?limit=`` asks for; a header that is not understood asks for all."""
    match = RANGE.match(request.headers.get("Range", "").strip())
    rest = (match["rest"] or "") if match else ""
    size = _number(re.search(r"max\s*=\s*(\d+)", rest), request.GET.get("limit"))
    if match and match["field"] in (field, "id", "seq", "number", "version", "created_at", "name"):
        field = match["field"] if reply.data and match["field"] in reply.data[0] else field
    rows = sorted(reply.data, key=lambda row: _key(row.get(field))) if match else list(reply.data)
    if "order=desc" in rest.replace(" ", ""):
        rows.reverse()
    rows = _from(rows, field, match["start"] if match else "")
    page = rows[:size]
    reply.data = page
    reply.headers["Accept-Ranges"] = f"{field}"
    if page and (match or len(rows) > size):
        reply.headers["Content-Range"] = f"{field} {page[0].get(field)}..{page[-1].get(field)}"
    if len(rows) > size:
        order = ",order=desc" if "order=desc" in rest.replace(" ", "") else ""
        reply.headers["Next-Range"] = f"{field} ]{page[-1].get(field)}..; max={size}{order}"
        reply.status = 206
    return reply


def _number(match: re.Match[str] | None, limit: str | None) -> int:
    text = match[1] if match else limit
    return max(1, min(LIMIT, int(text))) if text and text.isdigit() else DEFAULT


def _key(value: Any) -> tuple[int, Any]:
    return (0, value) if isinstance(value, int) else (1, str(value))


def _from(rows: list[dict[str, Any]], field: str, start: str) -> list[dict[str, Any]]:
    if not start:
        return rows
    exclusive, wanted = start.startswith("]"), start.lstrip("]")
    for number, row in enumerate(rows):
        if str(row.get(field)) == wanted:
            return rows[number + 1 :] if exclusive else rows[number:]
    return rows
