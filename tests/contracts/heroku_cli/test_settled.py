"""Tests of the Heroku CLI's commands for fixed properties: each accepts the actual value, and refuses others with an
alternative.
"""

from __future__ import annotations

import json

import pytest

from tests.contracts.heroku_cli.conftest import plain

pytestmark = pytest.mark.story


def refused(app, line: str, because: str) -> None:
    """The CLI ends with an error that gives the reason or the alternative."""
    said = plain(app.cli(f"heroku {line}", code=None))
    assert because in said, said
    assert "Error" in said


def test_features_tell_what_is_on_and_refuse_what_cannot_be(app):
    assert "[+] preboot" in app("features")
    assert "Enabled: true" in plain(app("features:info preboot"))
    assert "already enabled" in app("features:enable preboot", code=None)
    assert "cannot be disabled" in plain(app("features:disable preboot", code=None))
    assert "hint: keep sessions in the database" in plain(app("features:enable http-session-affinity", code=None))
    assert "runtime-dyno-metadata" in app("labs")
    app("labs:enable runtime-dyno-metadata")
    assert json.loads(app("labs:info runtime-dyno-metadata --json"))["enabled"] is True
    assert "cannot be disabled" in plain(app("labs:disable runtime-dyno-metadata", code=None))
    assert app.team.place.api("GET", f"/apps/{app.name}/features/runtime-dyno-metadata")[1]["enabled"] is True
    assert app.name in app("run --no-tty -- sh -c 'echo $HEROKU_APP_NAME'")


def test_buildpacks_are_set_and_others_are_refused_with_what_to_use_instead(app):
    app("buildpacks:add --index 1 heroku/nodejs")
    assert [row["buildpack"]["name"] for row in app.get("/buildpack-installations")] == [
        "heroku/nodejs",
        "heroku/python",
    ]
    app("buildpacks:remove heroku/nodejs")
    app("buildpacks:clear")
    assert app.get("/buildpack-installations") == []
    app("buildpacks:add heroku/python")
    assert app.get("/buildpack-installations")[0]["buildpack"]["name"] == "heroku/python"
    app("buildpacks:set https://github.com/heroku/heroku-buildpack-python.git")
    for line in ("buildpacks:add heroku/ruby", "buildpacks:set https://github.com/someone/their-buildpack"):
        assert "bin/pre_compile" in plain(app(line, code=2))
    app("buildpacks:remove heroku/python")
    app("buildpacks:set heroku/python")
    assert "heroku/python" in app("buildpacks")
    assert "heroku/python" in app.cli("heroku buildpacks:search python")
    assert "conformance" in app.cli("heroku buildpacks:info heroku/python")
    assert "published" in app.cli("heroku buildpacks:versions heroku/python")


def test_the_one_stack_and_region_are_taken_and_others_refused(app):
    app("apps:stacks:set greenroom-1")
    assert "Couldn't find stack heroku-24" in plain(app("apps:stacks:set heroku-24", code=2))
    refused(app, "apps:create contract-eu --region eu", "Couldn't find region eu")
    refused(app, "apps:create contract-team --team acme", "heroku access:add")
    assert app.place.api("GET", "/apps/contract-eu")[0] == 404


def test_an_app_is_made_with_add_on_and_buildpack_and_compared(app, tmp_path):
    line = "heroku apps:create contract-made --addons heroku-postgresql --buildpack heroku/python --no-remote"
    assert "contract-made" in app.cli(line)
    try:
        addons = app.place.api("GET", "/apps/contract-made/addons")[1]
        assert {row["plan"]["name"].partition(":")[0] for row in addons} == {"heroku-postgresql"}
        said = app.cli(f"heroku apps:diff {app.name} contract-made")
        assert "slug (checksum)" in said
        assert "config (DATABASE_URL)" in said
    finally:
        app.cli("heroku apps:destroy -a contract-made --confirm contract-made")


LEFT_OUT = {
    "apps:join -a {app}": "heroku access:add",
    "apps:lock -a {app}": "Teams and private spaces are not supported",
    "apps:unlock -a {app}": "Teams and private spaces are not supported",
    "teams": "Teams and private spaces are not supported",
    "members --team acme": "Teams and private spaces are not supported",
    "spaces": "Private spaces are not supported",
    "spaces:info --space x": "Private spaces are not supported",
    "run:inside web.1 bash -a {app}": "heroku run -a APP bash",
    "ps:exec -a {app}": "heroku run -a APP bash",
    "clients:create x https://x.example.com": "heroku authorizations:create",
    "pg:links -a {app}": "without followers",
    "telemetry -a {app}": "heroku drains:add",
    "addons:plans heroku-kafka": "Couldn't find that add-on service",
}
"""command -> words of the alternative that it must name."""


def test_what_is_left_out_names_what_is_there_instead(app):
    for line, because in LEFT_OUT.items():
        refused(app, line.format(app=app.name), because)
