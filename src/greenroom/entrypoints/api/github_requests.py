"""Parses report bodies in GitHub's format. Errors are GitHub's: 422 with one entry in ``errors`` per invalid field."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from greenroom.basics.errors import UserError

STATUSES = ("queued", "in_progress", "completed")
CONCLUSIONS = ("action_required", "cancelled", "failure", "neutral", "success", "skipped", "timed_out")
LEVELS = {"notice": 4, "warning": 3, "failure": 2}
MAX_ANNOTATIONS, MAX_ACTIONS = 50, 3
LONG = 65_535


class InvalidError(UserError):
    """The body is invalid. errors: one entry per invalid field, in GitHub's shape."""

    def __init__(self, errors: list[dict[str, str]]) -> None:
        texts = "; ".join(f"{error['field']}: {error['message']}" for error in errors)
        super().__init__(f"Validation Failed: {texts}")
        self.errors = errors


class Asked:
    """One body and its errors. Readers record an error and return a default; ``done`` raises if there was any error."""

    def __init__(self, body: dict[str, Any], resource: str) -> None:
        self.body, self.resource = body, resource
        self.errors: list[dict[str, str]] = []

    def wrong(self, field: str, message: str, code: str = "invalid") -> None:
        """Record an error."""
        self.errors.append({"resource": self.resource, "field": field, "code": code, "message": message})

    def done(self) -> None:
        """Raise InvalidError if there was an error."""
        if self.errors:
            raise InvalidError(self.errors)

    def text(
        self, field: str, limit: int, *, required: bool = False, of: dict[str, Any] | None = None, at: str = ""
    ) -> str:
        """A string of at most ``limit`` characters; empty for null or a missing key."""
        value = (self.body if of is None else of).get(field)
        where = f"{at}{field}"
        if value is None or (required and value == ""):
            if required:
                self.wrong(where, f"{where} wasn't supplied", "missing_field")
            return ""
        if not isinstance(value, str):
            self.wrong(where, f"{where} is not a string")
            return ""
        if len(value) > limit:
            self.wrong(where, f"{where} is too long (maximum is {limit} characters)")
        return value

    def one_of(self, field: str, allowed: tuple[str, ...], *, required: bool = False) -> str:
        """One of the allowed strings; empty if it is missing and optional."""
        value = self.text(field, 100, required=required)
        if value and value not in allowed:
            self.wrong(field, f"{field} is not one of {', '.join(allowed)}")
        return value

    def url(self, field: str) -> str:
        """An http or https URL."""
        value = self.text(field, 2000)
        try:
            good = not value or (urlsplit(value).scheme in ("http", "https") and bool(urlsplit(value).netloc))
        except ValueError:
            good = False
        if not good:
            self.wrong(field, f"{field} must use http(s) scheme")
        return value

    def moment(self, field: str) -> datetime | None:
        """A time in ISO 8601; UTC if it has no time zone."""
        value = self.text(field, 40)
        try:
            found = datetime.fromisoformat(value) if value else None
            return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)
        except ValueError:
            self.wrong(field, f"{field} is not a time like 2026-11-23T09:11:00Z")
            return None

    def progress(self) -> tuple[str, str]:
        """(status, conclusion) of a check run, both empty if missing. A conclusion implies completed."""
        status, conclusion = self.one_of("status", STATUSES), self.one_of("conclusion", CONCLUSIONS)
        if status == "completed" and not conclusion:
            self.wrong("conclusion", "a completed check run needs a conclusion", "missing_field")
        return ("completed" if conclusion else status), conclusion

    def words(self) -> dict[str, Any]:
        """The texts and times of a check run, as far as given."""
        found: dict[str, Any] = {
            "url": self.url("details_url"),
            "external_id": self.text("external_id", 255),
            "started_at": self.moment("started_at"),
            "completed_at": self.moment("completed_at"),
        }
        output = self._output()
        if output is not None:
            for field, limit in (("title", 255), ("summary", LONG)):
                found[field] = self.text(field, limit, required=True, of=output, at="output.")
            found["text"] = self.text("text", LONG, of=output, at="output.")
        if len(self._list(self.body, "actions")) > MAX_ACTIONS:
            self.wrong("actions", f"there are more than {MAX_ACTIONS} actions")
        return {key: value for key, value in found.items() if value}

    def annotations(self) -> list[dict[str, Any]]:
        """At most 50 annotations, in the form that ``checks`` expects."""
        items = self._list(self._output() or {}, "annotations")
        if len(items) > MAX_ANNOTATIONS:
            self.wrong("output.annotations", f"there are more than {MAX_ANNOTATIONS} annotations in one request")
        return [self._annotation(item, f"output.annotations[{i}].") for i, item in enumerate(items[:MAX_ANNOTATIONS])]

    def _output(self) -> dict[str, Any] | None:
        value = self.body.get("output")
        if value is not None and not isinstance(value, dict):
            if not any(error["field"] == "output" for error in self.errors):
                self.wrong("output", "output is not an object")
            return None
        return value

    def _list(self, of: dict[str, Any], field: str) -> list[Any]:
        value = of.get(field)
        if value is not None and not isinstance(value, list):
            self.wrong(field, f"{field} is not a list")
        return value if isinstance(value, list) else []

    def _annotation(self, item: Any, at: str) -> dict[str, Any]:
        if not isinstance(item, dict):
            self.wrong(at.rstrip("."), "an annotation is not an object")
            return {"path": ""}
        start, end = self._line(item, "start_line", at), self._line(item, "end_line", at)
        if start > end:
            self.wrong(f"{at}end_line", "end_line comes before start_line")
        columns = self._columns(item, at, one_line=start == end)
        level = self.text("annotation_level", 20, required=True, of=item, at=at)
        if level and level not in LEVELS:
            self.wrong(f"{at}annotation_level", f"annotation_level is not one of {', '.join(LEVELS)}")
        return {
            "path": self.text("path", 4000, required=True, of=item, at=at),
            "line": start,
            "end_line": end,
            "column": columns[0],
            "end_column": columns[1],
            "rule": self.text("title", 255, of=item, at=at),
            "severity": LEVELS.get(level, 4),
            "message": self.text("message", 64 * 1024, required=True, of=item, at=at),
            "raw_details": self.text("raw_details", 64 * 1024, of=item, at=at),
        }

    def _columns(self, item: dict[str, Any], at: str, *, one_line: bool) -> tuple[int, int]:
        """start_column and end_column, 0 if missing."""
        given = {field: item.get(field) is not None for field in ("start_column", "end_column")}
        for field in (field for field, there in given.items() if there and not one_line):
            self.wrong(f"{at}{field}", "columns need an annotation of one line")
        start, end = (self._line(item, field, at) if there else 0 for field, there in given.items())
        if end and start > end:
            self.wrong(f"{at}end_column", "end_column comes before start_column")
        return start, end

    def _line(self, item: dict[str, Any], field: str, at: str) -> int:
        value = item.get(field)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**31:
            self.wrong(f"{at}{field}", f"{field} is not a whole number")
            return 0
        return value
