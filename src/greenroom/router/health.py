"""The health gate: asks a dyno over its socket, with the app's own Host header, before it may get traffic."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from pathlib import Path

from greenroom.basics.unixsock import connect


@dataclass(frozen=True)
class Answer:
    """Whether the health path answered 2xx or 3xx, and one line that says what came."""

    healthy: bool
    detail: str


def ask(socket: Path, *, host: str, path: str, timeout: float = 5.0) -> Answer:
    """One GET. 200 to 399 is healthy; anything else, or no answer within ``timeout`` seconds, is not."""
    connection = http.client.HTTPConnection("localhost", timeout=timeout)
    try:
        connection.sock = connect(socket, timeout=timeout)
        headers = {
            "Host": host,
            "X-Forwarded-Proto": "http",
            "X-Forwarded-For": "127.0.0.1",
            "User-Agent": "greenroom-health",
            "Connection": "close",
        }
        connection.request("GET", path, headers=headers)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        return Answer(False, f"GET {path} gave no answer: {error or type(error).__name__}")
    finally:
        connection.close()
    return Answer(200 <= status < 400, f"GET {path} (Host: {host}) answered {status}")
