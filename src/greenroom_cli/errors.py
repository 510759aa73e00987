"""Errors that end a command: a message, and a hint with the next command.

``main`` prints them. Messages of the server are passed on unchanged.
"""

from __future__ import annotations


class CliError(Exception):
    """An error message for the user; ``code`` is the exit code (1: refused or failed, 2: usage error)."""

    def __init__(self, message: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


class UnreachableError(CliError):
    """The server is unreachable. temporary: a retry may help; unsent: no byte of the request was sent."""

    temporary = True
    unsent = False


class ApiError(CliError):
    """An API error: ``status`` is the HTTP status, ``id`` Heroku's error id (``not_found``, ``invalid_params`` ...)."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0, id: str = "", resource: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status, self.id, self.resource = status, id, resource
