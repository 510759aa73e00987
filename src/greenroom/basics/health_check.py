"""The health check: sends a request to a web process as the router does, and evaluates the response.

The gate uses it before a release gets traffic, and so do the check after a migrate and the cells of a rehearsal, where
this file runs in a dyno. Standard library only, for any Python from 3.7 on.
"""

from __future__ import annotations

import re
import time
import uuid
from urllib.parse import quote, urljoin, urlsplit

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Sequence
    from urllib.parse import SplitResult

    Connect = Callable[[float], socket.socket]

LONGEST = 65536
HOPS = 6
STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})\b")
LOCATION = re.compile(rb"\nlocation:[ \t]*([^\r\n]*)", re.IGNORECASE)
NOT_TRUSTED = (
    'set SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") in the settings: the app does not see that it is'
    " asked by HTTPS"
)
NOT_ALLOWED = "a Django app answers 400 (DisallowedHost) for host names that are not in ALLOWED_HOSTS: add {host}"


NO_PAGE = "set health_path in greenroom.toml to a page that answers 200 without a sign-in"
PAGELESS = (401, 403, 404, 405)
"""Answers of an app that works and has no public page: healthy at ``/``, which the team may not have chosen."""


class Answer:
    """healthy; detail: one line on what came; remedy: what to change, '' when that is not known."""

    def __init__(self, healthy: bool, detail: str, remedy: str = "") -> None:
        self.healthy, self.detail, self.remedy = healthy, detail, remedy


def question(connect: Connect, host: str, path: str, seconds: float, known: Sequence[str] = ()) -> Answer:
    """Ask by HTTPS, as far as the app can tell, follow redirects within the app, and judge the end.

    connect: seconds -> a connected socket.   known: the app's other host names.   seconds: for all of it.
    2xx is healthy, 4xx and 5xx are not, except PAGELESS at ``/``. A redirect to another site is healthy, and one to
    another page that ends below 500: it may need a sign-in.
    """
    own = {name for one in (host, *known) for name in _with_www(one)}
    url, until = f"https://{host}{path}", time.monotonic() + seconds
    told, visited, moved = f"GET {path} (Host: {host})", set(), False
    while True:
        visited.add(url)
        try:
            status, location = _get(connect, url, until)
        except (OSError, ValueError) as error:
            return Answer(False, f"{told} gave no answer: {error or type(error).__name__}")
        told += f" answered {status}"
        goal = _goal(url, location) if 300 <= status < 400 else ""
        if not goal or _host(goal) not in own:
            return _judged(status, told, _host(url), moved or (path == "/" and status in PAGELESS))
        if goal in visited or len(visited) >= HOPS:
            looped = f"{told} and redirects in a circle to {goal}"
            return (
                Answer(True, told) if moved else Answer(False, looped, NOT_TRUSTED if goal.startswith("https:") else "")
            )
        moved = moved or _page(goal) != _page(url)
        told += f" to {goal}, which"
        url = goal


def sends_to_https(connect: Connect, host: str, path: str, seconds: float) -> bool:
    """Whether a visitor who comes by plain HTTP is sent to HTTPS, or can get nothing but there."""
    url = f"http://{host}{path}"
    try:
        status, location = _get(connect, url, time.monotonic() + seconds)
    except (OSError, ValueError):
        return False
    return (status >= 400 and status not in PAGELESS) or (
        300 <= status < 400 and _goal(url, location).startswith("https:")
    )


def _judged(status: int, told: str, host: str, moved: bool) -> Answer:
    if status >= 500 or (status >= 400 and not moved):
        remedy = NOT_ALLOWED.format(host=host) if status == 400 else NO_PAGE if status in PAGELESS else ""
        return Answer(False, told, remedy)
    return Answer(True, told)


def _goal(url: str, location: str) -> str:
    """The absolute address of a redirect without port and fragment; '' when it names none."""
    try:
        parts = urlsplit(urljoin(url, location.strip()))
        if not location.strip() or parts.scheme not in ("http", "https") or not parts.hostname:
            return ""
        return f"{parts.scheme}://{parts.hostname}{_target(parts)}"
    except ValueError:
        return ""


def _target(parts: SplitResult) -> str:
    query = f"?{parts.query}" if parts.query else ""
    return quote((parts.path or "/") + query, safe="/%:@!$&'()*+,;=~-._?[]")


def _host(url: str) -> str:
    return urlsplit(url).hostname or ""


def _page(url: str) -> tuple[str, str]:
    """The parts of a URL that a canonical redirect keeps: the path without its last slash, and the query."""
    parts = urlsplit(url)
    return parts.path.rstrip("/"), parts.query


def _with_www(name: str) -> tuple[str, str]:
    return name, name[4:] if name.startswith("www.") else f"www.{name}"


def _get(connect: Connect, url: str, until: float) -> tuple[int, str]:
    """(status, Location or '') of one request. OSError or ValueError when nothing sensible comes in time."""
    parts = urlsplit(url)
    lines = [
        f"GET {_target(parts)} HTTP/1.1",
        f"Host: {parts.hostname}",
        "User-Agent: greenroom-health",
        "Accept: */*",
        "X-Forwarded-For: 127.0.0.1",
        f"X-Forwarded-Proto: {parts.scheme}",
        f"X-Forwarded-Host: {parts.hostname}",
        f"X-Forwarded-Port: {443 if parts.scheme == 'https' else 80}",
        f"X-Request-Id: {uuid.uuid4()}",
        f"X-Request-Start: {int(time.time() * 1000)}",
        "Via: 1.1 greenroom",
        "Connection: close",
    ]
    sock = connect(_left(until))
    try:
        sock.settimeout(_left(until))
        sock.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        return _head(sock, until)
    finally:
        sock.close()


def _head(sock: socket.socket, until: float) -> tuple[int, str]:
    data = b""
    while True:
        head, ended, rest = data.partition(b"\r\n\r\n")
        if ended:
            status = STATUS.match(head)
            if status is None:
                raise ValueError("it is no HTTP")
            if not status.group(1).startswith(b"1"):
                found = LOCATION.search(head)
                return int(status.group(1)), found.group(1).decode("latin-1") if found else ""
            data = rest  # 1xx comes before the answer
            continue
        if len(data) > LONGEST:
            raise ValueError(f"the headers are longer than {LONGEST} bytes")
        sock.settimeout(_left(until))
        piece = sock.recv(16384)
        if not piece:
            raise ValueError("the connection was closed")
        data += piece


def _left(until: float) -> float:
    left = until - time.monotonic()
    if left <= 0:
        raise OSError("timed out")
    return left
