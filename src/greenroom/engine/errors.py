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


class NotReadyError(EngineError):
    """The dyno is being started and does not take its client yet; try again in a moment."""

    id = "dyno_not_ready"


class NotWaitingError(EngineError):
    """The dyno waits for no client: it has had one, has ended or was never started."""

    id = "dyno_not_waiting"


class OutputGoneError(EngineError):
    """Output that a returning client has not seen is not kept any more; the dyno is hung up on."""

    id = "output_gone"
