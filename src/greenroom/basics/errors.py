"""Errors with a message, a hint and an API id; the type says if the caller, the app or the platform is the cause."""

from __future__ import annotations


class GreenroomError(Exception):
    """Base of all errors that users see.

    message: where, what, and what is allowed, in one or two sentences.
    hint:    the next step, usually a command; may be empty.
    id:      Heroku's error id (``invalid_params``, ``not_found`` ...).
    status:  the HTTP status that the API answers with.
    """

    id = "internal_error"
    status = 500

    def __init__(self, message: str, *, hint: str = "", id: str = "", resource: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.resource = resource
        if id:
            self.id = id

    def __str__(self) -> str:
        return f"{self.message}\nhint: {self.hint}" if self.hint else self.message


class UserError(GreenroomError):
    """The request is invalid. A retry without changes is useless."""

    id = "invalid_params"
    status = 422


class NotFoundError(UserError):
    """Not found, or the caller has no access to it."""

    id = "not_found"
    status = 404


class ForbiddenError(UserError):
    """The caller is authenticated but lacks the permission."""

    id = "forbidden"
    status = 403


class UnauthorizedError(UserError):
    """Missing, invalid or expired credentials."""

    id = "unauthorized"
    status = 401


class ConflictError(UserError):
    """The current state of the object does not allow this."""

    id = "conflict"
    status = 409


class AppError(GreenroomError):
    """The app's code or configuration is the cause, not the platform."""

    id = "app_error"
    status = 422


class PlatformError(GreenroomError):
    """The platform failed. A retry may help."""

    id = "platform_error"
    status = 503
