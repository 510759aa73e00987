"""Links that answers carry, under the name by which the client reached this installation: a tunnel's end is
``localhost``, another computer's is its host.

Only names that are this installation's own are taken from a request; any other Host header gets links under the
installation's name.
"""

from __future__ import annotations

from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest

LOCAL = ("localhost", "127.0.0.1")
_host: ContextVar[str] = ContextVar("host", default="")


def remember(request: HttpRequest) -> None:
    """Let the links of this request's answer carry the name that it was sent to."""
    name = request.headers.get("Host", "").rpartition("@")[2].partition(":")[0].lower()
    _host.set(name if name in (*LOCAL, _own()) else _own())


def _own() -> str:
    return str(settings.INSTALLATION.get("host") or LOCAL[0])


def host() -> str:
    """The name in links. 127.0.0.1 becomes localhost, which the Heroku CLI's git remotes and psql's TLS rule know."""
    name = _host.get() or _own()
    return LOCAL[0] if name in LOCAL else name


def plain(path: str) -> str:
    """A link to the API's port; from another computer to the one with TLS, since such a link is a credential."""
    return f"http://{host()}:{settings.INSTALLATION['api_port']}{path}" if host() in LOCAL else secure(path)


def secure(path: str) -> str:
    """A link with TLS."""
    return f"https://{host()}:{settings.INSTALLATION['tls_port']}{path}"


def rendezvous(path: str) -> str:
    """Where the client of an attached dyno goes."""
    return f"rendezvous://{host()}:{settings.INSTALLATION['rendezvous_port']}{path}"
