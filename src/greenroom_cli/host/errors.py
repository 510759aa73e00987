"""What goes wrong on this machine, in words for the person in front of it."""

from __future__ import annotations


class HostError(Exception):
    """Something that a person has to know: one line, and a hint with the next step."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
