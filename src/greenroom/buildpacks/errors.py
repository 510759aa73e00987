"""The error that all readers and rules of this room raise, with Heroku's failure ids as its ``reason``."""

from __future__ import annotations

from greenroom.basics.errors import AppError


class BuildError(AppError):
    """The commit cannot be built. reason: a stable id such as ``package-manager::none-found``, for scripts and docs."""

    id = "build_failed"

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
