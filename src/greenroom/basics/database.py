"""Maps errors of PostgreSQL to API errors, and names the options of the platform's sessions.

It recognises errors by their PEP 249 names, which Django and psycopg share, and by PostgreSQL's error codes.
"""

from __future__ import annotations

from greenroom.basics.errors import ConflictError, GreenroomError, NotFoundError, PlatformError

SAFE = "-c search_path=pg_catalog"
"""Option for all sessions of the platform: overrides a search_path that a tenant has set for a database or a role."""
LOST = frozenset({"OperationalError", "InterfaceError"})
MET = frozenset({"40001", "40P01", "23503", "23505"})
"""Serialization failure, deadlock, a row that another one refers to is gone, a value that exists already: two changes
at the same moment.
"""
BUSY = frozenset({"55P03", "57014", "53300"})
"""A lock that was not given in time, a statement that took too long, no connection left."""
FULL = frozenset({"53100", "53200"})
"""No space on the disk, no memory."""
GONE = "did not affect any rows"
"""Django's message for a row that was deleted before it could be saved."""


class DatabaseAwayError(PlatformError):
    """PostgreSQL does not answer. The host process restarts it."""

    def __init__(self) -> None:
        super().__init__("Greenroom's database is restarting.", hint="try again in a few seconds; greenroom status")


class DatabaseBusyError(PlatformError):
    """PostgreSQL answers, but is overloaded: lock or statement timeout, or no free connection."""

    def __init__(self) -> None:
        super().__init__("Greenroom's database is overloaded.", hint="try again in a few seconds; greenroom doctor")


class DatabaseFullError(PlatformError):
    """PostgreSQL is out of disk space or memory."""

    def __init__(self) -> None:
        super().__init__(
            "Greenroom's database is out of disk space or memory.",
            hint="free disk space on the server; greenroom doctor",
        )


class MetError(ConflictError):
    """A concurrent request changed, created or removed the same object."""

    def __init__(self) -> None:
        super().__init__("A concurrent request changed the same object.", hint="check its current state, and try again")


def judged(error: BaseException) -> GreenroomError | None:
    """Return the answer to an error of psycopg or Django; None for all others, which are Greenroom's own faults."""
    if type(error).__qualname__ == "App.DoesNotExist":  # of a row that was read before its app was destroyed
        return NotFoundError(
            "Couldn't find that app: it was destroyed meanwhile.",
            hint="heroku apps lists the apps that you may see",
            resource="app",
        )
    names = {kind.__name__ for kind in type(error).__mro__}
    if not names & {"DatabaseError", "InterfaceError"}:
        return None
    cause = error if hasattr(error, "sqlstate") else error.__cause__
    state = getattr(cause, "sqlstate", None) or ""
    if state in MET or GONE in str(error):
        return MetError()
    if state in FULL:
        return DatabaseFullError()
    if state in BUSY or type(cause).__name__ == "PoolTimeout":
        return DatabaseBusyError()
    return DatabaseAwayError() if names & LOST else None
