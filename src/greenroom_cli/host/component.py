"""A program that the host process keeps running, as a value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Component:
    """A program that the host process keeps running.

    ``user``: (uid, gid), None for the user of the host process. ``ready``: whether it answers now. ``patience``:
    seconds until it must be ready. ``before``: called before each start.
    """

    name: str
    argv: tuple[str, ...]
    ready: Callable[[], bool]
    env: dict[str, str] = field(default_factory=dict)
    user: tuple[int, int] | None = None
    patience: float = 30.0
    before: Callable[[], None] | None = None
    group: tuple[str, ...] = ()
    """``cgroup.procs`` files into which the pid is written after the start."""
    locks_itself: bool = False
    """Whether it takes its lock itself, because its children outlive it and must not inherit it."""
