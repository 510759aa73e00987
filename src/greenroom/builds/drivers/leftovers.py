"""What builds leave behind and nobody needs: sources of commits, dynos and half copies of builds that were cut short.

Nothing that a slug in the table needs is ever removed here.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from greenroom.builds.models import Build
from greenroom.builds.queries import running_dynos
from greenroom.engine.contract import Engine

STALE = 3600.0
"""Seconds after which a file that nobody builds from counts as left behind; a scan that reads it has ended long
before.
"""
SOURCE = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{32})\.tar\Z")


def remove_sources(build: Build, home: Path) -> None:
    """The archive that a hook made is the build's own; that of the commit may be read by its scan for a while yet, see
    ``sweep``.
    """
    (home / "sources" / f"{build.id.hex}.tar").unlink(missing_ok=True)


def sweep(*, engine: Engine, home: Path, now: float | None = None) -> list[str]:
    """Remove what is left over: sources an hour old, half copies of slugs, dynos of builds that have ended. What was
    removed, for the log.

    Repeatable, and safe beside running builds: theirs are known by their rows.
    """
    now = time.time() if now is None else now
    pending = Build.objects.filter(status="pending")
    busy = {name for commit, pk in pending.values_list("commit", "pk") for name in (f"{commit}.tar", f"{pk.hex}.tar")}
    removed = []
    for path in _entries(home / "sources"):
        if path.name not in busy and _age(path, now) > STALE and (SOURCE.match(path.name) or path.name.endswith("~")):
            path.unlink(missing_ok=True)
            removed.append(f"sources/{path.name}")
    for path in _entries(home / "slugs"):
        if path.name.startswith(".new-") and _age(path, now) > STALE:
            shutil.rmtree(path, ignore_errors=True)
            removed.append(f"slugs/{path.name}")
    known = running_dynos()
    for state in engine.list():
        if state.id.startswith("build-") and state.id not in known:
            engine.forget(state.id)
            removed.append(state.id)
    return removed


def _entries(folder: Path) -> Iterator[Path]:
    return iter(sorted(folder.iterdir()) if folder.is_dir() else [])


def _age(path: Path, now: float) -> float:
    try:
        return now - path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
