"""The memory and CPU cores of this host for dynos, read from the kernel's files."""

from __future__ import annotations

import math
import os
from pathlib import Path

from greenroom.engine.contract import Capacity

CGROUPS = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
MEMORY_FILES = ("memory.max", "memory/memory.limit_in_bytes")
"""Of version 2 and of version 1; below the root of what this host, or the container that Greenroom runs in, may use."""
UNLIMITED = 1024**4
"""Values in bytes above this mean "no limit", as in Heroku's script: cgroup version 1 writes 2**63."""
_MB = 1024**2


def measured(*, cgroups: Path = CGROUPS, meminfo: Path = MEMINFO) -> Capacity:
    """The memory limit of the control group around the engine (version 1 or 2) or the memory of the machine, whichever
    is less, and the cores that this process may use, with a quota of the control group.
    """
    known = [*_limits(cgroups), *_physical(meminfo)]
    return Capacity(memory_mb=min(known, default=0), cores=_cores(cgroups))


def _limits(cgroups: Path) -> list[int]:
    found = [_number(_read(cgroups / name)) for name in MEMORY_FILES]
    return [value // _MB for value in found if value is not None and _MB <= value < UNLIMITED]


def _physical(meminfo: Path) -> list[int]:
    line = next((line for line in _read(meminfo).splitlines() if line.startswith("MemTotal:")), "")
    words = line.split()
    return [int(words[1]) // 1024] if len(words) == 3 and words[1].isdigit() else []


def _cores(cgroups: Path) -> int:
    """At least 1."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    words = _read(cgroups / "cpu.max").split() or [
        _read(cgroups / "cpu" / f"cpu.cfs_{name}_us").strip() for name in ("quota", "period")
    ]
    quota, period = (_number(word) for word in (*words, "", "")[:2])
    return max(1, min(usable, math.ceil(quota / period)) if quota and period else usable)


def _number(text: str) -> int | None:
    """A positive integer; None for ``max``, ``-1`` and an empty file."""
    text = text.strip()
    return int(text) if text.isdigit() and int(text) > 0 else None


def _read(path: Path) -> str:
    try:
        return path.read_text("ascii", "replace")
    except OSError:
        return ""
