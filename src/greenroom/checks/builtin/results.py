"""Reads the result files of a dyno. They are untrusted: reads only small regular files and follows no links."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greenroom.basics.text import printable
from greenroom.engine.contract import DynoState, Engine
from greenroom.engine.queries import last_output

LIMIT = 8 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a builtin check ended.

    title: one line; brief: the same for the verdict, without "failed"; notes: remarks on a success;
    lines: for the pusher's transcript, as one block; findings: rows for annotations.
    """

    conclusion: str
    title: str
    brief: str = ""
    summary: str = ""
    notes: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    data: dict[str, Any] = field(default_factory=dict)
    findings: tuple[dict[str, Any], ...] = ()


def left_json(engine: Engine, dyno_id: str, name: str) -> dict[str, Any] | None:
    """The object in a JSON file in a dyno's ``scratch:out``; None if it is missing, a link, a pipe, too large or not an
    object.
    """
    data = engine.result(dyno_id, f"out/{name}", limit=LIMIT)
    if data is None:
        return None
    try:
        content = scrub(json.loads(data))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def shown_output(engine: Engine, dyno_id: str, size: int = 4000) -> str:
    """The last ``size`` bytes of a dyno's output as text; '' when there is none."""
    return last_output(engine, dyno_id, size)[0].decode(errors="replace")


def scrub(value: Any) -> Any:
    """The JSON value with all its strings made ``printable``."""
    if isinstance(value, str):
        return printable(value)
    if isinstance(value, list):
        return [scrub(item) for item in value]
    if isinstance(value, dict):
        return {printable(key): scrub(item) for key, item in value.items()}
    return value


def why_ended(state: DynoState) -> str:
    """Why a dyno left no result, as a short phrase."""
    if state.reason == "oom":
        return "it ran out of memory"
    if state.detail:
        return printable(state.detail)
    if state.phase == "lost":
        return "it was lost with its machine"
    return "it left no result" if state.reason in ("", "exit") else f"it ended by {state.reason}"


def tail(path: Path, size: int = 4000) -> str:
    """The last ``size`` bytes of a file as text; empty if it cannot be read."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - size))
            return file.read(size).decode(errors="replace")
    except OSError:
        return ""


def indent(text: str, limit: int = 60) -> list[str]:
    """The last ``limit`` lines of a text, indented by seven spaces as in Heroku's build output."""
    lines = printable(text).rstrip().split("\n")
    cut = [f"[... {len(lines) - limit} lines omitted ...]"] if len(lines) > limit else []
    return [f"       {line}".rstrip() for line in [*cut, *lines[-limit:]]]


def plural(number: int, word: str) -> str:
    """``1 test``, ``2 tests``."""
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
