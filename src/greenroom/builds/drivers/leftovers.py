"""Removes leftovers of builds: sources of commits, and dynos and partial copies of interrupted builds.

Never removes a file that a slug's row refers to.
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
"""Seconds after which a file that no build uses counts as a leftover; a scan that reads it ends long before."""
SOURCE = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{32})\.tar\Z")


def remove_sources(build: Build, home: Path) -> None:
    """Remove the build's own archive, made by a hook. A scan may still read that of the commit: ``sweep``
    removes it.
    """
    (home / "sources" / f"{build.id.hex}.tar").unlink(missing_ok=True)


def sweep(*, engine: Engine, home: Path, now: float | None = None) -> list[str]:
    """Remove sources older than an hour, partial copies of slugs, and dynos of ended builds. Returns the removed names,
    for the log.

    Repeatable, and safe during running builds: their rows protect their files.
    """
    now = time.time() if now is None else now
    pending = Build.objects.filter(status="pending")
    rows = pending.values_list("commit", "pk", "facts__source")
    busy = {name for commit, pk, _ in rows for name in (f"{commit}.tar", f"{pk.hex}.tar")}
    busy |= {tar.removeprefix("sources/") for _, _, tar in rows if tar}
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
