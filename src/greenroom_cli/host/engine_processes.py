"""The engine's processes for the host commands. No module of the command line knows an engine."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from greenroom_cli.host.errors import HostError

if TYPE_CHECKING:
    from greenroom.engine.host_part import HostPart

GRACE = 35.0


def part(engine: str) -> HostPart:
    """The engine's part of the host. HostError if there is no such engine."""
    from greenroom.project import drivers

    try:
        return drivers.make_host_part(engine)
    except ImportError as error:
        raise HostError(
            f"There is no engine {engine[:60]!r}: {error}.",
            f"correct {drivers.SETTING}, then: greenroom up",
        ) from error


def stop_dynos(home: Path, engine: str, say: Callable[[str], None]) -> bool:
    """Stop all dynos by the verbs of the engine, kill those that do not exit, and forget them. True if there were any.
    Raises GreenroomError.
    """
    from greenroom.project import drivers

    chosen = drivers.make_engine(home, engine)
    states = chosen.list()
    living = [state.id for state in states if not state.ended]
    if living:
        say(f"stopping {len(living)} dyno{'s' if len(living) > 1 else ''}")
    for dyno in living:
        chosen.signal(dyno, "STOP")
    deadline = time.monotonic() + GRACE
    while living and time.monotonic() < deadline:
        living = [dyno for dyno in living if (seen := chosen.describe(dyno)) and not seen.ended]
        time.sleep(0.05)
    for state in chosen.list():
        chosen.forget(state.id)
    return bool(states)
