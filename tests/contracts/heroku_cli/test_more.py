"""More everyday commands of the unmodified Heroku CLI: checkouts, the editor, release commands, transferring and
leaving an app.
"""

from __future__ import annotations

import json
import subprocess

import pytest

from tests.contracts.heroku_cli.conftest import plain
from tests.stories.heroku import Heroku

pytestmark = pytest.mark.story


@pytest.fixture(scope="module")
def bert(place, tmp_path_factory):
    """Another user, with his own token."""
    row = place.api("POST", "/accounts", {"email": "bert@example.com", "name": "Bert"})[1]
    shell = Heroku(place, tmp_path_factory.mktemp("bert"), token=row["token"])
    shell.place, shell.token = place, row["token"]
    return shell


def test_a_checkout_is_cloned_tied_and_pushed_from_a_subfolder(app, bert, tmp_path):
    app("access:add bert@example.com")
    bert(f"heroku git:clone -a {app.name} there", cwd=tmp_path)
    folder = tmp_path / "there"
    assert (folder / "Procfile").exists()
    assert app.name in bert("heroku apps:info", cwd=folder), "the remote names the app"
    subprocess.run(["git", "remote", "remove", "heroku"], cwd=folder, check=True)
    bert(f"heroku git:remote -a {app.name} -r staging", cwd=folder)
    url = subprocess.run(
        ["git", "remote", "get-url", "staging"], cwd=folder, capture_output=True, text=True, check=True
    ).stdout
    assert url.strip() == f"https://localhost:{app.place.api_port + 1}/{app.name}.git"
    assert "Everything up-to-date" in bert("git push staging HEAD:master", cwd=folder, timeout=300)
    app("access:remove bert@example.com")


def test_config_is_edited_in_the_editor(app, tmp_path):
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nprintf "\\nCOLOUR=\'dark green\'\\n" >> "$1"\n')
    editor.chmod(0o755)
    app.cli.env["EDITOR"] = str(editor)
    app("config:edit", stdin="y\n")
    assert app.get("/config-vars")["COLOUR"] == "dark green"
    app("config:unset COLOUR")


def test_open_leads_to_the_app(app):
    said = app("apps:open /page")
    assert f"http://{app.name}.localhost:{app.place.http_port}/page" in said


def test_an_app_is_given_away_and_its_old_owner_leaves(app, bert):
    app.cli("heroku apps:create contract-gift --no-remote")
    said = plain(app.cli("heroku apps:transfer bert@example.com -a contract-gift"))
    assert "greenroom transfers:accept contract-gift" in said
    assert app.place.api("GET", "/apps/contract-gift", token=bert.token)[0] == 404
    assert (
        app.place.api("PATCH", "/account/app-transfers/contract-gift", {"state": "accepted"}, token=bert.token)[0]
        == 200
    )
    assert "bert@example.com" in bert("heroku apps:info -a contract-gift")
    rows = app.place.api("GET", "/apps/contract-gift/collaborators")[1]
    assert {row["user"]["email"]: row["role"] for row in rows} == {
        "bert@example.com": "owner",
        "admin@greenroom.localhost": "operator",
    }
    app.cli("heroku apps:leave -a contract-gift")
    assert "admin@greenroom.localhost" not in bert("heroku access -a contract-gift")
    bert("heroku apps:destroy -a contract-gift --confirm contract-gift")


def test_a_viewer_leaves_and_sees_nothing_any_more(app, bert):
    app.place.api("POST", f"/apps/{app.name}/collaborators", {"user": "bert@example.com", "role": "viewer"})
    assert app.name in bert("heroku apps -A")
    assert "do not have access" in plain(bert(f"heroku config -a {app.name}", code=None))
    bert(f"heroku apps:leave -a {app.name}")
    assert app.name not in bert("heroku apps -A")


def test_a_release_command_can_be_tried_again_and_its_output_read(app):
    assert "has no release output" in app("releases:output")
    assert "must have a release-phase command" in app("releases:retry", code=None)
    procfile = (app.team.work / "Procfile").read_text()
    app.team.write("Procfile", procfile + "release: echo preparing $HEROKU_RELEASE_VERSION\n")
    app.team.commit("with a release command")
    app.team.push()
    before = app.current()["version"]
    assert f"preparing v{before}" in app("releases:output")
    said = app("releases:retry")
    assert f"done, v{before + 1}" in said
    app.until(app.current, lambda row: row["version"] == before + 1)
    assert f"preparing v{before + 1}" in app(f"releases:output v{before + 1}")
    app.team.write("Procfile", procfile)
    app.team.commit("without it again")
    app.team.push()


def test_ruby_consoles_say_what_they_are(app):
    assert "command not found" in app("console")
    assert "command not found" in app("rake db:migrate")


def test_the_cli_tells_whose_token_it_is_and_how_long_it_holds(app):
    made, _ = json.JSONDecoder().raw_decode(app.cli("heroku authorizations:create -d short --expires-in 3600 --json"))
    assert made["access_token"]["expires_in"] == 3600
    app.cli(f"heroku authorizations:revoke {made['id']}")
