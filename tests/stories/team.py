"""A team's actions on an installation: real git, the real command, real HTTP."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from greenroom.basics import postgres_programs

SAMPLE = Path(__file__).parent.parent.parent / "samples" / "payslip"
SECRET = "only-for-stories-0123456789-0123456789-0123456789"


_taken: list[int] = []
"""Locks of the port blocks that this process has reserved; they last as long as the process."""


def free_ports(count: int) -> int:
    """The first of ``count`` consecutive free TCP ports on 127.0.0.1, reserved from other processes of the suite."""
    folder = Path(tempfile.gettempdir()) / f"greenroom-ports-{os.geteuid()}"
    folder.mkdir(exist_ok=True)
    for start in range(21000, 32000, count):  # below the kernel's ephemeral ports
        lock = os.open(folder / f"{start}-{count}", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            continue
        if all(_is_free(port) for port in range(start, start + count)):
            _taken.append(lock)
            return start
        os.close(lock)
    raise RuntimeError("no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) != 0


@dataclass
class Installation:
    """One home with its ports."""

    home: Path
    greenroom: Path
    api_port: int = field(default_factory=lambda: free_ports(10))
    extra_env: dict[str, str] = field(default_factory=dict)
    proxied: bool = False
    """Whether it has the proxy for the Heroku CLI's fixed host names, on ``api_port + 8``."""

    @property
    def http_port(self) -> int:
        return self.api_port + 6

    @property
    def token(self) -> str:
        return (self.home / "keys" / "admin.token").read_text().strip()

    @property
    def env(self) -> dict[str, str]:
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(("HEROKU_", "GREENROOM_", "GIT_", "DJANGO_", "DATABASE_", "SECRET_"))
        }
        kept.pop("PYTHONDONTWRITEBYTECODE", None)
        extra = {
            "GREENROOM_HOME": str(self.home),
            "GREENROOM_POSTGRES_BIN": self.extra_env.get(
                "GREENROOM_POSTGRES_BIN", str(postgres_programs.folder("postgres"))
            ),
            "GREENROOM_ACCOUNT_RATE": "100000/6000",  # tests poll ten times a second
            "GREENROOM_WATCH_SECONDS": self.extra_env.get("GREENROOM_WATCH_SECONDS", "1"),
            "PATH": f"{self.greenroom.parent}:{os.environ['PATH']}",
        }
        return (
            kept
            | self.extra_env
            | extra
            | {
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_AUTHOR_NAME": "Alice",
                "GIT_AUTHOR_EMAIL": "alice@example.com",
                "GIT_COMMITTER_NAME": "Alice",
                "GIT_COMMITTER_EMAIL": "alice@example.com",
            }
        )

    def up(self) -> None:
        ports = ["--api-port", self.api_port, "--http-port", self.http_port, "--https-port", self.api_port + 7]
        proxy = ["--proxy-port", self.api_port + 8] if self.proxied else []
        self.run("up", "--home", self.home, "--detach", *ports, *proxy, timeout=120)

    def down(self) -> None:
        self.run("down", "--home", self.home, timeout=90, check=False)

    def run(
        self, *words: object, stdin: str = "", cwd: Path | None = None, check: bool = True, timeout: float = 180
    ) -> subprocess.CompletedProcess:
        """The real ``greenroom`` command, by default in no git repository: ``create`` would change its remotes."""
        argv = [str(self.greenroom), *map(str, words)]
        result = subprocess.run(
            argv,
            input=stdin,
            capture_output=True,
            text=True,
            env=self.env,
            cwd=cwd or self.home.parent,
            timeout=timeout,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(
                f"{argv} ended with {result.returncode}\n{result.stdout}\n{result.stderr}\n{self.trouble()}"
            )
        return result

    def trouble(self) -> str:
        """The ends of the component logs, for a failed story."""
        parts = []
        for path in sorted((self.home / "logs").glob("*.log")):
            parts.append(f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:]))
        return "\n".join(parts)

    def api(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.api_port, timeout=60)
        headers = {"Authorization": f"Bearer {token or self.token}", "Content-Type": "application/json"}
        connection.request(method, path, json.dumps(body) if body is not None else None, headers)
        answer = connection.getresponse()
        data = answer.read()
        connection.close()
        if "DJANGO_SETTINGS_MODULE" in os.environ:  # in the suite; benchmarks go without
            from tests import schema

            schema.check(method, path, answer.status, data)
        return answer.status, json.loads(data) if data else None

    def pids(self) -> dict[str, int]:
        rows = json.loads(self.run("status", "--json", check=False).stdout)
        parts = rows["components"] if isinstance(rows, dict) else rows
        return {part["name"]: part["pid"] for part in parts}

    def dyno_pids(self, app_id: str) -> dict[str, int]:
        """Engine id -> pid of the shim, of the app's running web dynos, from the engine's own files; needs no control
        plane.
        """
        found = {}
        for path in (self.home / "run" / "dynos").glob("*/state.json"):
            state = json.loads(path.read_text())
            if state["owner"] == app_id.replace("-", "") and state["phase"] == "running" and state["kind"] == "web":
                found[state["id"]] = state["pid"]
        return found

    def wait_until_up(self, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if self.api("GET", "/health")[0] == 200 and self.run("status", check=False).returncode == 0:
                    return
            except OSError:
                pass
            time.sleep(0.2)
        raise AssertionError(f"the control plane did not come back\n{self.trouble()}")


def live_team(place: Installation, work: Path, name: str, tests: str) -> Team:
    """A team whose first push is live. ``good`` is that commit; ``take_back`` returns to it.

    Its web dynos have one server process each: a second one would take half a second of CPU at every start, in
    roll-outs and rehearsals alike.
    """
    team = Team(place, work, name, tests=tests)
    team.greenroom("config:set", f"SECRET_KEY={SECRET}", "WEB_CONCURRENCY=1")
    team.push()
    team.assert_live()
    team.good = team.sha
    return team


class Team:
    """One app and its checkout."""

    good = ""

    def __init__(self, place: Installation, work: Path, name: str, sample: Path = SAMPLE, tests: str = "") -> None:
        self.place = place
        self.name = name
        self.work = work
        ignore = shutil.ignore_patterns(
            "__pycache__", "*.pyc", "scenarios", ".pytest_cache", "browser_tests", "benchmarks"
        )
        shutil.copytree(sample, work, ignore=ignore)
        if tests:
            self.choose_tests(tests)
            self.write("payroll/tests/test_story.py", '"""Tests that a story adds."""\n')
        self.git("init", "-q", "-b", "master")
        self.commit("The payslip application")
        place.run("create", name, cwd=work)

    def choose_tests(self, command: str) -> None:
        """Use another test command than the sample's own, so that stories about other things do not wait for all its
        tests.
        """
        path = self.work / "app.json"
        data = json.loads(path.read_text())
        data["environments"]["test"]["scripts"]["test"] = command
        path.write_text(json.dumps(data, indent=2))

    def git(self, *words: str, check: bool = True) -> subprocess.CompletedProcess:
        result = subprocess.run(
            ["git", *words], cwd=self.work, env=self.place.env, capture_output=True, text=True, timeout=300, check=False
        )
        if check and result.returncode:
            raise AssertionError(
                f"git {words} ended with {result.returncode}\n{result.stdout}{result.stderr}\n{self.place.trouble()}"
            )
        return result

    @property
    def sha(self) -> str:
        return self.git("rev-parse", "HEAD").stdout.strip()

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.sha

    def write(self, path: str, text: str) -> None:
        target = self.work / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def apply(self, scenario: str) -> None:
        """Change the checkout by one of the sample's scenarios."""
        patch = next((SAMPLE / "scenarios").glob(f"*{scenario}*.patch"))
        self.git("apply", str(patch))
        self.commit(f"Scenario {scenario}")

    def take_back(self) -> None:
        """Restore the content of ``good`` in the checkout, on top of the pushed commits."""
        self.git("read-tree", "--reset", "-u", self.good)
        self.git("clean", "-qfd")

    def push(self, ref: str = "HEAD:master") -> str:
        """Push; returns the pusher's output."""
        result = self.git("push", "greenroom", ref, check=False)
        assert result.returncode == 0, f"{result.stderr}\n{self.place.trouble()}"
        return "\n".join(line.removeprefix("remote: ").rstrip() for line in result.stderr.splitlines())

    def push_in_background(self) -> subprocess.Popen:
        return subprocess.Popen(
            ["git", "push", "greenroom", "HEAD:master"],
            cwd=self.work,
            env=self.place.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def greenroom(self, *words: str, check: bool = True, stdin: str = "") -> subprocess.CompletedProcess:
        command, *rest = words
        return self.place.run(command, "-a", self.name, *rest, check=check, stdin=stdin, cwd=self.work)

    def read(self, *words: str) -> Any:
        return json.loads(self.greenroom(*words, "--json").stdout)

    def set_secret(self) -> None:
        self.greenroom("config:set", f"SECRET_KEY={SECRET}")

    def delivery(self, sha: str = "") -> dict[str, Any]:
        status, rows = self.place.api("GET", f"/apps/{self.name}/deliveries?sha={sha or self.sha}")
        assert status == 200, rows
        return rows[0] if rows else {}

    def wait_until_ended(self, sha: str = "", seconds: float = 120) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            row = self.delivery(sha)
            if row and row["finished_at"]:
                return row
            time.sleep(0.1)
        raise AssertionError(f"the delivery did not end: {row}\n{self.place.trouble()}")

    def wait_for(self, read: Any, holds: Any, seconds: float = 40) -> Any:
        """The first result of ``read`` for which ``holds`` is true."""
        deadline = time.monotonic() + seconds
        while True:
            value = read()
            if holds(value):
                return value
            if time.monotonic() > deadline:
                raise AssertionError(f"did not come true: {value}\n{self.place.trouble()}")
            time.sleep(0.1)

    def wait_for_rehearsal(self, seconds: float = 90) -> dict[str, Any]:
        """The newest rehearsal, once it has ended."""
        return self.wait_for(
            lambda: self.read("migrations")["rehearsal"],
            lambda row: row and row["state"] in ("done", "failed"),
            seconds,
        )

    def get(self, path: str = "/", host: str = "") -> tuple[int, str, dict[str, str]]:
        """One request through the router."""
        connection = http.client.HTTPConnection("127.0.0.1", self.place.http_port, timeout=40)
        connection.request("GET", path, headers={"Host": host or f"{self.name}.localhost"})
        answer = connection.getresponse()
        body = answer.read().decode(errors="replace")
        connection.close()
        return answer.status, body, {key.lower(): value for key, value in answer.getheaders()}

    def assert_live(self, sha: str = "") -> dict[str, Any]:
        row = self.delivery(sha)
        assert row["state"] == "live", f"{row}\n{self.place.trouble()}"
        status, _, headers = self.get("/healthz")
        assert status == 200, (status, headers)
        return row

    def dynos(self) -> list[dict[str, Any]]:
        return self.read("ps")

    def destroy(self) -> None:
        """Destroy the app completely before the next test, even while the control plane restarts after a kill."""
        words = ("destroy", self.name, "--confirm", self.name)
        if self.place.run(*words, check=False).returncode:
            self.place.wait_until_up()
            self.place.run(*words, check=False)
