"""The drivers that the API's actions need. ``project`` puts the real ones in at start-up; tests put in doubles."""

from __future__ import annotations

from greenroom.basics.errors import PlatformError
from greenroom.engine.contract import Engine

_chosen: dict[str, Engine] = {}


def use_engine(engine: Engine) -> None:
    """Choose the engine for this process."""
    _chosen["engine"] = engine


def engine() -> Engine:
    """The engine that was chosen."""
    if "engine" not in _chosen:
        raise PlatformError("This process has no engine.")
    return _chosen["engine"]
