"""What ends a command with a message: the text says where and what, the hint names the next command.

How they are printed is decided in ``main``; what the server said comes here unchanged.
"""

from __future__ import annotations


class CliError(Exception):
    """A message for a person; ``code`` is the exit code (1: refused or failed, 2: called wrongly)."""

    def __init__(self, message: str, *, hint: str = "", code: int = 1) -> None:
        super().__init__(message)
        self.message, self.hint, self.code = message, hint, code


class UnreachableError(CliError):
    """Nobody answers at the installation's address. temporary: trying again may help; unsent: nothing of the request
    has left this computer.
    """

    temporary = True
    unsent = False


class ApiError(CliError):
    """The server refused: ``status`` is HTTP's, ``id`` is Heroku's (``not_found``, ``invalid_params`` ...)."""

    def __init__(self, message: str, *, hint: str = "", status: int = 0, id: str = "", resource: str = "") -> None:
        super().__init__(message, hint=hint)
        self.status, self.id, self.resource = status, id, resource
