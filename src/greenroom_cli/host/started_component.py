"""A running component as the long-running host process knows it. Imports nothing, to keep that process small."""

from __future__ import annotations


class StartedComponent:
    """The attributes of a started component that ``processes.start`` needs to restart it."""

    before = None

    def __init__(
        self,
        *,
        name: str,
        argv: list[str],
        env: dict[str, str],
        user: list[int] | None,
        group: list[str],
        locks_itself: bool,
    ) -> None:
        self.name, self.argv, self.env, self.group = name, tuple(argv), env, tuple(group)
        self.locks_itself = locks_itself
        self.user = (user[0], user[1]) if user else None
