"""A fresh installation for one run: up, the real command, the API, down. Each command has a time limit."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PRIVATE = ("HEROKU_", "GREENROOM_", "GIT_", "DJANGO_", "DATABASE_", "SECRET_")
WHO = ("Alice", "alice@example.com")


class TryError(Exception):
    """A command of the script failed or took too long."""


@dataclass(frozen=True)
class Ended:
    """Exit code, 124 for a command that was stopped at its time limit, and both outputs together."""

    code: int
    output: str


def say(text: str) -> None:
    """Print a progress line."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def call(argv: Sequence[str], *, cwd: Path, env: Mapping[str, str], limit: float, stdin: str = "") -> Ended:
    """Run a command without a shell."""
    try:
        done = subprocess.run(
            list(argv), cwd=cwd, env=dict(env), input=stdin, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, errors="replace", timeout=limit, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as late:
        text = late.output or b""
        said = text.decode(errors="replace") if isinstance(text, bytes) else text
        return Ended(124, f"{said}\n{' '.join(argv[:4])} took more than {limit:.0f} s")
    return Ended(done.returncode, done.stdout)


def free_ports(count: int) -> int:
    """The first of ``count`` consecutive free ports on 127.0.0.1, below the kernel's ephemeral ports."""
    for start in range(15000, 32000, count):
        if all(_is_free(port) for port in range(start, start + count)):
            return start
    raise TryError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


@dataclass
class Installation:
    """One home, its ports and its ``greenroom`` command."""

    home: Path
    greenroom: Path
    api_port: int = field(default_factory=lambda: free_ports(10))

    @property
    def http_port(self) -> int:
        return self.api_port + 6

    @property
    def https_port(self) -> int:
        return self.api_port + 7

    @property
    def env(self) -> dict[str, str]:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(PRIVATE)}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        who = {
            f"GIT_{role}_{what}": value
            for role in ("AUTHOR", "COMMITTER")
            for what, value in zip(("NAME", "EMAIL"), WHO, strict=True)
        }
        path = f"{self.greenroom.parent}{os.pathsep}{os.environ['PATH']}"
        return kept | who | {"GREENROOM_HOME": str(self.home), "PATH": path, "GIT_TERMINAL_PROMPT": "0"}

    def up(self) -> None:
        ports = ["--api-port", self.api_port, "--http-port", self.http_port, "--https-port", self.https_port]
        ended = self.run("up", "--home", self.home, "--detach", *ports, limit=180)
        if ended.code:
            raise TryError(f"Greenroom did not start:\n{ended.output}")

    def down(self) -> None:
        self.run("down", "--home", self.home, limit=120)

    def run(self, *words: object, cwd: Path | None = None, limit: float = 120, stdin: str = "") -> Ended:
        """The real ``greenroom`` command."""
        argv = [str(self.greenroom), *map(str, words)]
        return call(argv, cwd=cwd or self.home.parent, env=self.env, limit=limit, stdin=stdin)

    def api(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """(status, JSON) of one request as the administrator."""
        token = (self.home / "keys" / "admin.token").read_text().strip()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=60)
        try:
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            data = answer.read()
        finally:
            connection.close()
        return answer.status, json.loads(data) if data else None

    def deliveries(self, app: str, sha: str = "") -> list[dict[str, Any]]:
        """Deliveries of an app, newest first; of one commit if ``sha`` is given."""
        status, rows = self.api("GET", f"/apps/{app}/deliveries" + (f"?sha={sha}" if sha else ""))
        if status != 200:
            raise TryError(f"GET /apps/{app}/deliveries answered {status}: {rows}")
        return rows

    def wait(
        self, read: Callable[[], dict[str, Any] | None], holds: Callable[[dict[str, Any]], bool], seconds: float
    ) -> dict[str, Any] | None:
        """The first result of ``read`` for which ``holds`` is true, else the last result."""
        deadline = time.monotonic() + seconds
        while True:
            value = read()
            if (value is not None and holds(value)) or time.monotonic() > deadline:
                return value
            time.sleep(0.5)
