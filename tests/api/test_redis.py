"""The API of key-value stores: facts, settings, credentials, and who may use them."""

from __future__ import annotations

import pytest
from django.urls import get_resolver

from greenroom.addons.models import Addon
from greenroom.addons.redis import queries as facts
from greenroom.addons.redis.drivers import clients
from greenroom.basics.errors import PlatformError
from greenroom.config_vars import queries as config
from greenroom.releases.models import Release
from tests.api.test_data import client_of, send

pytestmark = pytest.mark.django_db
PATH = "/redis/v0/databases/sessions"


class Server:
    """A double of a running server: it remembers what it is told."""

    def __init__(self, monkeypatch) -> None:
        self.told: list[object] = []
        self.answers = True
        monkeypatch.setattr(clients, "connect", self.connect)
        monkeypatch.setattr(clients, "apply", lambda client, values: self.told.append(values))
        monkeypatch.setattr(clients, "set_passwords", lambda client, words: self.told.append(list(words)))
        empty = {"used_bytes": 1_500_000, "keys": 3, "evicted_keys": 0, "expired_keys": 0}
        monkeypatch.setattr(clients, "facts", lambda client: {"version": "8.1.8", "connections": 2, **empty})

    def connect(self, home, key, password):
        if not self.answers:
            raise PlatformError("The key-value store does not answer.")
        return self

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def config_resetstat(self):
        self.told.append("reset")


@pytest.fixture
def server(monkeypatch, home) -> Server:
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    for module in ("views_addons", "views_redis"):
        monkeypatch.setattr(f"greenroom.entrypoints.api.{module}.HOME", home)
    return Server(monkeypatch)


@pytest.fixture
def store(alice, shop, server) -> Addon:
    body = {"plan": "heroku-redis:mini", "name": "sessions"}
    answer = send(client_of(alice), "POST", "/apps/shop/addons", body)
    assert answer.status_code == 201, answer.content
    assert answer.json()["config_vars"] == ["REDIS_TLS_URL", "REDIS_URL"]
    return Addon.objects.get(name="sessions")


def test_a_new_store_is_in_the_config_vars_of_its_app_at_once(store, shop, home):
    values = config.values(config.latest(shop), home)
    assert values["REDIS_URL"] == facts.url_of(store, home)
    assert values["REDIS_URL"].startswith("redis://:")
    assert values["REDIS_TLS_URL"].startswith("rediss://:")
    assert Release.objects.latest("version").description == "Attach REDIS (sessions)"


@pytest.mark.parametrize("name", ["heroku-key-value-store:mini", "redis", "heroku-redis:premium-0"])
def test_a_store_has_the_names_of_herokus_catalogue(alice, shop, server, name):
    answer = send(client_of(alice), "POST", "/apps/shop/addons", {"plan": name})
    assert answer.status_code == 201, answer.content
    assert answer.json()["addon_service"]["name"] == "heroku-redis"


def test_facts_are_shown_as_redis_info_reads_them(alice, store):
    row = client_of(alice).get(PATH).json()
    assert (row["plan"], row["prefer_native_tls"]) == ("mini", True)
    shown = {line["name"]: line["values"][0] for line in row["info"]}
    assert shown["Status"] == "Available"
    assert shown["Data Size"] == "1.5 MB / 25 MB"
    assert shown["Connections"] == "2/20"
    assert row["resource_url"].startswith("rediss://")


def test_a_server_that_does_not_answer_is_shown_and_waited_for(alice, store, server):
    assert client_of(alice).get(f"{PATH}/wait").json()["waiting?"] is False
    server.answers = False
    assert client_of(alice).get(f"{PATH}/wait").json()["waiting?"] is True
    row = client_of(alice).get(PATH).json()
    assert {"name": "Status", "values": ["Does not answer"]} in row["info"]


def test_settings_are_changed_in_the_running_server(alice, store, server):
    answer = send(client_of(alice), "PATCH", f"{PATH}/config", {"maxmemory_policy": "allkeys-lfu"})
    assert answer.json()["maxmemory_policy"]["value"] == "allkeys-lfu"
    assert answer.json()["maxmemory_policy"]["values"]["allkeys-lfu"].startswith("evict less frequently")
    answer = send(client_of(alice), "PATCH", f"{PATH}/config", {"timeout": 0})
    assert answer.json()["timeout"]["value"] == 0
    assert server.told == [{"maxmemory_policy": "allkeys-lfu"}, {"timeout": 0}]


@pytest.mark.parametrize(
    "body",
    [{}, {"maxmemory_policy": "none"}, {"timeout": -1}, {"notify_keyspace_events": "save\n"}, {"dir": "/"}],
)
def test_other_settings_and_values_are_refused_and_nothing_changes(alice, store, server, body):
    before = Addon.objects.get(pk=store.pk).data
    assert send(client_of(alice), "PATCH", f"{PATH}/config", body).status_code in (400, 422)
    assert Addon.objects.get(pk=store.pk).data == before
    assert server.told == []


def test_a_new_password_is_released_to_the_app(alice, store, shop, server, home):
    before = config.values(config.latest(shop), home)["REDIS_URL"]
    assert send(client_of(alice), "POST", f"{PATH}/credentials_rotation", {}).status_code == 200
    after = config.values(config.latest(shop), home)["REDIS_URL"]
    assert after != before
    assert after == facts.url_of(Addon.objects.get(pk=store.pk), home)
    assert Release.objects.latest("version").description == "Rotate the credentials of REDIS (sessions)"
    ((new, former),) = server.told
    assert new in after
    assert former in before


def test_counters_are_reset_and_an_upgrade_is_refused_with_the_way(alice, store, server):
    assert send(client_of(alice), "POST", f"{PATH}/stats/reset", {}).status_code == 200
    assert server.told == ["reset"]
    answer = send(client_of(alice), "POST", f"{PATH}/upgrade", {"version": "9.0"})
    assert answer.status_code == 409
    assert "GREENROOM_REDIS_BIN" in answer.content.decode()


def test_a_database_is_no_store_and_a_stranger_sees_none(alice, charlie, store, shop):
    assert client_of(charlie).get(PATH).status_code == 404
    Addon.objects.filter(pk=store.pk).update(kind="postgres")
    answer = client_of(alice).get(PATH)
    assert answer.status_code == 404
    assert "is not a key-value store" in answer.content.decode()
