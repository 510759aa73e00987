"""Tests of the Python library heroku3, unmodified except for its URL and the CA that it trusts."""

from __future__ import annotations

import io
import tarfile
import time
import urllib.request

import heroku3
import heroku3.api
import pytest
import requests
from heroku3.rendezvous import Rendezvous

from tests.stories.test_host import APP, small_team

NAME = "threes"


@pytest.fixture(scope="module")
def team(installation, tmp_path_factory):
    team = small_team(installation, tmp_path_factory.mktemp("heroku3"), NAME)
    team.push()
    team.write("second.txt", "second")
    team.commit("second")
    team.push()
    yield team
    team.destroy()


@pytest.fixture
def heroku(installation, monkeypatch):
    """The library's connection, created as in its documentation."""
    monkeypatch.setattr(heroku3.api, "HEROKU_URL", f"http://localhost:{installation.api_port}")
    before = Rendezvous.__init__

    def trusting(self, *words, **more):
        before(self, *words, **more)
        self.cert = str(installation.home / "keys" / "ca.pem")

    monkeypatch.setattr(Rendezvous, "__init__", trusting)
    connection = heroku3.from_key(installation.token)
    assert connection.is_authenticated
    return connection


@pytest.fixture
def app(heroku, team):
    return heroku.app(NAME)


def archive(**files):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def test_the_account_its_limits_keys_and_tokens(heroku):
    account = heroku.account()
    assert account.email == "admin@greenroom.localhost"
    assert account.created_at is not None
    assert heroku.rate_limit.remaining > 1000
    assert int(heroku._ratelimit_remaining) > 1000
    assert heroku._last_request_id
    assert list(heroku.features()) == []
    assert list(heroku.keys()) == []
    assert heroku.oauthauthorizations()
    assert list(heroku.oauthclients()) == []


def test_apps_are_listed_made_renamed_and_destroyed(heroku, team):
    assert heroku.apps()[NAME].name == NAME
    made = heroku.create_app(name="threes-more", stack_id_or_name="greenroom-1", region_id_or_name="local")
    assert made.name == "threes-more"
    assert heroku.app("threes-more").region.name == "local"
    made.rename("threes-other")
    heroku.app("threes-other").delete()
    with pytest.raises(requests.HTTPError):
        heroku.app("threes-other")


def test_config_vars_are_read_set_and_taken_away(app):
    config = app.config()
    config["COLOUR"] = "green"
    assert app.config()["COLOUR"] == "green"
    del config["COLOUR"]
    assert "COLOUR" not in app.config().to_dict()


def test_addons_services_and_buildpacks(heroku, app):
    (addon,) = app.addons()
    assert addon.plan.name == "heroku-postgresql:essential-0"
    assert [service.name for service in heroku.addon_services()] == [
        "heroku-postgresql",
        "heroku-redis",
        "mail",
        "volume",
    ]
    assert app.buildpacks()


def test_people_and_domains(heroku, app, team):
    team.place.api("POST", "/accounts", {"email": "clara@example.com"})
    app.add_collaborator("clara@example.com")
    assert "clara@example.com" in [row.user.email for row in app.collaborators()]
    app.remove_collaborator("clara@example.com")
    app.add_domain("threes.example.org", None)
    assert app.get_domain("threes.example.org").hostname == "threes.example.org"
    assert len(app.domains()) == 2
    app.remove_domain("threes.example.org")
    assert len(app.domains()) == 1


def test_formation_and_dynos(app, team):
    (formation,) = app.process_formation()
    assert (formation.type, formation.quantity) == ("web", 1)
    app.scale_formation_process("web", 2)
    team.wait_for(lambda: [dyno for dyno in app.dynos() if dyno.state == "up"], lambda rows: len(rows) == 2)
    app.batch_scale_formation_processes({"web": 1})
    assert app.process_formation()["web"].quantity == 1
    team.wait_for(lambda: list(app.dynos()), lambda rows: [dyno.state for dyno in rows] == ["up"])
    app.restart()
    assert "preboot" in {feature.name for feature in app.features()}
    app.enable_maintenance_mode()
    assert app.info.maintenance
    app.disable_maintenance_mode()


def test_releases_slugs_and_rollback(app, team):
    releases = app.releases(order_by="version", sort="desc", limit=50)
    newest = releases[0]
    assert newest.version == max(release.version for release in releases)
    slug = app.slug(newest.slug.id)
    assert slug.commit == team.sha
    assert slug.stack.name == "greenroom-1"
    older = next(
        release
        for release in releases
        if release.slug and release.slug.commit != team.sha and release.status == "succeeded"
    )
    app.rollback(older.id)
    team.wait_for(
        lambda: app.releases(order_by="version", sort="desc", limit=1)[0], lambda row: row.version > newest.version
    )
    team.wait_for(
        lambda: team.place.api("GET", f"/apps/{NAME}/deliveries?limit=1")[1][0], lambda row: row["finished_at"]
    )


def test_a_command_is_run_attached_and_detached(app):
    said, dyno = app.run_command("echo from-$THING", printout=False, env={"THING": "heroku3"})
    assert "from-heroku3" in said
    assert dyno.name.startswith("run.")
    assert app.run_command_detached("echo detached").name.startswith("run.")


def test_logs_and_drains(app, team):
    team.get("/logged-by-heroku3")
    team.wait_for(lambda: app.get_log(lines=200, timeout=10), lambda text: "/logged-by-heroku3" in text)
    lines = app.stream_log(lines=1, timeout=10)
    assert next(iter(lines))
    assert list(app.logdrains()) == []


def test_an_archive_is_built_checked_and_delivered(heroku, app, team):
    team.place.run("deploy:resume", "-a", NAME)  # the rollback has paused it
    status, source = team.place.api("POST", "/sources")
    assert status == 201
    blob = source["source_blob"]
    data = archive(**{**APP, "third.txt": "third"})
    urllib.request.urlopen(urllib.request.Request(blob["put_url"], data=data, method="PUT"), timeout=30)
    build = app.create_build(blob["get_url"], version="v3-of-the-archive")
    assert build.status == "pending"
    team.wait_for(
        lambda: team.place.api("GET", f"/apps/{NAME}/builds/{build.id}")[1]["status"],
        lambda word: word != "pending",
        240,
    )
    status, result = team.place.api("GET", f"/apps/{NAME}/builds/{build.id}/result")
    assert (status, result["exit_code"]) == (200, 0), result
    assert any("Python" in line["line"] for line in result["lines"])
    delivery = team.wait_for(
        lambda: team.place.api("GET", f"/apps/{NAME}/deliveries?limit=1")[1][0], lambda row: row["finished_at"], 240
    )
    assert delivery["state"] == "live", (delivery["reason"], delivery["verdict"], delivery["checks"])
    assert len(app.builds()) >= 3
    with pytest.raises(requests.HTTPError):
        app.create_build("https://example.com/x.tar.gz")
    assert team.place.api("POST", f"/apps/{NAME}/slugs", {})[0] != 201


def test_an_app_begins_with_an_archive(heroku, team):
    blob = team.place.api("POST", "/sources")[1]["source_blob"]
    urllib.request.urlopen(urllib.request.Request(blob["put_url"], data=archive(**APP), method="PUT"), timeout=30)
    setup = heroku.create_appsetup(
        {"url": blob["get_url"]}, app={"name": "threes-setup"}, overrides={"env": {"A": "1"}}
    )
    deadline = time.monotonic() + 200
    while setup.status == "pending" and time.monotonic() < deadline:
        time.sleep(0.3)
        setup = heroku.get_appsetup(setup.id)
    told = [
        (row["state"], row["reason"], row["checks"])
        for row in team.place.api("GET", "/apps/threes-setup/deliveries")[1]
    ]
    assert setup.status == "succeeded", told
    assert heroku.app("threes-setup").config()["A"] == "1"
    heroku.app("threes-setup").delete()
