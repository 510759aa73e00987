"""Why a build cannot be: the error that every reader and rule of this room raises, with Heroku's failure ids as its
``reason``.
"""

from __future__ import annotations

from greenroom.basics.errors import AppError


class BuildError(AppError):
    """The commit cannot be built. reason: an id such as ``package-manager::none-found``; stable, for scripts and the
    docs.
    """

    id = "build_failed"

    def __init__(self, reason: str, message: str, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.reason = reason
