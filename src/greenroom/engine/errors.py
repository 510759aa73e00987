"""Errors of an engine."""

from __future__ import annotations

from greenroom.basics.errors import PlatformError


class EngineError(PlatformError):
    """The engine refused or failed to execute a request."""

    id = "engine_error"


class EngineAwayError(EngineError):
    """The engine does not answer: it is restarting or down. The request may be retried."""

    id = "engine_away"


class NotReadyError(EngineError):
    """The dyno is starting and does not accept its client yet; retry in a moment."""

    id = "dyno_not_ready"


class NotWaitingError(EngineError):
    """The dyno waits for no client: it has had one, has ended or was never started."""

    id = "dyno_not_waiting"


class OutputGoneError(EngineError):
    """Output that a returning client has not received is no longer available; the dyno gets a hangup."""

    id = "output_gone"
