"""Origins: scheme, host and port of an API and of its git server."""

from __future__ import annotations

from urllib.parse import urlsplit

LOCAL = ("localhost", "127.0.0.1", "::1")


def origins(url: str) -> set[tuple[str, str, int]]:
    """(scheme, host, port) of the git server of an API's URL."""
    parts = urlsplit(url)
    port = parts.port or default_port(parts.scheme)
    places = {(parts.scheme, parts.hostname or "", port)}
    if parts.hostname in LOCAL and parts.scheme == "http":
        places |= {("http", host, port) for host in LOCAL} | {("https", host, port + 1) for host in LOCAL}
    if parts.hostname in LOCAL and parts.scheme == "https":
        places |= {("https", host, port) for host in LOCAL} | {("http", host, port - 1) for host in LOCAL}
    return places


def origin_of(url: str) -> tuple[str, str, int] | None:
    """(scheme, host, port) of a git remote's URL; None if it is not an http(s) URL."""
    try:
        parts = urlsplit(url)
        port = parts.port or default_port(parts.scheme)
    except ValueError:
        return None
    return (parts.scheme, parts.hostname, port) if parts.scheme in ("http", "https") and parts.hostname else None


def default_port(scheme: str) -> int:
    """The port that a URL of this scheme leaves out."""
    return 443 if scheme == "https" else 80
