"""Tests of the installation and token that a command uses, and of the error messages."""

from __future__ import annotations

import json
import socket
import subprocess
import time
from pathlib import Path

import pytest

from greenroom_cli import client, target
from greenroom_cli.errors import CliError, UnreachableError
from tests.cli.fake import TOKEN, Reply
from tests.cli.rows import APP


class Clock:
    """The real time, but sleeps return at once."""

    def __init__(self) -> None:
        self.slept = 0.0

    def monotonic(self) -> float:
        return time.monotonic() + self.slept

    def sleep(self, seconds: float) -> None:
        self.slept += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch) -> Clock:
    """The client's clock."""
    it = Clock()
    monkeypatch.setattr(client, "time", it)
    return it


def make_home(folder: Path, port: int, token: str = TOKEN) -> Path:
    (folder / "keys").mkdir(parents=True)
    (folder / "installation.json").write_text(json.dumps({"version": 1, "api_port": port}))
    (folder / "keys" / "admin.token").write_text(token + "\n")
    return folder


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def test_the_home_in_the_home_folder_is_found_without_any_option(server, greenroom, tmp_path):
    make_home(tmp_path / ".greenroom", server.port)
    result = greenroom("whoami")
    assert (result.exit_code, result.stdout) == (0, "alice@example.com\n")


def test_greenroom_home_names_another_folder(server, greenroom, tmp_path, monkeypatch):
    monkeypatch.setenv("GREENROOM_HOME", str(make_home(tmp_path / "elsewhere", server.port)))
    assert greenroom("whoami").exit_code == 0


def test_the_home_option_wins_over_all_variables_and_its_token_too(server, greenroom, tmp_path, monkeypatch):
    monkeypatch.setenv("GREENROOM_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("GREENROOM_TOKEN", "grm_for_another_installation")
    home = make_home(tmp_path / "this", server.port)
    assert greenroom("whoami", "--home", str(home)).exit_code == 0
    assert server.requests[0].headers["authorization"] == f"Bearer {TOKEN}"


def test_what_greenroom_env_exports_for_the_heroku_cli_is_enough(server, greenroom, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", f"http://localhost:{server.port}")
    monkeypatch.setenv("HEROKU_API_KEY", TOKEN)
    assert greenroom("whoami").exit_code == 0


@pytest.mark.parametrize(
    "host", ["https://api.heroku.com", "heroku.com", "http://localhost.example.com", "http://notlocalhost:5000"]
)
def test_a_heroku_host_elsewhere_is_not_used_and_gets_no_token(greenroom, tmp_path, monkeypatch, host):
    monkeypatch.setenv("HEROKU_HOST", host)
    monkeypatch.setenv("HEROKU_API_KEY", "the-key-of-the-real-heroku")
    result = greenroom("whoami")
    assert result.exit_code == 1
    assert f"There is no Greenroom in {tmp_path}/.greenroom" in result.stderr


def test_bob_uses_his_own_token_at_the_installation_of_this_machine(server, greenroom, tmp_path, monkeypatch):
    make_home(tmp_path / ".greenroom", server.port, token="grm_admin")
    monkeypatch.setenv("GREENROOM_TOKEN", TOKEN)
    assert greenroom("whoami").exit_code == 0


def test_a_url_without_a_token_is_refused_before_anything_is_sent(server, greenroom, tmp_path, monkeypatch):
    make_home(tmp_path / ".greenroom", server.port)
    monkeypatch.setenv("GREENROOM_URL", server.url)
    result = greenroom("whoami")
    assert result.exit_code == 1
    assert "GREENROOM_URL is set but GREENROOM_TOKEN is not" in result.stderr
    assert not server.requests


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://localhost:80a", "whose port is not a number from 1 to 65535"),
        ("http://localhost:99999", "whose port is not a number from 1 to 65535"),
        ("http://localhost:0", "whose port is not a number from 1 to 65535"),
        ("http://[::1", "which is not a URL"),
        ("http://a..b:5000", "whose host name is invalid"),
        ("http://two words:5000", "whose host name is invalid"),
        ("ftp://localhost", "which is not an http:// or https:// URL"),
        ("localhost:5000", "which is not an http:// or https:// URL"),
    ],
)
def test_an_address_that_is_none_is_refused_where_it_is_read(greenroom, checkout, monkeypatch, url, words):
    """With and without reading the checkout's remotes, which are compared with the address."""
    monkeypatch.setenv("GREENROOM_URL", url)
    monkeypatch.setenv("GREENROOM_TOKEN", TOKEN)
    for call in (("apps",), ("config",), ("git:remote", "-a", APP)):
        result = greenroom(*call)
        assert (result.exit_code, result.stdout) == (1, "")
        assert f"GREENROOM_URL is {url!r}, {words}." in result.stderr
        assert "hint: GREENROOM_URL=http://localhost:5000\n" in result.stderr


def test_a_heroku_host_that_is_no_address_is_not_used(greenroom, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", "http://[::1")
    monkeypatch.setenv("HEROKU_API_KEY", TOKEN)
    assert "There is no Greenroom in " in greenroom("whoami").stderr


def test_a_remote_that_is_no_address_leads_to_no_app(at_server, greenroom, checkout):
    subprocess.run(["git", "remote", "add", "odd", "http://[::1/x.git"], check=True)
    result = greenroom("config")
    assert (result.exit_code, "No app is specified" in result.stderr) == (2, True), result.stderr


def test_no_installation_says_how_to_make_one(greenroom):
    result = greenroom("apps")
    assert result.exit_code == 1
    assert result.stdout == ""
    assert " ▸    There is no Greenroom in " in result.stderr
    assert "hint: greenroom up --detach\n" in result.stderr


def test_a_stopped_installation_says_how_to_start_it(greenroom, tmp_path):
    home = make_home(tmp_path / "my home", free_port())
    result = greenroom("apps", "--home", str(home))
    assert result.exit_code == 1
    assert "connection refused" in result.stderr
    assert f"hint: greenroom up --detach --home '{home}'" in result.stderr


def test_a_token_of_another_user_is_explained(tmp_path, monkeypatch):
    home = make_home(tmp_path / "home", 5000)

    def forbidden(self: Path) -> str:
        raise PermissionError(13, "Permission denied") if self.name == "admin.token" else AssertionError

    monkeypatch.setattr(
        Path, "read_text", lambda self: json.dumps({}) if self.name == "installation.json" else forbidden(self)
    )
    with pytest.raises(CliError, match="belongs to another user") as caught:
        target.find(str(home), {})
    assert (
        "set GREENROOM_TOKEN to your own token; an administrator creates it with: greenroom accounts:token EMAIL"
        in caught.value.hint
    )


def test_a_broken_installation_file_is_named(greenroom, tmp_path):
    home = make_home(tmp_path / "home", 1)
    (home / "installation.json").write_text("{")
    result = greenroom("apps", "--home", str(home))
    assert result.exit_code == 1
    assert "Cannot read " in result.stderr
    assert "installation.json: " in result.stderr


def test_a_token_that_does_not_hold_says_where_it_came_from(at_server, greenroom, monkeypatch):
    monkeypatch.setenv("GREENROOM_TOKEN", "grm_revoked")
    result = greenroom("apps")
    assert result.exit_code == 1
    assert "expired credentials (token from $GREENROOM_TOKEN)" in result.stderr
    assert "grm_revoked" not in result.output
    assert (
        "hint: ask an administrator for `greenroom accounts:token YOUR-EMAIL`, then set GREENROOM_TOKEN\n"
        in result.stderr
    )


def test_the_variable_that_held_the_token_is_the_one_to_set(server, greenroom, monkeypatch):
    monkeypatch.setenv("HEROKU_HOST", server.url)
    monkeypatch.setenv("HEROKU_API_KEY", "grm_revoked")
    assert "then set HEROKU_API_KEY\n" in greenroom("apps").stderr


def test_the_homes_own_token_that_does_not_hold_is_made_anew(server, greenroom, tmp_path):
    """`greenroom env` would return the same token again."""
    home = make_home(tmp_path / "my home", server.port, token="grm_revoked")
    result = greenroom("apps", "--home", str(home))
    assert (
        f"hint: rm '{home}/keys/admin.token'; greenroom down --home '{home}'; greenroom up --detach --home '{home}'"
        in result.stderr
    )


def test_a_token_that_does_not_hold_at_a_home_of_ones_own_is_replaced_by_the_homes(
    server, greenroom, tmp_path, monkeypatch
):
    make_home(tmp_path / ".greenroom", server.port)
    monkeypatch.setenv("GREENROOM_TOKEN", "grm_revoked")
    assert 'hint: eval "$(greenroom env)"\n' in greenroom("apps").stderr


def test_a_token_that_does_not_hold_at_a_home_of_somebody_else_needs_an_administrator(
    server, greenroom, tmp_path, monkeypatch
):
    home = make_home(tmp_path / ".greenroom", server.port)
    (home / "keys" / "admin.token").unlink()
    monkeypatch.setenv("GREENROOM_TOKEN", "grm_revoked")
    assert "hint: ask an administrator for `greenroom accounts:token YOUR-EMAIL`" in greenroom("apps").stderr


def test_a_refusal_is_shown_with_the_servers_hint_once(at_server, greenroom):
    at_server.refuse("POST", "/apps", 422, "Name 'x' is not allowed: 3 to 30 characters.", "greenroom create my-app")
    result = greenroom("create", "x")
    assert result.exit_code == 1
    assert " ▸    Name 'x' is not allowed: 3 to 30 characters.\nhint: greenroom create my-app\n" in result.stderr
    assert result.stderr.count("greenroom create my-app") == 1


def test_an_unknown_app_is_the_servers_404(at_server, greenroom):
    at_server.refuse("GET", "/apps/nope/dynos", 404, "Couldn't find that app.", "greenroom apps", id="not_found")
    result = greenroom("ps", "-a", "nope")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "Couldn't find that app." in result.stderr


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (
            Reply(raw=b"<html>nginx</html>", kind="text/html"),
            "answered 200 OK, which is not a response of Greenroom's API",
        ),
        (Reply(raw=b"<html>nginx</html>", status=502, kind="text/html"), "answered 502 Bad Gateway, which is not"),
        (
            Reply(raw=b"upstream is away\n", status=503, kind="text/plain"),
            "answered 503 Service Unavailable: upstream is away.",
        ),
        (Reply(raw=b"\xff\xfe", status=500), "answered 500 Internal Server Error"),
        (Reply(["no", "message"], status=400), "answered 400 Bad Request"),
        (Reply(raw=b"", status=302, headers={"Location": "/login"}), "answered 302 Found"),
    ],
)
def test_an_answer_that_is_not_the_apis_ends_in_one_line(at_server, greenroom, reply, words):
    at_server.on("GET", "A/config-vars", reply)
    result = greenroom("config", "-a", APP)
    assert result.exit_code == 1
    assert words in result.stderr
    assert "Traceback" not in result.output


def test_something_that_speaks_no_http_ends_in_one_line(greenroom, monkeypatch):
    import threading

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()

        def answer() -> None:
            peer, _ = listener.accept()
            peer.recv(4096)
            peer.sendall(b"SSH-2.0-OpenSSH_9.2\r\n")
            peer.close()

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("GREENROOM_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        monkeypatch.setenv("GREENROOM_TOKEN", TOKEN)
        result = greenroom("apps")
        thread.join()
    assert result.exit_code == 1
    assert "Greenroom does not answer at http://127.0.0.1:" in result.stderr


def test_a_warning_of_the_server_is_passed_on(at_server, greenroom):
    at_server.on("GET", "A/config-vars", Reply({}, headers={"X-Heroku-Warning": "The disk is nearly full."}))
    result = greenroom("config", "-a", APP)
    assert "The disk is nearly full." in result.stderr
    assert "disk" not in result.stdout


def test_long_lists_are_fetched_page_by_page(at_server, greenroom):
    def pages(request):
        if request.headers.get("range") == "name ]a1..; max=1":
            return [{**first, "name": "a2"}]
        return Reply([{**first, "name": "a1"}], 206, {"Next-Range": "name ]a1..; max=1"})

    first = {"owner": {"email": "alice@example.com"}}
    at_server.on("GET", "/apps", pages)
    assert [row["name"] for row in json.loads(greenroom("apps", "--json").stdout)] == ["a1", "a2"]


def failing(times, then, reply):
    """Answers ``reply`` the given number of times, then ``then``."""
    left = [times]

    def answer(request):
        left[0] -= 1
        return reply if left[0] >= 0 else then

    return answer


@pytest.mark.parametrize(
    "reply", [Reply({"id": "platform_error", "message": "restarting"}, 503), Reply({"DEBUG": "1"}, cut=True)]
)
def test_a_read_is_tried_again_while_the_control_plane_restarts(at_server, greenroom, monkeypatch, reply):
    monkeypatch.setattr(client, "FIRST_PATIENCE", 20.0)
    at_server.on("GET", "A/config-vars", failing(3, {"DEBUG": "2"}, reply))
    assert greenroom("config:get", "DEBUG", "-a", APP).stdout == "2\n"
    assert len(at_server.asked("GET", "config-vars")) == 4


def test_a_read_is_not_tried_for_ever(at_server, greenroom, clock):
    at_server.refuse("GET", "A/config-vars", 503, "Greenroom's database is restarting.")
    result = greenroom("config", "-a", APP)
    assert result.exit_code == 1
    assert "database is restarting" in result.stderr
    assert client.PATIENCE - 2 < clock.slept < client.PATIENCE


def test_a_write_that_may_have_arrived_is_not_sent_a_second_time(at_server, greenroom, monkeypatch):
    monkeypatch.setattr(client, "FIRST_PATIENCE", 20.0)
    at_server.on("PATCH", "A/config-vars", Reply({"DEBUG": "2"}, cut=True))
    assert greenroom("config:set", "DEBUG=2", "-a", APP).exit_code == 1
    assert len(at_server.asked("PATCH", "config-vars")) == 1


def test_what_reached_nobody_is_sent_when_somebody_listens_again(server, monkeypatch):
    from types import SimpleNamespace

    calls = []

    def send(*_):
        calls.append(1)
        if len(calls) >= 3:
            return "sent"
        error = UnreachableError("nothing listens there")
        error.unsent = True
        raise error

    own = client.Client(SimpleNamespace(url=server.url, token=TOKEN))
    own.heard = True
    assert own._retry("POST", send) == "sent"
    with pytest.raises(UnreachableError):
        own._retry("POST", lambda: (_ for _ in ()).throw(UnreachableError("the answer broke off")))
