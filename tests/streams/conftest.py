"""A rendezvous server on a real port with real TLS, stand-ins for dynos behind real unix sockets, and clients that
speak its protocol.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from greenroom.basics import signing, unixsock
from greenroom.basics.processes import identity
from greenroom.engine.local import state_reader
from greenroom.engine.local.client import LocalEngine
from greenroom.entrypoints.streams import attached, link_holders, rendezvous
from greenroom.project import served_tls
from greenroom_cli.host import keys

KEY = "a key for tests"
WHO = {"account": "a", "token": "t", "app": "p", "permission": "run"}
NUMBERS = itertools.count()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def path(kind: str, payload: dict, seconds: int = 60, purpose: str = "") -> str:
    """The path of a stream with a signed link of a user."""
    return f"/streams/{kind}/" + signing.sign(
        {"who": WHO, **payload}, key=KEY, purpose=purpose or kind, seconds=seconds
    )


class Dyno:
    """The local engine's files of an attached dyno: a socket for one client, and a state that ends with a code."""

    def __init__(self, home: Path, work: Callable[[socket.socket], int | None]) -> None:
        self.id = f"a1-v2-run.{next(NUMBERS)}-0badcafe"
        self.folder = home / "run" / "dynos" / self.id
        self.folder.mkdir(parents=True)
        self.say("starting")
        self.listener = unixsock.bind(self.folder / "attach.sock", mode=0o660, backlog=1)
        self.thread = threading.Thread(target=self._serve, args=(work,), daemon=True)
        self.thread.start()

    def say(self, phase: str, code: int | None = None) -> None:
        draft = self.folder / "state.new"
        me = identity(os.getpid())
        values = {"id": self.id, "kind": "run", "owner": "a1", "process": "run.1", "phase": phase, "exit_code": code}
        values |= {"pid": me.pid, "pid_started": me.started, "boot": state_reader.boot_id()}
        draft.write_text(json.dumps(values))
        draft.replace(self.folder / "state.json")

    def _serve(self, work: Callable[[socket.socket], int | None]) -> None:
        client, _ = self.listener.accept()
        self.listener.close()
        (self.folder / "attach.sock").unlink()
        self.say("running")
        with client, contextlib.suppress(OSError):
            code = work(client)
            self.say("exited", code or 0)

    def join(self, seconds: float = 10) -> None:
        self.thread.join(seconds)
        assert not self.thread.is_alive()


class Client:
    """One TLS connection, controlled byte by byte by the test."""

    def __init__(self, port: int, ca: Path, first: bytes) -> None:
        context = ssl.create_default_context(cafile=str(ca))
        plain = socket.create_connection(("127.0.0.1", port), timeout=15)
        self.sock = context.wrap_socket(plain, server_hostname="localhost")
        self.sock.sendall(first)

    def record(self) -> bytes:
        """The next TLS record; nothing at the end."""
        return self.sock.recv(100_000)

    def rest(self) -> bytes:
        data = bytearray()
        while piece := self.record():
            data += piece
        return bytes(data)

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def leave(self) -> None:
        self.sock.close()


class PlannedStarts:
    """The worker's part: dynos that are still to be started, those that never will be, and those with a client that
    left.
    """

    def __init__(self) -> None:
        self.waiting: set[str] = set()
        self.refused: dict[str, str] = {}
        self.cancelled: list[str] = []
        self.asked = threading.Semaphore(0)

    async def planned(self, dyno: str) -> bool:
        self.asked.release()
        if dyno in self.refused:
            raise attached.NotStartedError(self.refused[dyno], hint="greenroom run --no-snapshot ...")
        return dyno in self.waiting

    async def cancel(self, dyno: str) -> None:
        self.cancelled.append(dyno)


class Rendezvous:
    """The server in a thread, with a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home, self.port = home, free_port()
        (home / "keys").mkdir()
        keys.make_all(home, None)
        self.ca = home / "keys" / "ca.pem"
        rendezvous.Doorman.SECONDS = 0.1
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.holders = link_holders.Holders(link_holders.everybody)
        self.starts = PlannedStarts()
        context = served_tls.context(home)
        self.serving = rendezvous.serve(
            LocalEngine(home), KEY, "127.0.0.1", self.port, context, self.holders, self.starts
        )
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port)):
                return
            time.sleep(0.01)
        raise AssertionError("the rendezvous server did not come up")

    def _run(self) -> None:
        async def until_cancelled() -> None:
            self.task = asyncio.current_task()
            await self.serving

        with self.runner, contextlib.suppress(asyncio.CancelledError):
            self.runner.run(until_cancelled())

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.task.cancel)
        self.thread.join(10)
        assert not self.thread.is_alive(), "the server does not end"

    def dyno(self, work: Callable[[socket.socket], int | None]) -> Dyno:
        return Dyno(self.home, work)

    def token(
        self, dyno: Dyno | str, *, tty: bool = False, marker: bool = False, seconds: int = 60, account: str = "a"
    ) -> str:
        payload = {
            "dyno": dyno.id if isinstance(dyno, Dyno) else dyno,
            "tty": tty,
            "marker": marker,
            "who": {**WHO, "account": account},
        }
        return signing.sign(payload, key=KEY, purpose="attach", seconds=seconds)

    def url(self, dyno: Dyno, **more: Any) -> str:
        return f"rendezvous://localhost:{self.port}/{self.token(dyno, **more)}"

    def connect(self, first: bytes) -> Client:
        return Client(self.port, self.ca, first)

    def join(self, dyno: Dyno, **more: Any) -> Client:
        """Like the Heroku CLI: send the token and a line end; the first record is then the server's hello."""
        client = self.connect(self.token(dyno, **more).encode() + b"\r\n")
        assert client.record() == b"rendezvous\r\n"
        return client


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rendezvous]:
    it = Rendezvous(tmp_path_factory.mktemp("hall"))
    yield it
    it.close()


def read_all(sock: socket.socket) -> bytes:
    """Everything until the end of input."""
    data = bytearray()
    while piece := sock.recv(65536):
        data += piece
    return bytes(data)
