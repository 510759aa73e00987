"""Queries about dynos for several rooms, based on the engine's verbs."""

from __future__ import annotations

from greenroom.engine.contract import Engine


def last_output(engine: Engine, dyno_id: str, size: int) -> tuple[bytes, bool]:
    """The last ``size`` bytes of a dyno's raw output, and whether they are all of it."""
    start = max(0, engine.output(dyno_id, 0, limit=0).size - size)
    return engine.output(dyno_id, start, limit=size).data, start == 0
