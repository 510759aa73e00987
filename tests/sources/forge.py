"""A small forge on this machine: bare repositories over git's smart HTTP by git's own http-backend, and an API that
records its requests.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "HOME": "/nonexistent",
    "GIT_AUTHOR_NAME": "Alice",
    "GIT_AUTHOR_EMAIL": "alice@example.com",
    "GIT_COMMITTER_NAME": "Alice",
    "GIT_COMMITTER_EMAIL": "alice@example.com",
}


class Forge:
    """``asked``: (method, path, headers, body) of each request. password: required by git and the API, none if empty.
    mode: smart, dumb (files alone) or redirect. answer: the response of the API and the LFS server, ``(method, path,
    body) -> (status, body)``.
    """

    def __init__(self, root: Path, port: int) -> None:
        self.root, self.port = root, port
        self.url = f"http://127.0.0.1:{port}"
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []
        self.password = ""
        self.mode = "smart"
        self.answer: Callable[[str, str, Any], tuple[int, Any]] = lambda method, path, body: (201, {"id": 1})

    def api(self) -> list[tuple[str, str, Any]]:
        """(method, path, JSON) of the API's requests."""
        rows = [row for row in self.asked if ".git/" not in row[1]]
        return [(method, path, json.loads(body) if body else None) for method, path, _, body in rows]


class Repo:
    """A checkout that pushes to the forge's bare repository ``name``."""

    def __init__(self, forge: Forge, name: str = "team/shop") -> None:
        self.bare, self.work = forge.root / f"{name}.git", forge.root / f"{name}-work"
        self.url = f"{forge.url}/{name}.git"
        self.work.mkdir(parents=True)
        self.git("init", "-q", "-b", "master")
        subprocess.run(["git", "init", "-q", "--bare", "-b", "master", str(self.bare)], check=True, env=ENV)

    def git(self, *words: str, stdin: bytes = b"", check: bool = True) -> str:
        done = subprocess.run(["git", *words], cwd=self.work, env=ENV, input=stdin, capture_output=True, check=False)
        assert done.returncode == 0 or not check, done.stderr.decode()
        return done.stdout.decode().strip()

    def commit(self, subject: str = "change", push: str = "master", **files: str) -> str:
        for name, text in (files or {"app.py": f"# {subject}\n"}).items():
            (self.work / name.replace("__", ".")).write_text(text)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", subject)
        return self.push(push)

    def push(self, branch: str = "master", commit: str = "HEAD") -> str:
        self.git("push", "-q", "--force", str(self.bare), f"{commit}:refs/heads/{branch}")
        subprocess.run(["git", "-C", str(self.bare), "update-server-info"], check=True, env=ENV)
        return self.git("rev-parse", commit)


class Handler(BaseHTTPRequestHandler):
    """The responses of the forge ``made``."""

    made: Forge
    protocol_version = "HTTP/1.1"

    def handle_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.headers.get("Transfer-Encoding") == "chunked":
            body = b"".join(iter(self.chunk, b""))
        self.made.asked.append((self.command, self.path, dict(self.headers), body))
        if ".git/" in self.path and "/info/lfs/" not in self.path:
            self.repository(body)
        else:
            status, data = self.made.answer(self.command, self.path, json.loads(body) if body else None)
            text = data if isinstance(data, bytes) else json.dumps(data).encode()
            self.reply(status, [("Content-Type", "application/json")], text)

    do_GET = do_POST = do_PUT = handle_any

    def chunk(self) -> bytes:
        size = int(self.rfile.readline(), 16)
        return self.rfile.read(size + 2)[:-2]

    def repository(self, body: bytes) -> None:
        path, _, query = self.path.partition("?")
        kind, _, rest = self.headers.get("Authorization", "").partition(" ")
        if self.made.password and (
            kind != "Basic" or base64.b64decode(rest).decode().partition(":")[2] != self.made.password
        ):
            return self.reply(401, [("WWW-Authenticate", 'Basic realm="forge"')], b"")
        if self.made.mode == "redirect":
            return self.reply(302, [("Location", f"http://localhost:{self.made.port}{self.path}")], b"")
        if self.made.mode == "dumb":
            file = self.made.root / path.lstrip("/")
            return self.reply(
                200 if file.is_file() else 404,
                [("Content-Type", "text/plain")],
                file.read_bytes() if file.is_file() else b"",
            )
        env = {
            **ENV,
            "GIT_PROJECT_ROOT": str(self.made.root),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "GIT_PROTOCOL": self.headers.get("Git-Protocol", ""),
            "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding", ""),
        }
        out = subprocess.run(["git", "http-backend"], env=env, input=body, capture_output=True, check=False).stdout
        head, _, rest_of = out.partition(b"\r\n\r\n")
        fields = [tuple(line.split(": ", 1)) for line in head.decode().split("\r\n")]
        status = next((int(value[:3]) for name, value in fields if name == "Status"), 200)
        self.reply(status, [(name, value) for name, value in fields if name != "Status"], rest_of)

    def reply(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        for name, value in [*headers, ("Content-Length", str(len(body)))]:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: object) -> None:
        return


@contextmanager
def forging(root: Path) -> Iterator[Forge]:
    """A forge on a free port, with its repositories below ``root``."""
    handler = type("Here", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    made = handler.made = Forge(root, server.server_address[1])
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
