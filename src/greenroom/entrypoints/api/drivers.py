"""The drivers for the API's actions. ``project`` sets the real ones at start-up; tests set doubles."""

from __future__ import annotations

from greenroom.basics.errors import PlatformError
from greenroom.engine.contract import Engine

_chosen: dict[str, Engine] = {}


def use_engine(engine: Engine) -> None:
    """Set the engine of this process."""
    _chosen["engine"] = engine


def engine() -> Engine:
    """The engine of this process. Raises PlatformError if none is set."""
    if "engine" not in _chosen:
        raise PlatformError("No engine is configured in this process.")
    return _chosen["engine"]
