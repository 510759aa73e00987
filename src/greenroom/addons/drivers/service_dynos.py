"""Servers of add-ons that are dynos: ids, forwards, readiness and removal. Every function is idempotent."""

from __future__ import annotations

import time

from greenroom.basics.errors import PlatformError
from greenroom.engine import names
from greenroom.engine.contract import Engine, Forward

START_SECONDS = 10.0


def dyno_id(key: str, number: int) -> str:
    """The engine's id of the server's start of that number."""
    return f"{key}-{number}"


def forward(key: str, port: int) -> Forward:
    """The forward from a dyno to a server."""
    return Forward(port=port, service=names.service(key))


def listens(engine: Engine, dyno: str, *, seconds: float, process: str) -> bool:
    """Wait until the server accepts connections. PlatformError if it has ended. process: in the app's log."""
    deadline = time.monotonic() + seconds
    while True:
        state = engine.describe(dyno)
        if state and state.listening:
            return True
        if state and state.ended:
            words = state.last_words.strip().splitlines()[-1:] or [state.detail]
            hint = f"greenroom logs -a APP --ps {process}"
            raise PlatformError(f"The server did not start: {words[0][:300]}", hint=hint)
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)


def remove(engine: Engine, *, key: str, numbers: range, volume: str) -> None:
    """End the server and remove its data."""
    for number in numbers:
        engine.forget(dyno_id(key, number))
    engine.discard(volume)
