"""The error type of the host commands."""

from __future__ import annotations


class HostError(Exception):
    """An error on this machine: a one-line message, and a hint with the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
