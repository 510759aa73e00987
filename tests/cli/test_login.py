"""Sign-ins that the command keeps, and which of them a command uses."""

from __future__ import annotations

import base64
import json
import os
import stat
from pathlib import Path

import pytest

from greenroom_cli import login, logins
from greenroom_cli.errors import CliError
from tests.at_once import all_at_once
from tests.cli.conftest import git
from tests.cli.fake import FakeGreenroom, Reply
from tests.cli.rows import APP


def kept(tmp_path) -> dict:
    return json.loads((tmp_path / ".config" / "greenroom" / "logins.json").read_text())


def sign_in(greenroom, server, *words):
    return greenroom("login", server.url, "--token-file", "-", *words, stdin="grm_alice\n")


@pytest.fixture
def other():
    fake = FakeGreenroom()
    yield fake
    fake.close()


def test_a_token_from_stdin_is_verified_and_kept_for_this_user_alone(server, greenroom, tmp_path):
    result = sign_in(greenroom, server)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"Signed in to {server.url} as alice@example.com\n"
    path = tmp_path / ".config" / "greenroom" / "logins.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert kept(tmp_path)["logins"] == {
        f"127.0.0.1-{server.port}": {
            "url": server.url,
            "email": "alice@example.com",
            "token": "grm_alice",
            "own": False,
            "ca": "",
        }
    }
    assert "grm_alice" not in result.output
    result = greenroom("whoami")
    assert (result.exit_code, result.stdout) == (0, "alice@example.com\n")
    assert f"at {server.url}, with the token from the sign-in" in result.stderr


def test_a_token_that_the_installation_does_not_accept_is_not_kept(server, greenroom, tmp_path):
    server.on("GET", "/account", Reply({"id": "unauthorized", "message": "Missing or invalid."}, 401))
    result = sign_in(greenroom, server)
    assert result.exit_code == 1
    assert f"{server.url} does not accept this token" in result.stderr
    assert "greenroom accounts:token EMAIL" in result.stderr
    assert not (tmp_path / ".config" / "greenroom" / "logins.json").exists()


def test_the_password_is_asked_for_and_neither_kept_nor_shown(server, greenroom, tmp_path, monkeypatch):
    monkeypatch.setattr("getpass.getpass", lambda *_: "four random words")
    monkeypatch.setattr(login, "sys", Terminal())
    token = {"access_token": {"token": "grm_fresh"}}
    server.on("POST", "/oauth/authorizations", Reply(token, 201))
    result = greenroom("login", server.url, "--email", "alice@example.com", "--name", "staging")
    assert result.exit_code == 0, result.stderr
    asked = server.asked("POST")[0]
    assert base64.b64decode(asked.headers["authorization"].split()[1]) == b"alice@example.com:four random words"
    assert asked.body["expires_in"] == 30 * 24 * 3600
    assert kept(tmp_path)["logins"]["staging"]["token"] == "grm_fresh"
    assert "four random words" not in json.dumps(kept(tmp_path)) + result.output


class Terminal:
    """``sys`` with a terminal as stdin."""

    platform = "linux"

    class stdin:  # noqa: N801
        isatty = staticmethod(lambda: True)


def test_the_browser_gets_a_page_and_the_command_its_token(server, greenroom, tmp_path, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    begun = {"browser_url": "/auth/browser/SECRET", "cli_url": "/auth/cli/7", "token": "command-secret"}
    server.on("POST", "/auth", Reply(begun, 201))
    server.on("GET", "/auth/cli/7", Reply({"access_token": "grm_page"}))
    result = greenroom("login", server.url, "--browser")
    assert result.exit_code == 0, result.stderr
    assert f"{server.url}/auth/browser/SECRET" in result.stderr
    assert [it.headers["authorization"] for it in server.requests if it.path == "/auth/cli/7"] == [
        "Bearer command-secret"
    ]
    assert next(iter(kept(tmp_path)["logins"].values()))["token"] == "grm_page"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["http://staging.example.org"], "clear text"),
        (["localhost:5000"], "No terminal"),
        (["ftp://x"], "not an http:// or https:// URL"),
        (["http://localhost:5000"], "No terminal"),
        (["http://localhost:5000", "--browser", "--token-file", "-"], "exclude each other"),
        (["http://localhost:5000", "--name", "A B", "--token-file", "-"], "is not a name"),
        (["http://localhost:5000", "--token-file", "/nowhere"], "Cannot read /nowhere"),
        (["http://localhost:5000", "--token-file", "-"], "does not contain an API token"),
    ],
)
def test_a_wrong_call_says_what_is_allowed(greenroom, words, text):
    result = greenroom("login", *words)
    assert result.exit_code == 2
    assert text in result.stderr


def test_a_remote_of_the_repository_chooses_among_sign_ins(server, other, greenroom, checkout):
    sign_in(greenroom, server)
    sign_in(greenroom, other)
    assert greenroom("apps").exit_code == 0
    assert "/apps" in [it.path for it in other.requests]
    git("remote", "add", "greenroom", f"http://localhost:{server.port}/{APP}.git")
    seen = len(other.requests)
    assert greenroom("ps").exit_code == 0
    assert server.requests[-1].path == f"/apps/{APP}/formation" or APP in server.requests[-1].path
    assert len(other.requests) == seen


def test_git_gets_the_token_of_the_host_that_it_asks_for(server, other, greenroom):
    sign_in(greenroom, server)
    greenroom("login", other.url, "--token-file", "-", stdin="grm_other\n")
    asked = "protocol=http\nhost=localhost:{}\n\n"
    result = greenroom("git:credentials", "get", stdin=asked.format(server.port))
    assert result.stdout == "username=greenroom\npassword=grm_alice\n"
    assert "grm_other" in greenroom("git:credentials", "get", stdin=asked.format(other.port)).stdout
    assert greenroom("git:credentials", "get", stdin="protocol=https\nhost=example.org\n\n").stdout == ""


def test_a_url_without_a_token_finds_the_sign_in(server, other, greenroom, monkeypatch):
    sign_in(greenroom, server)
    sign_in(greenroom, other)
    monkeypatch.setenv("GREENROOM_URL", server.url)
    assert greenroom("whoami").exit_code == 0
    assert server.requests[-1].path == "/account"


def test_sign_ins_are_listed_without_tokens_and_switched(server, other, greenroom):
    sign_in(greenroom, server, "--name", "one")
    sign_in(greenroom, other, "--name", "two")
    assert json.loads(greenroom("logins", "--json").stdout)["current"] == "two"
    assert greenroom("logins:use", server.url).exit_code == 0
    shown = greenroom("logins")
    assert [line.split()[:2] for line in shown.stdout.splitlines() if "*" in line] == [["*", "one"]]
    assert "grm_" not in shown.output + greenroom("logins", "--json").output
    assert greenroom("logins:use", "three").exit_code == 1


def test_signing_out_revokes_the_commands_own_token_and_leaves_a_given_one(server, greenroom, tmp_path):
    sign_in(greenroom, server, "--name", "given")
    assert greenroom("logout").exit_code == 0
    assert not server.asked("DELETE")
    own = logins.Login(name="own", url=server.url, email="a@b.c", token="grm_own", own=True)
    logins.keep(own)
    result = greenroom("logout", "own")
    assert result.exit_code == 0, result.stderr
    assert [(it.path, it.headers["authorization"]) for it in server.asked("DELETE")] == [
        ("/oauth/authorizations/~", "Bearer grm_own")
    ]
    assert kept(tmp_path) == {"version": 1, "current": "", "logins": {}}
    assert greenroom("logout").exit_code == 1


def test_signing_out_of_an_installation_that_is_away_says_what_stays(greenroom):
    logins.keep(logins.Login(name="away", url="http://127.0.0.1:9", email="a@b.c", token="grm_own", own=True))
    result = greenroom("logout")
    assert (result.exit_code, result.stdout) == (0, "Signed out of http://127.0.0.1:9\n")
    assert "did not answer" in result.stderr


def test_a_file_that_others_can_read_is_refused(server, greenroom, tmp_path):
    sign_in(greenroom, server)
    path = tmp_path / ".config" / "greenroom" / "logins.json"
    path.chmod(0o644)
    result = greenroom("whoami")
    assert result.exit_code == 1
    assert f"chmod 600 {path}" in result.stderr


def test_a_damaged_file_is_named_and_not_overwritten(server, greenroom, tmp_path):
    path = Path(tmp_path, ".config", "greenroom", "logins.json")
    path.parent.mkdir(parents=True)
    path.touch(0o600)
    os.chmod(path, 0o600)
    path.write_text("{")
    assert sign_in(greenroom, server).exit_code == 1
    assert path.read_text() == "{"


def test_sign_ins_at_once_are_all_kept(server):
    steps = [
        lambda number=number: logins.keep(
            logins.Login(name=f"n{number}", url=f"http://localhost:{number}", email="a@b.c", token="grm_x")
        )
        for number in range(1, 9)
    ]
    assert all_at_once(steps) == []
    assert len(logins.read().rows) == 8


def test_a_ca_is_kept_beside_the_file_and_a_private_key_is_refused(server, greenroom, tmp_path):
    ca = tmp_path / "ca.pem"
    ca.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    assert sign_in(greenroom, server, "--name", "one", "--ca", str(ca)).exit_code == 0
    assert logins.read().rows["one"].ca == str(tmp_path / ".config" / "greenroom" / "one.pem")
    ca.write_text("-----BEGIN PRIVATE KEY-----\n")
    with pytest.raises(CliError, match="not a file of CA certificates"):
        login._ca_text(str(ca))
