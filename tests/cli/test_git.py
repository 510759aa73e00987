"""Tests with real git: the app in a checkout's remotes, the remote that ``create`` adds, and git's password prompt."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import PROGRAM, git
from tests.cli.fake import TOKEN
from tests.cli.rows import APP


def question(port: int, scheme: str = "http", host: str = "localhost") -> str:
    return f"protocol={scheme}\nhost={host}:{port}\npath={APP}.git\n\n"


@pytest.mark.parametrize(
    "url",
    [
        "http://localhost:{port}/{app}.git",
        "http://127.0.0.1:{port}/{app}.git",
        "https://localhost:{tls}/{app}.git",
        "http://x@localhost:{port}/{app}",
    ],
)
def test_a_remote_of_the_installation_names_the_app(at_server, greenroom, checkout, url):
    git("remote", "add", "origin", "https://github.com/acme/payslip.git")
    git("remote", "add", "staging", url.format(port=at_server.port, tls=at_server.port + 1, app=APP))
    result = greenroom("maintenance")
    assert (result.exit_code, result.stdout) == (0, "off\n")
    assert at_server.asked("GET", f"/apps/{APP}")


@pytest.mark.parametrize(
    "url",
    [
        "https://git.heroku.com/{app}.git",
        "http://localhost:{other}/{app}.git",
        "http://localhost.example.com:{port}/{app}.git",
        "/srv/{app}.git",
        "git@localhost:{app}.git",
    ],
)
def test_a_remote_elsewhere_names_no_app(at_server, greenroom, checkout, url):
    git("remote", "add", "heroku", url.format(port=at_server.port, other=at_server.port + 7, app=APP))
    result = greenroom("maintenance")
    assert result.exit_code == 2
    assert "No app is specified" in result.stderr
    assert "hint: add -a APP" in result.stderr
    assert not at_server.requests


def test_outside_a_checkout_the_app_has_to_be_named(at_server, greenroom):
    assert greenroom("ps").exit_code == 2


def test_the_option_wins_over_the_variable_and_the_variable_over_the_remote(
    at_server, greenroom, checkout, monkeypatch
):
    git("remote", "add", "greenroom", f"{at_server.url}/from-the-remote.git")
    for words, wanted in ((["-a", "from-the-option"], "from-the-option"), ([], "from-the-variable")):
        monkeypatch.setenv("GREENROOM_APP", "from-the-variable")
        greenroom("ps", *words)
        assert at_server.requests[-1].path == f"/apps/{wanted}/dynos"
    monkeypatch.delenv("GREENROOM_APP")
    greenroom("ps")
    assert at_server.requests[-1].path == "/apps/from-the-remote/dynos"


def test_several_apps_need_a_word_and_the_remote_named_greenroom_wins(at_server, greenroom, checkout):
    git("remote", "add", "one", f"{at_server.url}/one.git")
    git("remote", "add", "two", f"{at_server.url}/two.git")
    result = greenroom("ps")
    assert result.exit_code == 2
    assert "one (one), two (two)" in result.stderr
    greenroom("ps", "-r", "two")
    assert at_server.requests[-1].path == "/apps/two/dynos"
    git("remote", "add", "greenroom", f"{at_server.url}/three.git")
    greenroom("ps")
    assert at_server.requests[-1].path == "/apps/three/dynos"


def test_a_remote_that_is_not_there_is_an_error_of_use(at_server, greenroom, checkout):
    result = greenroom("ps", "-r", "nope")
    assert result.exit_code == 2
    assert "'nope' does not exist." in result.stderr


def test_create_adds_a_remote_and_no_token_to_the_repository(at_server, greenroom, checkout):
    result = greenroom("create", APP)
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"http://{APP}.localhost:8080/ | http://localhost:{at_server.port}/{APP}.git\n"
    assert f"Creating ⬢ {APP}... done" in result.stderr
    assert git("remote", "get-url", "greenroom").strip() == f"http://localhost:{at_server.port}/{APP}.git"
    assert TOKEN not in Path(".git/config").read_text()
    assert greenroom("ps").exit_code == 0


def test_create_sets_the_secrets_that_app_json_asks_for(at_server, greenroom, checkout):
    env = {
        "SECRET_KEY": {"generator": "secret"},
        "DEBUG": "0",
        "URL": {"value": "x"},
        "bad name": {"generator": "secret"},
    }
    Path("app.json").write_text(json.dumps({"env": env}))
    result = greenroom("create", APP)
    assert result.exit_code == 0
    assert "Set SECRET_KEY to a random secret" in result.stderr
    assert "hint: git push greenroom HEAD:master" in result.stderr
    [sent] = [request.body for request in at_server.asked("PATCH", "/config-vars")]
    assert list(sent) == ["SECRET_KEY"]
    assert len(sent["SECRET_KEY"]) == 64
    assert sent["SECRET_KEY"] not in result.output


@pytest.mark.parametrize("text", ["{", "[]", '{"env": []}', '{"env": {"A": null}}', "[" * 100_000])
def test_an_app_json_that_is_wrong_does_not_keep_an_app_from_being_created(at_server, greenroom, checkout, text):
    Path("app.json").write_text(text)
    assert greenroom("create", APP).exit_code == 0
    assert at_server.asked("PATCH", "/config-vars") == []


def test_create_without_a_name_says_the_name_it_got(at_server, greenroom):
    result = greenroom("create")
    assert "done, quiet-meadow-1" in result.stderr
    assert at_server.asked("POST", "/apps")[0].body == {}


def test_create_without_a_database_asks_for_none(at_server, greenroom):
    assert greenroom("create", APP, "--no-database").exit_code == 0
    assert at_server.asked("POST", "/apps")[0].body == {"name": APP, "database": False}


def test_create_outside_a_checkout_or_without_remote_touches_no_git(at_server, greenroom, checkout, monkeypatch):
    greenroom("create", APP, "--no-remote")
    assert git("remote") == ""
    monkeypatch.chdir(checkout.parent)
    assert greenroom("create", APP).exit_code == 0


def test_a_remote_that_leads_elsewhere_is_left_alone(at_server, greenroom, checkout):
    git("remote", "add", "greenroom", "https://git.example.com/x.git")
    result = greenroom("create", APP)
    assert result.exit_code == 0
    assert "It was not changed." in result.stderr
    assert git("remote", "get-url", "greenroom").strip() == "https://git.example.com/x.git"


def test_git_gets_the_password_from_the_helper_that_create_wrote(at_server, greenroom, checkout, monkeypatch):
    """Runs real ``git credential fill`` in another folder, with nothing else configured."""
    greenroom("create", APP)
    helper = git("config", "--get-all", f"credential.http://localhost:{at_server.port}.helper").splitlines()
    assert helper == ["", f"!{PROGRAM} git:credentials"]
    answer = git("credential", "fill", stdin=question(at_server.port))
    assert f"password={TOKEN}" in answer.splitlines()


def test_a_helper_of_the_user_that_stores_passwords_in_clear_gets_none(at_server, greenroom, checkout, tmp_path):
    """Without the empty first value, ``store`` would receive the token after each push."""
    git("config", "--global", "credential.helper", f"store --file={tmp_path}/stored")
    greenroom("create", APP)
    answer = git("credential", "fill", stdin=question(at_server.port))
    git("credential", "approve", stdin=answer)
    assert not (tmp_path / "stored").exists()


def test_the_remote_can_be_added_again_without_piling_up_helpers(at_server, greenroom, checkout):
    greenroom("create", APP)
    assert greenroom("git:remote", "-a", APP).exit_code == 0
    key = f"credential.http://localhost:{at_server.port}.helper"
    assert len(git("config", "--get-all", key).splitlines()) == 2


def test_the_helper_of_a_home_needs_no_variables(server, greenroom, checkout, tmp_path):
    from tests.cli.test_target import make_home

    home = make_home(tmp_path / "a home", server.port)
    assert greenroom("git:remote", "-a", APP, "--home", str(home)).exit_code == 0
    answer = git("credential", "fill", stdin=question(server.port))
    assert f"password={TOKEN}" in answer.splitlines()


@pytest.mark.parametrize(
    ("scheme", "host", "offset", "known"),
    [
        ("http", "localhost", 0, True),
        ("http", "127.0.0.1", 0, True),
        ("https", "localhost", 1, True),
        ("https", "localhost", 0, False),
        ("http", "localhost", 1, False),
        ("http", "evil.example.com", 0, False),
        ("http", "localhost.example.com", 0, False),
    ],
)
def test_the_token_is_told_to_the_installations_own_addresses_alone(at_server, greenroom, scheme, host, offset, known):
    result = greenroom("git:credentials", "get", stdin=question(at_server.port + offset, scheme, host))
    assert result.exit_code == 0
    assert (TOKEN in result.stdout) is known


@pytest.mark.parametrize("operation", ["store", "erase"])
def test_nothing_is_stored_or_erased(at_server, greenroom, operation):
    result = greenroom("git:credentials", operation, stdin=question(at_server.port))
    assert (result.exit_code, result.output) == (0, "")


def test_rename_moves_the_remote_and_destroy_removes_it(at_server, greenroom, checkout):
    greenroom("create", APP)
    result = greenroom("rename", "payslips", "-a", APP)
    assert result.exit_code == 0
    assert "Git remote greenroom updated" in result.stderr
    assert f"undo with: greenroom rename {APP} -a payslips" in result.stderr
    assert git("remote", "get-url", "greenroom").strip().endswith("/payslips.git")
    git("remote", "set-url", "greenroom", f"{at_server.url}/{APP}.git")
    assert greenroom("destroy", "--confirm", APP).exit_code == 0
    assert git("remote") == ""


def asked_for_checks(at_server) -> dict:
    """The query of the latest request for checks; the verdict is requested after it."""
    return next(row.query for row in reversed(at_server.requests) if row.path.endswith("/checks"))


def test_a_commit_may_be_named_as_git_names_it(at_server, greenroom, checkout):
    head = git("rev-parse", "HEAD").strip()
    for words in (["HEAD"], ["master"], [head[:8]], [head]):
        greenroom("checks", *words, "-a", APP)
        assert asked_for_checks(at_server) == {"sha": head}
    greenroom("checks", "-a", APP)
    assert asked_for_checks(at_server) == {}


def test_a_commit_that_is_not_here_is_left_to_the_server(at_server, greenroom, checkout):
    greenroom("checks", "ABCDEF1", "-a", APP)
    assert asked_for_checks(at_server) == {"sha": "abcdef1"}
    result = greenroom("checks", "--help-me", "-a", APP)
    assert result.exit_code == 2
    result = greenroom("checks", "no-such-branch", "-a", APP)
    assert result.exit_code == 2
    assert "neither a revision of this repository" in result.stderr
