"""What can go wrong in an engine."""

from __future__ import annotations

from greenroom.basics.errors import PlatformError


class EngineError(PlatformError):
    """The engine refused or failed to do what was asked."""

    id = "engine_error"


class EngineAwayError(EngineError):
    """Nothing answers where the engine should: it is being started again, or it is down. What was asked may be asked
    again.
    """

    id = "engine_away"
