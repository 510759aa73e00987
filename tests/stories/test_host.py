"""Tests of the host: refusals in one line, recovery from the death of each component, and an external database."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import postgres
from tests.stories.team import Installation, Team

BIN = Path(sys.executable).parent
COMPONENTS = ("postgres", "supervisor", "caddy", "web", "worker")
APP = {
    "Procfile": "web: python app.py\n",
    "requirements.txt": "",
    ".python-version": "3.11\n",
    "app.json": json.dumps({"environments": {"test": {"scripts": {"test": "python -c pass"}}}}),
    "app.py": """import http.server, os
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers(); self.wfile.write(b'here')
    def log_message(self, *words): pass
http.server.ThreadingHTTPServer(('', int(os.environ['PORT'])), Page).serve_forever()
""",
}


@contextlib.contextmanager
def own_installation() -> Iterator[Installation]:
    """An installation besides the suite's, not yet started."""
    folder = Path(tempfile.mkdtemp(prefix="greenroom-host-"))
    folder.chmod(0o755)
    made = Installation(home=folder / "home", greenroom=BIN / "greenroom")
    try:
        yield made
    finally:
        made.down()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def place() -> Iterator[Installation]:
    """The test's own installation, not yet started."""
    with own_installation() as made:
        yield made


@pytest.fixture(scope="module")
def sturdy(tmp_path_factory) -> Iterator[Team]:
    """A small live app on an installation whose components the tests kill; each test leaves all of it running, except
    the last one.
    """
    with own_installation() as made:
        made.up()
        team = small_team(made, tmp_path_factory.mktemp("sturdy"), "sturdy")
        output = team.push()
        assert team.delivery()["state"] == "live", output
        yield team


def refusal(place: Installation, *words: object) -> str:
    """The error line and the hint of a command that is refused."""
    result = place.run(*words, check=False)
    assert result.returncode == 1, result.stdout + result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) <= 2, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def ports(place: Installation) -> list[object]:
    return ["--api-port", place.api_port, "--http-port", place.http_port, "--https-port", place.api_port + 7]


def test_a_second_up_a_taken_port_and_a_server_without_its_variables_are_one_line_each(place):
    with socket.socket() as other:
        other.bind(("127.0.0.1", place.http_port))
        other.listen()
        said = refusal(place, "up", "--home", place.home, "--detach", *ports(place))
        assert f"Port {place.http_port} on 127.0.0.1 is in use" in said
        assert "--http-port" in said
    assert "DATABASE_URL is not set" in refusal(place, "up", "--home", place.home, "--detach", "--server")
    assert not (place.home / "postgres").exists()
    place.up()
    assert "Greenroom is already up" in refusal(place, "up", "--home", place.home, "--detach")
    place.down()
    place.extra_env = {"DATABASE_URL": "postgres://a:b@127.0.0.1:1/c"}
    assert "embedded PostgreSQL" in refusal(place, "up", "--home", place.home, "--detach")


def small_team(place: Installation, folder: Path, name: str) -> Team:
    """A small app that needs no database tables."""
    sample = folder / "sample"
    sample.mkdir(parents=True)
    for path, text in APP.items():
        (sample / path).write_text(text)
    return Team(place, folder / "work", name, sample=sample)


def test_each_component_may_die_and_the_app_goes_on(sturdy):
    team, place = sturdy, sturdy.place
    app_id = place.api("GET", "/apps/sturdy")[1]["id"]
    serving = place.dyno_pids(app_id)
    assert serving
    for name in COMPONENTS:
        before = place.pids()
        os.kill(before[name], signal.SIGKILL)
        if name != "caddy":
            assert team.get("/")[:2] == (200, "here")
        place.wait_until_up()
        after = place.pids()
        changed = {key for key in before if before[key] != after[key]}
        assert changed == {name}, (name, before, after)
        team.wait_for(lambda: team.get("/")[1], lambda body: body == "here")
        assert place.dyno_pids(app_id) == serving, name
    team.write("more.txt", "and it still delivers\n")
    team.commit("After all of them died")
    team.push()
    assert team.delivery()["state"] == "live"


def test_the_hosts_own_death_is_noticed_and_the_next_up_adopts_everything(sturdy):
    """The last test: stops the installation."""
    team, place = sturdy, sturdy.place
    app_id = place.api("GET", "/apps/sturdy")[1]["id"]
    before, serving = place.pids(), place.dyno_pids(app_id)
    os.kill(before["host"], signal.SIGKILL)
    for path in (place.home / "run").glob("*.pid"):
        path.unlink()  # as after a full disk: running components are known by their locks
    assert team.get("/")[:2] == (200, "here")
    shown = place.run("status", "--json", check=False)
    assert shown.returncode == 1
    assert {row["name"] for row in json.loads(shown.stdout)["components"] if row["state"] == "down"} == {"host"}
    place.up()
    after = place.pids()
    assert {key for key in before if before[key] != after[key]} == {"host"}
    assert place.dyno_pids(app_id) == serving
    place.run("down", "--home", place.home)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and any(
        Path(f"/proc/{pid}").exists() for pid in [*after.values(), *serving.values()]
    ):
        time.sleep(0.1)
    assert not [pid for pid in [*after.values(), *serving.values()] if Path(f"/proc/{pid}").exists()]


def test_an_external_postgresql_serves_the_control_plane_and_the_apps(place, tmp_path):
    place.extra_env = {"DATABASE_URL": postgres.start(), "SECRET_KEY": "x" * 50}
    place.run("up", "--home", place.home, "--detach", "--server", *ports(place))
    assert "postgres" not in place.pids()
    team = Team(place, tmp_path / "work", "elsewhere", tests="python manage.py test accounts")
    team.set_secret()
    team.push()
    team.assert_live()
    assert "No migrations to apply" not in team.greenroom("run", "python", "manage.py", "migrate").stdout
    team.wait_for(lambda: team.read("migrations")["pending"], lambda pending: pending == [])
    assert team.get("/readyz")[0] == 200
    place.down()
    place.extra_env = {}
    assert "external PostgreSQL" in refusal(place, "up", "--home", place.home, "--detach")


def test_status_doctor_and_env_say_what_a_person_and_a_script_need(installation):
    place = installation
    status = json.loads(place.run("status", "--json").stdout)
    assert status["up"] is True
    assert {row["name"] for row in status["components"]} == {"host", *COMPONENTS}
    assert all(row["memory_kb"] > 0 for row in status["components"])
    findings = json.loads(place.run("doctor", "--json").stdout)
    rows = findings["findings"] if isinstance(findings, dict) else findings
    assert {"python", "sandbox", "git", "uv", "postgres"} <= {row["name"] for row in rows}
    assert not [row for row in rows if row["level"] == "fail"]
    values = json.loads(place.run("env", "--json").stdout)
    assert values["HEROKU_HOST"] == f"https://localhost:{place.api_port + 1}"
    assert values["HEROKU_API_KEY"] == place.token
    assert "would send your token to api.heroku.com" in refusal(place, "env", "--host", "staging.example.com")
