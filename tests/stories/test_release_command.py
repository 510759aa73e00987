"""The release command and the postdeploy script of an app: run once, in time, and never migrate without a request."""

from __future__ import annotations

import json

import pytest

from tests.stories.test_host import APP, small_team


@pytest.fixture
def team(installation, tmp_path):
    team = small_team(installation, tmp_path, "s-release-command")
    yield team
    team.destroy()


def procfile(team, release: str) -> None:
    team.write("Procfile", APP["Procfile"] + f"release: {release}\n")


def test_release_command_and_postdeploy(team):
    app = json.loads(APP["app.json"]) | {"scripts": {"postdeploy": "echo hello from $DYNO"}}
    team.write("app.json", json.dumps(app))
    procfile(team, "echo releasing $HEROKU_RELEASE_VERSION as $DYNO && test ! -e broken")
    team.commit("first")
    output = team.push()
    row = team.delivery()
    assert row["state"] == "live", output
    version = row["release"]["version"]
    assert f"releasing v{version} as release.{version}" in output
    assert f"hello from postdeploy.{version}" in output
    assert output.index("releasing") < output.index("Launching") < output.index("hello from")
    team.write("broken", "")
    team.commit("second")
    output = team.push()
    assert team.delivery()["state"] == "failed", output
    assert "The release command ended with exit code 1." in output
    assert f"v{version} keeps running" in output
    assert team.get("/")[:2] == (200, "here")
    procfile(team, "python manage.py migrate")
    team.commit("third")
    output = team.push()
    assert team.delivery()["state"] == "live", output
    assert "which migrates the database. On Greenroom a user does this" in output
    assert "hello from" not in output
