"""URLs in responses, with the host name by which the client reached this installation: ``localhost`` through a tunnel,
the host's name from another computer.

Only the installation's own names are taken from a Host header; for any other, URLs use the installation's name.
"""

from __future__ import annotations

from contextvars import ContextVar

from django.conf import settings
from django.http import HttpRequest

from greenroom.router.rules import public_names

LOCAL = ("localhost", "127.0.0.1")
_host: ContextVar[str] = ContextVar("host", default="")


def remember(request: HttpRequest) -> None:
    """Use the request's Host name for the URLs in its response."""
    name = request.headers.get("Host", "").rpartition("@")[2].partition(":")[0].lower()
    _host.set(name if name in (*LOCAL, *_routed(), _own()) else _own())


def _routed() -> tuple[str, ...]:
    """The names at which the router serves the API: the base domain and its alias."""
    return public_names.own_names(settings.INSTALLATION)


def _own() -> str:
    named = str(settings.INSTALLATION.get("host") or LOCAL[0])
    return named if named not in LOCAL else next(iter(_routed()), LOCAL[0])


def host() -> str:
    """The host name in URLs. 127.0.0.1 becomes localhost, as the Heroku CLI's git remotes and psql's TLS rule need."""
    name = _host.get() or _own()
    return LOCAL[0] if name in LOCAL else name


def plain(path: str) -> str:
    """A URL on the API's port. From another computer it uses the TLS port, because such a URL is a credential."""
    return f"http://{host()}:{settings.INSTALLATION['api_port']}{path}" if host() in LOCAL else secure(path)


def secure(path: str) -> str:
    """A URL with TLS: at the router for its names, else on the TLS port."""
    port = settings.INSTALLATION["https_port" if host() in _routed() else "tls_port"]
    return f"https://{host()}{'' if port == 443 else f':{port}'}{path}"


def rendezvous(path: str) -> str:
    """The rendezvous URL for the client of an attached dyno."""
    return f"rendezvous://{host()}:{settings.INSTALLATION['rendezvous_port']}{path}"
