"""The dyno of a shim, as the parts of the shim use it: deadlines, memory quota, forwards and the attached session.

For type checkers only; a shim does not import this module. ``shim.Shim`` is the implementation.
"""

from __future__ import annotations

from typing import Any, Protocol

from greenroom.engine.local.bridge import Bridge
from greenroom.engine.local.connections import Connections
from greenroom.engine.local.launch import Tree
from greenroom.engine.local.loop import Loop
from greenroom.engine.local.output import Journal
from greenroom.engine.local.state import State


class KeptDyno(Protocol):
    """One dyno from its order to its end. heard: time of the last output, on the monotonic clock."""

    order: dict[str, Any]
    limits: dict[str, Any]
    loop: Loop
    tree: Tree | None
    state: State
    journal: Journal
    way_in: Bridge | None
    connections: Connections
    why: str
    heard: float

    @property
    def over(self) -> bool:
        """Whether the process has ended."""

    def launch(self) -> int | None:
        """Start the process. Returns its standard input, or None if the start failed."""

    def bound(self) -> None:
        """The web process has bound its port."""

    def count(self, active: int) -> None:
        """Store the number of open connections."""

    def stop(self) -> None:
        """Stop the process as the platform does: SIGTERM, then SIGKILL after the grace period."""

    def end_by(self, why: str, text: str) -> None:
        """Kill the dyno for a reason; ``text`` goes to its log."""

    def resume_output(self) -> None:
        """Read output again after a pause."""

    def unattended(self, text: str) -> None:
        """No client came in time."""

    def abandoned(self, *, hang_up: bool, signal: int) -> None:
        """The client is gone for good."""

    def finish_if_due(self) -> None:
        """Write the end if the process has ended and all output is delivered."""
