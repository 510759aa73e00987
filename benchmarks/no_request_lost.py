"""Counts failed requests while an app is deployed, scaled, restarted, rolled back and reconfigured.

Starts an installation in a temporary home, a small app on a standard library server that keeps its listener open and
dies at SIGTERM (``--server gunicorn``: on gunicorn), and clients: keep-alive, new connections, uploads with verified
digests, slow responses, streams and websockets. Meanwhile another app is created and destroyed. Exits with 1 if a
request failed.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import collections
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.stories.team import Installation

APP = Path(__file__).resolve().parent / "no_request_lost_app.py"
CYCLE = (
    "deploy",
    "config",
    "scale 3",
    "restart",
    "scale 1",
    "restart web.1",
    "another app",
    "rollback",
    "scale 2",
    "scale 1",
)


class Wrong(Exception):  # noqa: N818
    """An incorrect response."""


class Load:
    """The clients, in one thread with its own event loop. ``good`` and ``bad`` count requests by kind."""

    def __init__(self, port: int, host: str, websockets: bool) -> None:
        self.port, self.host = port, host
        self.good: collections.Counter[str] = collections.Counter()
        self.bad: list[tuple[float, str, str]] = []
        self.stopping = False
        kinds = {"keep-alive": 10, "new": 6, "upload": 3, "slow": 3, "stream": 2} | (
            {"websocket": 3} if websockets else {}
        )
        self.clients = [kind for kind, count in kinds.items() for _ in range(count)]
        self.thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    async def _all(self) -> None:
        await asyncio.gather(*(self._client(kind) for kind in self.clients))

    async def _client(self, kind: str) -> None:
        kept: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        while not self.stopping:
            began = time.time()
            try:
                await asyncio.wait_for(getattr(self, "_" + kind.replace("-", "_"))(kept), 60)
                self.good[kind] += 1
            except (OSError, EOFError, ValueError, Wrong, TimeoutError) as error:
                self.bad.append((began, kind, f"{type(error).__name__} {error} after {time.time() - began:.1f} s"))
                while kept:
                    kept.pop()[1].close()
            await asyncio.sleep(0.01 if kind in ("keep-alive", "new") else 0.1)

    async def _open(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def _head(self, method: str, path: str, *more: str) -> bytes:
        return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: {self.host}", *more, "", ""]).encode()

    async def _answer(self, reader: asyncio.StreamReader) -> bytes:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
        if head[0].split(" ")[1] != "200":
            raise Wrong(f"{head[0]} {fields.get('greenroom-error', '')}")
        if fields.get("transfer-encoding") != "chunked":
            return await reader.readexactly(int(fields["content-length"]))
        body = b""
        while size := int(await reader.readline(), 16):
            body += (await reader.readexactly(size + 2))[:-2]
        await reader.readline()
        return body

    async def _once(self, request: bytes) -> bytes:
        reader, writer = await self._open()
        try:
            writer.write(request)
            await writer.drain()
            return await self._answer(reader)
        finally:
            writer.close()

    async def _keep_alive(self, kept: list) -> None:
        if not kept:
            kept.append(await self._open())
        reader, writer = kept[0]
        writer.write(self._head("GET", "/"))
        await writer.drain()
        await self._answer(reader)

    async def _new(self, kept: list) -> None:
        await self._once(self._head("GET", "/", "Connection: close"))

    async def _slow(self, kept: list) -> None:
        await self._once(self._head("GET", "/slow", "Connection: close"))

    async def _stream(self, kept: list) -> None:
        body = await self._once(self._head("GET", "/stream", "Connection: close"))
        if not body.endswith(b"END"):
            raise Wrong("the stream is incomplete")

    async def _upload(self, kept: list) -> None:
        body = os.urandom(200_000)
        reader, writer = await self._open()
        try:
            writer.write(self._head("POST", "/digest", f"Content-Length: {len(body)}", "Connection: close"))
            for start in range(0, len(body), 50_000):
                writer.write(body[start : start + 50_000])
                await writer.drain()
                await asyncio.sleep(0.5)
            if await self._answer(reader) != hashlib.sha256(body).hexdigest().encode():
                raise Wrong("the digest differs")
        finally:
            writer.close()

    async def _websocket(self, kept: list) -> None:
        reader, writer = await self._open()
        key = base64.b64encode(os.urandom(16)).decode()
        try:
            writer.write(
                self._head(
                    "GET",
                    "/ws",
                    "Connection: Upgrade",
                    "Upgrade: websocket",
                    "Sec-WebSocket-Version: 13",
                    f"Sec-WebSocket-Key: {key}",
                )
            )
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 101 " not in head.split(b"\r\n")[0]:
                raise Wrong(head.split(b"\r\n")[0].decode())
            for _ in range(16):
                writer.write(bytes([0x82, 0x84, 0, 0, 0, 0]) + b"ping")
                if await reader.readexactly(6) != b"\x82\x04ping":
                    raise Wrong("the websocket was closed")
                await asyncio.sleep(0.5)
        finally:
            writer.close()


class Operator:
    """Executes the operations one after another."""

    def __init__(self, place: Installation, work: Path, server: str) -> None:
        self.place, self.work, self.name, self.count = place, work, f"lost-{server}", 0
        self.home_app = "python app.py" if server == "stdlib" else "gunicorn --bind 0.0.0.0:$PORT --threads 8 app:wsgi"
        work.mkdir()
        files = {
            "app.py": APP.read_text(),
            "requirements.txt": "gunicorn==23.0.0\n" if server == "gunicorn" else "",
            "Procfile": f"web: {self.home_app}\n",
            ".python-version": f"3.{sys.version_info.minor}\n",
            "app.json": json.dumps({"environments": {"test": {"scripts": {"test": "true"}}}}),
        }
        for name, text in files.items():
            (work / name).write_text(text)
        self._git("init", "-q", "-b", "master")
        place.run("create", self.name, cwd=work)

    def _git(self, *words: str) -> None:
        done = subprocess.run(
            ["git", *words], cwd=self.work, env=self.place.env, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise SystemExit(f"git {words}: {done.stderr}")

    def _greenroom(self, command: str, *words: str) -> None:
        done = self.place.run(command, "-a", self.name, *words, cwd=self.work, check=False)
        if done.returncode:
            print(
                f"  greenroom {command} {words} ended with {done.returncode}: {done.stderr.strip()[:300]}", flush=True
            )

    def deploy(self) -> None:
        self.count += 1
        (self.work / "version.txt").write_text(f"{self.count}\n")
        self._git("add", "-A")
        self._git("commit", "-q", "-m", f"Deployment {self.count}")
        self._git("push", "-q", "greenroom", "HEAD:master")
        self.settle()

    def take(self, operation: str) -> None:
        self.count += 1
        word, _, rest = operation.partition(" ")
        if operation == "deploy":
            self._greenroom("deploy:resume")
            self.deploy()
        elif operation == "another app":
            self.place.run("create", f"other-{self.count}")
            time.sleep(3)
            self.place.run("destroy", f"other-{self.count}", "--confirm", f"other-{self.count}")
        elif word == "config":
            self._greenroom("config:set", f"NUMBER={self.count}")
        elif word == "scale":
            self._greenroom("ps:scale", f"web={rest}")
        elif word == "restart":
            self._greenroom("ps:restart", *([rest] if rest else []))
        elif word == "rollback":
            self._greenroom("rollback")
        time.sleep(1.5)
        self.settle()

    def settle(self, seconds: float = 120) -> None:
        """Wait until every delivery has ended and all remaining dynos are up."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            open_ = [row for row in self.place.api("GET", f"/apps/{self.name}/deliveries")[1] if not row["finished_at"]]
            states = [
                row["state"] for row in self.place.api("GET", f"/apps/{self.name}/dynos")[1] if row["type"] == "web"
            ]
            if not open_ and states and set(states) == {"up"}:
                return
            time.sleep(0.3)
        print(f"  not settled after {seconds:.0f} s: {open_} {states}", flush=True)


def measure(place: Installation, work: Path, server: str, requests: int, operations: int) -> bool:
    operator = Operator(place, work, server)
    operator.deploy()
    load = Load(place.http_port, f"{operator.name}.localhost", websockets=server == "stdlib")
    began = time.time()
    load.thread.start()
    for number in range(operations):
        operation, start = CYCLE[number % len(CYCLE)], time.time()
        operator.take(operation)
        while sum(load.good.values()) < requests * (number + 1) / operations and time.time() - start < 120:
            time.sleep(0.1)
        print(
            f"{start - began:7.1f} s  {operation:14} {time.time() - start:5.1f} s  {sum(load.good.values())} good,"
            f" {len(load.bad)} bad",
            flush=True,
        )
    while sum(load.good.values()) < requests and time.time() - began < 3000:
        time.sleep(0.5)
    load.stopping = True
    load.thread.join()
    for kind in sorted(set(load.clients)):
        print(f"  {kind:12} {load.good[kind]:7} good {sum(one[1] == kind for one in load.bad):5} failed")
    for moment, kind, text in load.bad[:40]:
        print(f"  failed at {moment - began:.1f} s: {kind}: {text}")
    total = sum(load.good.values()) + len(load.bad)
    print(
        f"{server}: {total} requests over {operations} operations in {time.time() - began:.0f} s: {len(load.bad)}"
        " failed",
        flush=True,
    )
    return not load.bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", choices=("stdlib", "gunicorn"), action="append")
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--operations", type=int, default=20)
    parser.add_argument("--api-port", type=int)
    asked = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="greenroom-lost-"))
    folder.chmod(0o755)
    ports = {"api_port": asked.api_port} if asked.api_port else {}
    place = Installation(folder / "home", Path(sys.executable).parent / "greenroom", **ports)
    try:
        place.up()
        return (
            0
            if all(
                [
                    measure(place, folder / name, name, asked.requests, asked.operations)
                    for name in asked.server or ["stdlib", "gunicorn"]
                ]
            )
            else 1
        )
    finally:
        place.down()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
