"""``greenroom down``: ends control plane, dynos, supervisor, Caddy and PostgreSQL, in that order, and verifies it."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from greenroom_cli.host import keeper

GRACE = 35.0


def take_down(home: Path, say: Callable[[str], None]) -> bool:
    """End whatever runs; True if anything did. Repeatable."""
    ran = False
    for name in ("worker", "web"):
        ran = keeper.stop(home, name, signal.SIGTERM, 8) or ran
    ran = _dynos(home, say) or ran
    ran = keeper.stop(home, "supervisor", signal.SIGTERM, 8) or ran
    ran = keeper.stop(home, "caddy", signal.SIGTERM, 8) or ran
    ran = keeper.stop(home, "postgres", signal.SIGINT, 20) or ran
    keeper.pid_file(home, "host").unlink(missing_ok=True)
    return ran


def _dynos(home: Path, say: Callable[[str], None]) -> bool:
    """Stop all dynos at once, kill those that do not end, and forget them."""
    if keeper.known(home, "supervisor") is None:
        return False
    from greenroom.basics.errors import GreenroomError
    from greenroom.engine.local.client import LocalEngine

    engine = LocalEngine(home)
    try:
        living = [state.id for state in engine.list() if state.phase in ("starting", "running")]
        if living:
            say(f"stopping {len(living)} dyno{'s' if len(living) > 1 else ''}")
        for dyno in living:
            engine.signal(dyno, "STOP")
        deadline = time.monotonic() + GRACE
        while living and time.monotonic() < deadline:
            living = [
                dyno for dyno in living if (seen := engine.describe(dyno)) and seen.phase in ("starting", "running")
            ]
            time.sleep(0.05)
        for state in engine.list():
            engine.forget(state.id)
    except GreenroomError as error:
        say(f"dynos: {error}")
    return True
