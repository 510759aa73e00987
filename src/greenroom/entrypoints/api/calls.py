"""A request as a view gets it, its reply, and a row of the route table."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from django.http import HttpRequest

from greenroom.accounts.rules import Actor, scope_grants
from greenroom.apps.models import App
from greenroom.basics.errors import ForbiddenError, UserError
from greenroom.pipelines.models import Pipeline


@dataclass
class Call:
    """One request for a view: its actor, app, body and path parameters."""

    request: HttpRequest
    actor: Actor
    body: dict[str, Any]
    params: dict[str, str]
    app_row: App | None = None
    pipeline_row: Pipeline | None = None

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the path, authorised for the route's permission."""
        assert self.pipeline_row is not None, "the route has no {pipeline}"
        return self.pipeline_row

    @property
    def app(self) -> App:
        """The app of the path, authorised for the route's permission."""
        assert self.app_row is not None, "the route has no {app}"
        return self.app_row

    def may_set_config_vars(self) -> None:
        """Raise ForbiddenError unless the token may set config vars. For routes where config vars are optional."""
        if not scope_grants(self.actor.scopes, "write-protected"):
            raise ForbiddenError(
                f"The token's scope ({', '.join(self.actor.scopes)}) does not allow setting config vars.",
                hint="omit them, or use a token of scope write-protected or global",
            )

    def text(self, name: str, *, required: bool = False) -> str:
        """A string of the body. Raises UserError for another type, or if it is required and missing."""
        value = self.body.get(name)
        if value is None and not required:
            return ""
        if not isinstance(value, str) or (required and not value.strip()):
            raise UserError(f"{name} must be a string{' and must not be empty' if required else ''}.")
        return value

    def query(self, name: str) -> str:
        """A query parameter; empty if it is missing."""
        return self.request.GET.get(name, "")


@dataclass
class Reply:
    """A response with its own status or headers."""

    data: Any
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)


View = Callable[[Call], Any]


@dataclass(frozen=True)
class Route:
    """One row of the table. permission: from PERMISSIONS, ACCOUNT_SCOPES or ADMIN_SCOPES of apps.rules, or ``public``.

    wide: the path parameter that may contain slashes; raw: the body is not JSON, and the view reads it. takes, returns:
    names of shapes in ``schemas``; returns has the form ``app``, ``[app]`` (a list), ``201 app`` or ``nothing``; query:
    the query parameters of the view. also: permissions, separated by spaces, that the view checks for an app or
    pipeline that is not in the path.
    """

    method: str
    pattern: str
    permission: str
    view: View
    paged: str = ""
    wide: str = ""
    raw: bool = False
    takes: str = ""
    returns: str = ""
    query: tuple[str, ...] = ()
    also: str = ""
