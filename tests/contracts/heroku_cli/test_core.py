"""Tests of the unmodified Heroku CLI's everyday commands, each verified by its effect."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import pytest

from tests.contracts.heroku_cli.conftest import APP

pytestmark = pytest.mark.story


def test_who_am_i_and_my_token(app):
    assert "admin@greenroom.localhost" in app.cli("heroku auth:whoami")
    assert app.place.token in app.cli("heroku auth:token")


def test_authorizations_are_made_shown_and_revoked(app):
    made, _ = json.JSONDecoder().raw_decode(app.cli("heroku authorizations:create -d robot --json"))
    assert made["access_token"]["token"] != app.place.token
    assert "robot" in app.cli("heroku authorizations")
    assert "robot" in app.cli(f"heroku authorizations:info {made['id']}")
    app.cli(f"heroku authorizations:revoke {made['id']}")
    assert "robot" not in app.cli("heroku authorizations")
    assert app.place.api("GET", f"/oauth/authorizations/{made['id']}")[0] == 404


def test_authorizations_are_described_and_exchanged(app):
    made, _ = json.JSONDecoder().raw_decode(app.cli("heroku authorizations:create -d robot --json"))
    app.cli(f"heroku authorizations:update {made['id']} -d automaton")
    assert "automaton" in app.cli("heroku authorizations")
    said = app.cli(f"heroku authorizations:rotate {made['id']}")
    new = re.search(r"Token:\s+(\S+)", said)
    assert new
    assert new[1] != made["access_token"]["token"]
    assert app.place.api("GET", "/account", token=new[1])[0] == 200
    assert app.place.api("GET", "/account", token=made["access_token"]["token"])[0] == 401
    app.cli(f"heroku authorizations:revoke {made['id']}")


def test_apps_are_listed_made_renamed_and_destroyed(app):
    assert APP in app.cli("heroku apps")
    app.cli("heroku apps:create contract-other")
    assert app.place.api("GET", "/apps/contract-other")[0] == 200
    app.cli("heroku apps:rename contract-third -a contract-other")
    assert app.place.api("GET", "/apps/contract-third")[0] == 200
    app.cli("heroku apps:destroy -a contract-third --confirm wrong", code=None)
    assert app.place.api("GET", "/apps/contract-third")[0] == 200
    app.cli("heroku apps:destroy -a contract-third --confirm contract-third")
    assert app.place.api("GET", "/apps/contract-third")[0] == 404


def test_the_apps_information(app):
    said = app("apps:info")
    assert APP in said
    assert "admin@greenroom.localhost" in said
    info = json.loads(app("apps:info --json"))
    assert info["app"]["name"] == APP
    assert [row["type"] for row in info["dynos"]] == ["web"]
    assert info["app"]["slug_size"] > 0
    assert "Slug Size: 0 B" not in re.sub(" +", " ", said)


def test_config_vars_are_set_read_and_unset(app):
    before = app.current()["version"]
    said = app("config:set COLOUR='dark green' SIZE=12")
    assert re.search(r"v\d+", said)
    assert app.get("/config-vars")["COLOUR"] == "dark green"
    assert app("config:get COLOUR").strip() == "dark green"
    assert "COLOUR: dark green" in re.sub(" +", " ", app("config"))
    assert json.loads(app("config --json"))["SIZE"] == "12"
    assert "SIZE=12" in app("config --shell")
    app("config:unset COLOUR SIZE")
    assert "COLOUR" not in app.get("/config-vars")
    app.until(lambda: app.current()["version"], lambda version: version == before + 2)


def test_dynos_are_listed_scaled_stopped_and_restarted(app):
    assert re.search(r"web\.1: up", app("ps"))
    app("ps:scale worker=1")
    app.until(
        lambda: [row["name"] for row in app.get("/dynos") if row["state"] == "up"], lambda names: "worker.1" in names
    )
    assert "worker.1: up" in app("ps")
    app("ps:scale worker+1 web=1")
    assert app.quantity("worker") == 2
    assert "worker=2" in app("ps:scale")
    app("ps:scale worker=0")
    assert app.quantity("worker") == 0
    before = {row["id"] for row in app.get("/dynos")}
    app("ps:restart")
    app.until(
        lambda: {row["id"] for row in app.get("/dynos") if row["state"] == "up"}, lambda ids: ids and not ids & before
    )
    before = {row["id"] for row in app.get("/dynos") if row["state"] == "up"}
    app("ps:restart web.1")
    app.until(
        lambda: {row["id"] for row in app.get("/dynos") if row["state"] == "up"}, lambda ids: ids and not ids & before
    )
    app("ps:wait")
    assert app.team.get("/")[:2] == (200, "here")


def test_a_process_type_is_restarted_and_stopped_as_a_whole(app):
    def up(kind):
        return {row["id"] for row in app.get("/dynos") if row["state"] == "up" and row["type"] == kind}

    app("ps:scale worker=1")
    app.until(lambda: up("worker"), bool)
    web, worker = up("web"), up("worker")
    app("ps:restart -p worker")
    app.until(lambda: up("worker"), lambda ids: ids and not ids & worker)
    assert up("web") == web
    app("ps:restart -p web")
    app.until(lambda: up("web"), lambda ids: ids and not ids & web)
    app("run:detached python worker.py")
    app.until(lambda: up("run"), bool)
    app("ps:stop -p run")
    app.until(lambda: up("run"), lambda ids: not ids)
    assert "No dyno of process type nosuch is running" in app("ps:stop -p nosuch", code=2)
    app("ps:scale worker=0")


def test_sizes_are_changed(app):
    app("ps:type web=standard-2x")
    assert next(row["size"] for row in app.get("/formation") if row["type"] == "web").lower() == "standard-2x"
    app.until(
        lambda: [row["size"] for row in app.get("/dynos") if row["type"] == "web" and row["state"] == "up"],
        lambda sizes: sizes == ["standard-2x"],
    )
    app("ps:type web=standard-1x")
    app.until(
        lambda: [row["size"] for row in app.get("/dynos") if row["type"] == "web" and row["state"] == "up"],
        lambda sizes: sizes == ["standard-1x"],
    )


def test_releases_are_listed_shown_and_rolled_back(app):
    said = app("releases")
    versions = [int(text) for text in re.findall(r"^ *v(\d+)", said, re.MULTILINE)]
    assert versions == sorted(versions, reverse=True)
    newest = app.current()["version"]
    assert f"v{newest}" in app(f"releases:info v{newest}")
    assert json.loads(app("releases --json"))[0]["version"] == newest
    sha = app.current()["slug"]["commit"]
    first = next(
        row
        for row in app.get("/releases")
        if row["slug"] and row["slug"]["commit"] != sha and row["status"] == "succeeded"
    )
    app(f"rollback v{first['version']}")
    now = app.until(app.current, lambda row: row["version"] == newest + 1)
    assert now["slug"]["commit"] == first["slug"]["commit"]
    app(f"rollback v{newest}")
    app.until(app.current, lambda row: row["version"] == newest + 2 and row["slug"]["commit"] == sha)
    app.team.greenroom("deploy:resume")


def test_a_command_is_run_with_its_output_input_and_exit_code(app):
    assert "hello" in app("run --no-tty -- echo hello")
    assert "7" in app("run --no-tty -- wc -c", stdin="sixsix\n").split()
    app("run --no-tty --exit-code -- sh -c 'exit 7'", code=7)
    app("run --no-tty --exit-code -- true")
    assert "green" in app("run --no-tty -e COLOUR=green -- sh -c 'echo $COLOUR'")


def test_a_detached_command_writes_to_the_log(app):
    said = app("run:detached -- echo from-a-detached-dyno")
    name = re.search(r"run\.\d+", said)[0]
    app.until(lambda: app.log(), lambda text: "from-a-detached-dyno" in text)
    assert "from-a-detached-dyno" in app(f"logs --dyno-name {name}")


def test_the_log_is_shown_by_source_and_number(app):
    app.team.get("/a-page-that-is-asked-for")
    app.until(lambda: app.log(), lambda text: 'path="/a-page-that-is-asked-for"' in text)
    assert 'path="/a-page-that-is-asked-for"' in app("logs -n 200")
    said = app("logs --source heroku -n 50")
    assert "heroku[router]" in said
    assert "app[web.1]" not in said
    assert len(app("logs -n 3").strip().splitlines()) <= 3


def test_the_log_is_followed(app):
    app("ps:scale worker=1")
    argv = [
        shutil.which("heroku", path=app.cli.env["PATH"]),
        "logs",
        "--tail",
        "--dyno-name",
        "worker.1",
        "-n",
        "1",
        "-a",
        APP,
    ]
    try:
        app.until(lambda: app.log("--dyno", "worker.1"), lambda text: text.count("working") > 1)
        with subprocess.Popen(
            argv, env=app.cli.env, cwd=app.cli.home, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
        ) as tail:
            try:
                seen = [line for _, line in zip(range(4), tail.stdout, strict=False)]
            finally:
                tail.kill()
        assert all(re.search(r" app\[worker\.1\]: working$", line) for line in seen), seen
        assert len(set(seen)) == 4, "it goes on: more than the one line that was asked for, each once"
    finally:
        app("ps:scale worker=0")


def test_domains_are_added_shown_and_removed(app):
    app("domains:add www.example.org")
    assert "www.example.org" in app("domains")
    assert "www.example.org" in app("domains:info www.example.org")
    app("domains:wait www.example.org")
    app.until(lambda: app.team.get("/", host="www.example.org")[:2], lambda got: got == (200, "here"))
    app("domains:remove www.example.org")
    assert [row["hostname"] for row in app.get("/domains") if row["kind"] == "custom"] == []
    app.until(lambda: app.team.get("/", host="www.example.org")[0], lambda status: status == 404)


def test_people_are_let_in_and_out(app):
    app.place.api("POST", "/accounts", {"email": "carol@example.com", "name": "Carol"})
    app("access:add carol@example.com")
    assert "carol@example.com" in app("access")
    app("access:remove carol@example.com")
    assert "carol@example.com" not in app("access")


def test_maintenance_shows_its_page(app):
    app("maintenance:on")
    assert "on" in app("maintenance")
    app.until(lambda: app.team.get("/")[2].get("greenroom-error"), lambda code: code == "H80")
    app("maintenance:off")
    app.until(lambda: app.team.get("/")[0], lambda status: status == 200)


def test_regions_and_stacks(app):
    assert "local" in app.cli("heroku regions")
    assert "greenroom" in app("apps:stacks")


def test_what_there_is_none_of_is_said_so(app):
    assert "heroku/python" in app("buildpacks")
    assert json.loads(app("drains --json")) == []
    assert "No OAuth sessions" in app.cli("heroku sessions")


def test_an_app_that_is_not_there_is_said_to_be_not_there(app):
    said = app.cli("heroku config -a no-such-app-here", code=None)
    assert "Couldn't find that app" in said
