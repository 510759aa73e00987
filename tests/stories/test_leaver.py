"""Somebody leaves: what the account has open ends, and nothing of it can be used again."""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.stories.test_host import small_team

EMAIL = "bob@example.com"


@pytest.fixture
def team(installation, tmp_path):
    team = small_team(installation, tmp_path, "s-leaver")
    team.push()
    yield team
    team.destroy()


class Watched:
    """A thing that is open; ``ended`` is the moment of its end."""

    def __init__(self, wait: Callable[[], object]) -> None:
        self.ended = 0.0
        self.thread = threading.Thread(target=self._run, args=(wait,), daemon=True)
        self.thread.start()

    def _run(self, wait: Callable[[], object]) -> None:
        wait()
        self.ended = time.monotonic()

    def join(self) -> float:
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.ended


def log_stream(team, token: str) -> Callable[[], object]:
    """A tail of the app's log, until its end. Returns after its first line."""
    status, session = team.place.api("POST", f"/apps/{team.name}/log-sessions", {"tail": True, "lines": 1}, token)
    assert status == 201
    url = urlsplit(session["logplex_url"])
    connection = http.client.HTTPConnection(url.netloc, timeout=60)
    connection.request("GET", f"{url.path}?{url.query}")
    answer = connection.getresponse()
    assert answer.status == 200
    assert answer.readline()

    def rest() -> None:
        with contextlib.suppress(http.client.HTTPException, OSError):
            answer.read()

    return rest


def open_push(team, token: str) -> Callable[[], object]:
    """A push whose pack never comes, until the server ends it."""
    connection = http.client.HTTPConnection("127.0.0.1", team.place.api_port, timeout=60)
    basic = base64.b64encode(f"greenroom:{token}".encode()).decode()
    connection.putrequest("POST", f"/{team.name}.git/git-receive-pack")
    for name, value in {
        "Authorization": f"Basic {basic}",
        "Content-Type": "application/x-git-receive-pack-request",
        "Transfer-Encoding": "chunked",
    }.items():
        connection.putheader(name, value)
    line = f"{'0' * 40} {team.sha} refs/heads/later\0 report-status".encode()
    packet = f"{len(line) + 4:04x}".encode() + line
    connection.endheaders()
    connection.send(f"{len(packet):x}\r\n".encode() + packet + b"\r\n")
    return connection.getresponse


def attached(team, env: dict[str, str]) -> subprocess.Popen:
    """A command that prints its beginning and would not end by itself, nor by SIGTERM."""
    script = "import signal, time; signal.signal(15, signal.SIG_IGN); print('begun', flush=True); time.sleep(600)"
    words = [str(team.place.greenroom), "run", "-a", team.name, "--", "python", "-c", script]
    child = subprocess.Popen(
        words, env=env, cwd=team.work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout
    while (line := child.stdout.readline()) and "begun" not in line:
        pass
    assert "begun" in line, child.stderr.read()
    return child


def test_what_a_leaver_has_open_ends_and_cannot_be_used_again(team, record_property):
    place = team.place
    token = place.run("accounts:create", EMAIL).stdout.strip()
    place.run("access:add", EMAIL, "--role", "developer", "-a", team.name)
    url, ca = f"http://127.0.0.1:{place.api_port}", str(place.home / "keys" / "ca.pem")
    env = place.env | {"GREENROOM_URL": url, "GREENROOM_TOKEN": token, "GREENROOM_CA": ca}
    child = attached(team, env)
    open_things = {
        "log stream": Watched(log_stream(team, token)),
        "attached client": Watched(child.wait),
        "push in progress": Watched(open_push(team, token)),
    }
    assert place.api("GET", "/account", token=token)[0] == 200
    team.wait_for(lambda: git_processes(place), bool)
    assert one_offs(team)
    began = time.monotonic()
    assert place.api("POST", f"/accounts/{EMAIL}/actions/disable")[0] == 200
    assert place.api("GET", "/account", token=token)[0] == 401
    spent = {"token": time.monotonic() - began}
    spent |= {name: it.join() - began for name, it in open_things.items()}
    assert child.returncode != 0
    team.wait_for(lambda: one_offs(team), lambda rows: not rows)
    spent["attached dyno"] = time.monotonic() - began
    remote = f"http://greenroom:{token}@127.0.0.1:{place.api_port}/{team.name}.git"
    assert team.git("ls-remote", remote, check=False).returncode != 0
    record_property("seconds", json.dumps({name: round(value, 2) for name, value in spent.items()}))
    print("seconds", spent)
    assert "later" not in team.git("ls-remote", "greenroom").stdout
    place.run("accounts:delete", EMAIL, "--confirm", EMAIL)
    assert EMAIL not in place.run("accounts").stdout
    assert EMAIL in place.run("audit", "--json").stdout


def one_offs(team) -> list[str]:
    """The running one-off dynos of the home, by the engine's own files."""
    states = [json.loads(path.read_text()) for path in (team.place.home / "run" / "dynos").glob("*/state.json")]
    return [it["id"] for it in states if it["kind"] == "run" and it["phase"] == "running"]


def git_processes(place) -> list[str]:
    """The receive-pack processes of this home."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = path.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"receive-pack" in words and any(word.startswith(str(place.home).encode()) for word in words):
            found.append(path.parent.name)
    return found
