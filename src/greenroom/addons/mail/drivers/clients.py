"""The platform's requests to a trap, through the engine. Responses come from the app's sandbox and are not trusted."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from socket import socket as Socket  # noqa: N812
from typing import Any, NoReturn

from greenroom.addons.drivers.engines import engine
from greenroom.basics.errors import AppError, NotFoundError, PlatformError
from greenroom.engine import names

SECONDS, LONGEST = 5.0, 30.0
"""Limits of one wait for data, and of one response."""
MOST = 30_000_000
"""Bytes of a response: above the largest message."""
LINE = 64
REFUSALS = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)


class Client:
    """An open connection to a trap."""

    def __init__(self, sock: Socket, password: str, app: str) -> None:
        self.app = app
        self._sock, self._file = sock, sock.makefile("rb")
        self._file.readline(200)  # the greeting
        sock.sendall(f"GREENROOM {password}\r\n".encode())

    def close(self) -> None:
        """Close the connection."""
        self._file.close()
        self._sock.close()

    def ask(self, op: str, **wish: Any) -> bytes:
        """The response to a request. NotFoundError for an unknown message, AppError for one that cannot be parsed."""
        self._sock.sendall(json.dumps({"op": op, **wish}).encode() + b"\n")
        word, _, size = self._file.readline(LINE).partition(b" ")
        if not word:
            raise OSError("it closed the connection")
        if int(size) > MOST:
            raise ValueError("the response is too large")
        data = self._read(int(size))
        if word != b"OK":
            _refuse(data, wish, self.app)
        return data

    def _read(self, size: int) -> bytes:
        deadline, parts = time.monotonic() + LONGEST, []
        while size > 0:
            part = self._file.read1(min(size, 1 << 20))
            if not part or time.monotonic() > deadline:
                raise OSError("the response is incomplete")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)

    def facts(self, op: str, **wish: Any) -> Any:
        """The response as JSON."""
        return json.loads(self.ask(op, **wish))


def _refuse(data: bytes, wish: dict[str, Any], app: str) -> NoReturn:
    number = wish.get("number") or ""
    if data == b"missing":
        raise NotFoundError(
            f"The trap has no mail {number}".rstrip() + ": it never existed, is too old, or was cleared.",
            hint=f"list those that it has: greenroom mail -a {app}",
            resource="mail",
        )
    if data == b"unreadable":
        raise AppError(f"Mail {number} cannot be parsed.", hint=f"greenroom mail:show {number} --raw -a {app}")
    raise ValueError(f"the trap refused: {data[:80]!r}")


@contextlib.contextmanager
def connect(home: Path, key: str, password: str, *, app: str) -> Iterator[Client]:
    """A connection to the trap of that key. PlatformError if it does not answer as expected."""
    client = None
    try:
        client = Client(engine(home).connect(names.service(key), timeout=SECONDS), password, app)
        yield client
    except REFUSALS as error:
        raise PlatformError(
            f"The mail trap does not answer: {error}", hint=f"greenroom logs -a {app} --ps mail; it is started again"
        ) from error
    finally:
        if client:
            client.close()
