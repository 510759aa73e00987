"""Errors that carry their text, their remedy and their API id; the type says whose fault it is."""

from __future__ import annotations


class GreenroomError(Exception):
    """Base of all errors that a person may read.

    message: where, what, and what is allowed; one sentence or two.
    hint:    the next step, mostly a command; may be empty.
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
    """The caller asked for something that cannot be; trying again unchanged is useless."""

    id = "invalid_params"
    status = 422


class NotFoundError(UserError):
    """The thing does not exist, or the caller may not know that it does."""

    id = "not_found"
    status = 404


class ForbiddenError(UserError):
    """The caller is known and may not do this."""

    id = "forbidden"
    status = 403


class UnauthorizedError(UserError):
    """No credential, or one that does not hold."""

    id = "unauthorized"
    status = 401


class ConflictError(UserError):
    """The state of the thing does not allow this now."""

    id = "conflict"
    status = 409


class AppError(GreenroomError):
    """The tenant's code or configuration is at fault; the platform is well."""

    id = "app_error"
    status = 422


class PlatformError(GreenroomError):
    """Greenroom's own machinery failed; trying again may help."""

    id = "platform_error"
    status = 503
