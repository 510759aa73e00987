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


def plain(path: str, name: str = "") -> str:
    """A URL on the API's port. From another computer it uses the TLS port, because such a URL is a credential.

    name: instead of the name by which the client came.
    """
    name = name or host()
    return f"http://{name}:{settings.INSTALLATION['api_port']}{path}" if name in LOCAL else secure(path, name)


def for_others(path: str) -> str:
    """A URL for another person, with the installation's own name, also if the client came by ``localhost``."""
    return plain(path, _own())


def secure(path: str, name: str = "") -> str:
    """A URL with TLS: at the router for its names, else on the TLS port. name: as in ``plain``."""
    name = name or host()
    port = settings.INSTALLATION["https_port" if name in _routed() else "tls_port"]
    return f"https://{name}{'' if port == 443 else f':{port}'}{path}"


def rendezvous(path: str) -> str:
    """The rendezvous URL for the client of an attached dyno."""
    return f"rendezvous://{host()}:{settings.INSTALLATION['rendezvous_port']}{path}"
