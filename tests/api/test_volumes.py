"""The API of volumes: creation with a release, sizes, snapshots, and who may use them."""

from __future__ import annotations

import pytest
from django.urls import get_resolver

from greenroom.addons.models import Addon, Snapshot
from greenroom.addons.volume import actions as volumes
from greenroom.config_vars import queries as config
from greenroom.releases.models import Release
from tests.api.test_data import client_of, send

pytestmark = pytest.mark.django_db
PATH = "/apps/shop/volumes"


@pytest.fixture(autouse=True)
def same_home(monkeypatch, home):
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    for module in ("views_addons", "views_volumes"):
        monkeypatch.setattr(f"greenroom.entrypoints.api.{module}.HOME", home)


@pytest.fixture
def media(alice, shop) -> Addon:
    answer = send(client_of(alice), "POST", PATH, {"name": "media", "at": "/app/media", "size": "5G"})
    assert answer.status_code == 201, answer.content
    return Addon.objects.get(kind="volume")


def test_a_new_volume_is_a_release_with_its_path(media, shop, home, alice):
    assert config.values(config.latest(shop), home)["VOLUME_MEDIA_PATH"] == "/app/media"
    assert Release.objects.latest("version").description == f"Attach VOLUME_MEDIA ({media.name})"
    (row,) = client_of(alice).get(PATH).json()
    assert (row["name"], row["size_bytes"], row["config_vars"]) == ("media", 5 * 10**9, ["VOLUME_MEDIA_PATH"])
    assert (row["quota"], row["level"], row["measured_at"]) == ("measured", None, None)


def test_its_names_are_all_of_it(media, alice):
    for name in ("media", media.name, str(media.pk), "VOLUME_MEDIA_PATH", "VOLUME_MEDIA"):
        assert client_of(alice).get(f"{PATH}/{name}").json()["id"] == str(media.pk), name


def test_the_heroku_cli_creates_and_lists_one(alice, shop):
    body = {"plan": "volume", "config": {"at": "/srv/files", "size": "2G"}, "attachment": {"name": "VOLUME_FILES"}}
    assert send(client_of(alice), "POST", "/apps/shop/addons", body).status_code == 201
    assert client_of(alice).get(f"{PATH}/files").json()["path"] == "/srv/files"
    assert [one["plan"]["name"] for one in client_of(alice).get("/apps/shop/addons").json()] == ["volume:standard"]
    refused = send(client_of(alice), "POST", "/apps/shop/addons", {"plan": "volume", "config": {"fork": "x"}})
    assert (refused.status_code, refused.json()["hint"]) == (422, "options: at, size")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "media"}, 409),
        ({"name": "b", "at": "/app/media/x"}, 409),
        ({"name": "b", "at": "/etc"}, 422),
        ({"name": "B"}, 422),
        ({"name": "b", "at": "/data", "size": "x"}, 422),
        ({"name": "b", "at": "/data", "size": "900G"}, 507),
    ],
)
def test_a_wrong_move_changes_nothing_and_has_a_hint(media, alice, body, status):
    answer = send(client_of(alice), "POST", PATH, body)
    assert (answer.status_code, bool(answer.json()["hint"])) == (status, True), answer.content
    assert Addon.objects.filter(kind="volume").count() == 1


def test_it_is_resized_and_destroyed(media, shop, home, alice):
    answer = send(client_of(alice), "PATCH", f"{PATH}/media", {"size": "6G"})
    assert answer.json()["size_bytes"] == 6 * 10**9
    assert send(client_of(alice), "DELETE", f"{PATH}/media").json()["state"] == "deprovisioned"
    assert "VOLUME_MEDIA_PATH" not in config.values(config.latest(shop), home)
    assert not Addon.objects.filter(kind="volume").exists()
    assert client_of(alice).get(f"{PATH}/media").status_code == 404


def test_snapshots_of_a_volume_are_not_among_those_of_the_database(media, alice):
    made = send(client_of(alice), "POST", f"{PATH}/media/snapshots", {"reason": "first"})
    assert (made.status_code, made.json()["state"]) == (201, "wanted")
    name = made.json()["name"]
    assert client_of(alice).get(f"{PATH}/media/snapshots").json()[0]["reason"] == "first"
    assert client_of(alice).get("/apps/shop/pg/snapshots").json() == []
    assert client_of(alice).get(f"/apps/shop/pg/snapshots/{name}").status_code == 404
    assert send(client_of(alice), "DELETE", f"{PATH}/media/snapshots/{name}").status_code == 409, "it is being taken"
    assert send(client_of(alice), "POST", f"{PATH}/media/snapshots/{name}/actions/restore").status_code == 409
    Snapshot.objects.update(state="succeeded")
    asked = send(client_of(alice), "POST", f"{PATH}/media/snapshots/{name}/actions/restore")
    assert (asked.status_code, asked.json()["state"]) == (202, "wanted")
    assert client_of(alice).get(f"{PATH}/media/restores/{asked.json()['name']}").json()["snapshot"] == name
    assert send(client_of(alice), "DELETE", f"{PATH}/media/snapshots/{name}").status_code == 409, "a restore needs it"


def test_a_viewer_sees_it_and_changes_nothing(media, vera):
    assert client_of(vera).get(f"{PATH}/media").status_code == 200
    for method, path, body in (
        ("POST", PATH, {"name": "b"}),
        ("PATCH", f"{PATH}/media", {"size": "6G"}),
        ("DELETE", f"{PATH}/media", None),
        ("POST", f"{PATH}/media/snapshots", {}),
    ):
        assert send(client_of(vera), method, path, body).status_code == 403, (method, path)


def test_a_level_is_shown(media, alice):
    volumes.note(media, {"level": "near", "bytes": 4_100_000_000, "files": 3, "measured": "2026-11-30T20:00:00Z"})
    row = client_of(alice).get(f"{PATH}/media").json()
    assert (row["level"], row["used_bytes"], row["files"]) == ("near", 4_100_000_000, 3)
