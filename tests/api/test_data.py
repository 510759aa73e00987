"""Routes of databases without an app in the path: no access to a foreign database by id, name, link or reference."""

from __future__ import annotations

import json
import re
from datetime import timedelta

import psycopg
import pytest
from django.test import Client
from django.urls import get_resolver

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account
from greenroom.addons import actions as addon_actions
from greenroom.addons.models import Addon, Attachment, Restore, Schedule, Snapshot
from greenroom.addons.postgres import actions
from greenroom.addons.postgres.actions import restores, snapshots
from greenroom.addons.postgres.queries import url_of
from greenroom.config_vars import queries as config
from greenroom.deliveries.actions import addon_lifecycle as resources
from greenroom.deliveries.actions import create_app
from greenroom.engine.memory import MemoryEngine
from greenroom.entrypoints.api import routing
from greenroom.entrypoints.api.drivers import use_engine
from greenroom.releases.models import Release

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def place(settings, monkeypatch, home):
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}
    use_engine(MemoryEngine())
    for module in ("views_addons", "views_pg", "views_snapshots", "views_apps"):
        monkeypatch.setattr(f"greenroom.entrypoints.api.{module}.HOME", home)


@pytest.fixture
def store(alice, bob, vera, home):
    """Alice's app with its releases, its database and a snapshot. Bob is a developer, Vera a viewer."""
    from greenroom.apps import actions as apps

    app = create_app(actor=alice, name="store", home=home)
    apps.add_collaborator(actor=alice, app=app, email=bob.email, role="developer")
    apps.add_collaborator(actor=alice, app=app, email=vera.email, role="viewer")
    addon = resources.create(
        kind="postgres", actor=alice, app=app, home=home, name="store-db", wanted="", confirmed=False
    )
    snapshots.capture(actor=alice, addon=addon, home=home, kind="manual")
    yield app
    for addon in Addon.objects.filter(app=app):
        actions.deprovision(addon=addon)


@pytest.fixture
def market(charlie, home):
    """Charlie's own app."""
    app = create_app(actor=charlie, name="market", home=home)
    resources.create(kind="postgres", actor=charlie, app=app, home=home, name="market-db", wanted="", confirmed=False)
    yield app
    for addon in Addon.objects.filter(app=app):
        actions.deprovision(addon=addon)


def client_of(actor, *scopes):
    _, plain = accounts.create_token(
        actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=scopes or ("global",)
    )
    return Client(headers={"Authorization": f"Bearer {plain}"})


def send(client, method, path, body=None):
    return client.generic(method, path, json.dumps(body or {}), content_type="application/json")


def values(app, home):
    return config.values(config.latest(app), home)


def test_there_are_such_routes():
    patterns = {row.pattern for row in routing.ROUTES}
    assert {"/client/v11/databases/{database}", "/addons/{addon}", "/addon-attachments/{attachment}"} <= patterns


def test_a_stranger_gets_the_same_answer_for_a_foreign_database_and_for_none(charlie, store):
    client = client_of(charlie)
    addon, attachment = Addon.objects.get(), Attachment.objects.get()
    ids = {
        "database": (str(addon.id), addon.name),
        "addon": (str(addon.id), addon.name),
        "attachment": (str(attachment.id),),
    }
    tried = 0
    for row in routing.ROUTES:
        word = re.search(r"\{(database|addon|attachment)\}", row.pattern)
        if "{app}" in row.pattern or not word:
            continue
        for name in ids[word[1]]:
            path = re.sub(r"\{\w+\}", "default", row.pattern.replace(word[0], name))
            none = re.sub(r"\{\w+\}", "default", row.pattern.replace(word[0], "no-such"))
            foreign, missing = send(client, row.method, path), send(client, row.method, none)
            assert (foreign.status_code, foreign.content) == (404, missing.content), (row.method, path)
            tried += 1
    assert tried > 15
    assert Addon.objects.get().state == "provisioned"
    assert not Restore.objects.exists()
    assert not Schedule.objects.exists()


def test_a_stranger_cannot_resolve_attach_or_list_a_foreign_database(charlie, store, market, home):
    client = client_of(charlie)
    for path, key in (("/actions/addons/resolve", "addon"), ("/actions/addon-attachments/resolve", "addon_attachment")):
        assert send(client, "POST", path, {key: "store-db", "app": None}).status_code == 404
        assert send(client, "POST", path, {key: "DATABASE", "app": "store"}).status_code == 404
    body = {"addon": {"name": "store-db"}, "app": {"name": "market"}, "name": "LOOT", "confirm": "market"}
    assert send(client, "POST", "/addon-attachments", body).status_code == 404
    assert "LOOT_URL" not in values(market, home)
    for path in ("/addons", "/addon-attachments", "/apps/market/addons"):
        assert "store-db" not in client.get(path).content.decode()
    assert send(client, "GET", "/apps/market/addons/store-db").status_code == 404
    assert send(client, "DELETE", "/apps/market/addons/store-db").status_code == 404


def test_a_stranger_cannot_restore_a_foreign_snapshot_into_an_app_of_their_own(charlie, store, market):
    client, row = client_of(charlie), Snapshot.objects.get()
    for reference in (
        f"greenroom:snapshot/{row.id}",
        "greenroom:snapshot/x",
        "file:///etc/passwd",
        "http://127.0.0.1/x",
    ):
        answer = send(client, "POST", "/client/v11/databases/market-db/restores", {"backup_url": reference})
        assert answer.status_code in (404, 422), reference
    assert not Restore.objects.exists()


def test_a_viewer_sees_no_password_and_changes_nothing(vera, store):
    client = client_of(vera)
    assert client.get("/apps/store/addons").status_code == 200
    for method, path in [
        ("GET", "/client/v11/databases/store-db"),
        ("GET", "/postgres/v0/databases/store-db/credentials/default"),
        ("GET", "/client/v11/apps/store/transfers"),
        ("POST", "/client/v11/apps/store/transfers/1/actions/public-url"),
        ("POST", "/client/v11/databases/store-db/backups"),
        ("PUT", "/client/v11/databases/store-db/reset"),
        ("GET", "/apps/store/pg/snapshots"),
        ("POST", "/apps/store/addons"),
    ]:
        assert send(client, method, path).status_code == 403, (method, path)


def test_a_developer_takes_snapshots_and_cannot_replace_the_data(bob, store):
    client = client_of(bob)
    assert send(client, "POST", "/apps/store/pg/snapshots", {"pinned": True}).status_code == 403
    assert send(client, "POST", "/client/v11/databases/store-db/backups").status_code == 201
    for method, path in [
        ("PUT", "/client/v11/databases/store-db/reset"),
        ("POST", "/apps/store/pg/snapshots/b001/actions/restore"),
        ("DELETE", "/client/v11/apps/store/transfers/1"),
        ("DELETE", "/apps/store/addons/store-db"),
        ("POST", "/client/v11/databases/store-db/transfer-schedules"),
    ]:
        assert send(client, method, path).status_code == 403, (method, path)


def test_a_token_for_writing_code_may_not_touch_data(alice, store):
    client = client_of(alice, "write")
    assert send(client, "PUT", "/client/v11/databases/store-db/reset").status_code == 403
    assert send(client, "GET", "/client/v11/databases/store-db").status_code == 403


def test_promoting_moves_the_url_and_names_both_in_one_release(alice, store, home):
    client = client_of(alice)
    assert send(client, "POST", "/apps/store/addons", {"plan": {"name": "heroku-postgresql"}}).status_code == 201
    second = Addon.objects.exclude(name="store-db").get()
    body = {"addon": {"name": second.name}, "app": {"name": "store"}, "name": "DATABASE"}
    refused = send(client, "POST", "/addon-attachments", body)
    assert (refused.status_code, refused.json()["id"]) == (422, "confirmation_required")
    assert send(client, "POST", "/addon-attachments", {**body, "confirm": "store"}).status_code == 201
    assert values(store, home)["DATABASE_URL"] == url_of(second, home).text
    newest = Release.objects.filter(app=store).order_by("-version").first()
    assert newest.description == f"Detach DATABASE (store-db), Attach DATABASE ({second.name})"


def test_the_last_attachment_of_its_own_app_cannot_be_detached(alice, store):
    answer = send(client_of(alice), "DELETE", f"/addon-attachments/{Attachment.objects.get().id}")
    assert answer.status_code == 409
    assert Attachment.objects.count() == 1


def test_a_database_that_others_see_is_destroyed_by_force_alone(alice, store, home):
    other = create_app(actor=alice, name="other", home=home)
    addon = Addon.objects.get()
    resources.attach(actor=alice, addon=addon, app=other, home=home, wanted="SHARED", confirmed=False)
    client = client_of(alice)
    assert send(client, "DELETE", "/apps/store/addons/store-db", {"force": False}).status_code == 409
    assert values(other, home)["SHARED_URL"] == values(store, home)["DATABASE_URL"]
    assert send(client, "DELETE", "/apps/store/addons/store-db", {"force": True}).json()["state"] == "deprovisioned"
    assert values(other, home) == values(store, home) == {}
    assert not Addon.objects.exists()


def test_what_a_kill_left_half_made_or_half_gone_is_finished(alice, store, home):
    half = addon_actions.record(kind="postgres", actor=alice, app=store, home=home, attachment="HALF")
    resources.heal(home=home)
    half.refresh_from_db()
    assert half.state == "provisioning", "a minute is left to whoever makes it"
    resources.heal(home=home, after=timedelta(0))
    half.refresh_from_db()
    assert half.state == "provisioned"
    assert values(store, home)["HALF_URL"] == url_of(half, home).text
    addon_actions.give_up(actor=alice, addon=half)
    resources.heal(home=home, after=timedelta(0))
    assert not Addon.objects.filter(pk=half.pk).exists()


def test_only_one_kind_of_database_can_be_made_and_options_are_refused(alice, store):
    client = client_of(alice)
    assert send(client, "POST", "/apps/store/addons", {"plan": {"name": "heroku-kafka"}}).status_code == 404
    body = {"plan": {"name": "heroku-postgresql"}, "config": {"follow": "DATABASE"}}
    assert send(client, "POST", "/apps/store/addons", body).status_code == 422
    for label in ("9x", "a b", "x;y", {"a": 1}):
        body = {"plan": {"name": "heroku-postgresql"}, "attachment": {"name": label}}
        assert send(client, "POST", "/apps/store/addons", body).status_code == 422, label
    assert Addon.objects.count() == 1


def test_a_snapshot_tells_what_its_restore_would_take_away(alice, store, home):
    from tests.addons.conftest import as_app

    with as_app(url_of(Addon.objects.get(), home).text) as app:
        app.execute("CREATE TABLE django_migrations (id serial, app text, name text)")
        app.execute("INSERT INTO django_migrations (app, name) VALUES ('shop', '0001_initial')")
    loss = client_of(alice).get("/apps/store/pg/snapshots/b001").json()["loss"]
    assert loss["migrations"] == ["shop.0001_initial"]
    assert loss["tables"] == 1


def test_a_database_is_copied_into_another_and_what_is_replaced_is_saved(alice, store, home):
    second = resources.create(
        kind="postgres", actor=alice, app=store, home=home, name="store-copy", wanted="COPY", confirmed=False
    )
    first = Addon.objects.get(name="store-db")
    with psycopg.connect(url_of(first, home).text) as connection:
        connection.execute("CREATE TABLE copied AS SELECT 7 AS n")
    urls = {"from_url": url_of(first, home).text, "to_url": url_of(second, home).text}
    answer = send(client_of(alice), "POST", "/client/v11/databases/store-copy/transfers", urls)
    assert answer.status_code == 201, answer.content
    assert restores.unfinished() == [], "it waits for the snapshot"
    snapshots.make(snapshot=Snapshot.objects.get(state="wanted"), home=home)
    (asked,) = restores.unfinished()
    restores.advance(restore=asked, home=home)
    with psycopg.connect(url_of(second, home).text) as connection:
        assert connection.execute("SELECT n FROM copied").fetchall() == [(7,)]
    kinds = sorted(Snapshot.objects.values_list("addon__name", "kind", "reason"))
    assert ("store-db", "manual", "pg:copy to store") in kinds
    assert any(row[:2] == ("store-copy", "before_restore") for row in kinds)


def test_a_copy_whose_snapshot_fails_changes_nothing_and_gives_its_reason(alice, store, home):
    second = resources.create(
        kind="postgres", actor=alice, app=store, home=home, name="store-copy", wanted="COPY", confirmed=False
    )
    urls = {"from_url": url_of(Addon.objects.get(name="store-db"), home).text, "to_url": url_of(second, home).text}
    row = send(client_of(alice), "POST", "/client/v11/databases/store-copy/transfers", urls).json()
    Snapshot.objects.filter(state="wanted").update(state="failed", failure="The disk is full.")
    (asked,) = restores.unfinished()
    restores.advance(restore=asked, home=home)
    row = client_of(alice).get(f"/client/v11/apps/store/transfers/{row['num']}").json()
    assert row["succeeded"] is False
    assert any("The disk is full." in line["message"] for line in row["logs"]), row["logs"]


def test_what_may_not_be_read_is_not_copied_nor_what_is_elsewhere(alice, bob, store, market, home):
    foreign, own = (url_of(Addon.objects.get(name=name), home).text for name in ("market-db", "store-db"))
    client, before = client_of(alice), Snapshot.objects.count()
    texts = set()
    for source in (foreign, "postgres://u:p@example.com/other", "https://example.com/x", "postgres://[", "x"):
        answer = send(client, "POST", "/client/v11/databases/store-db/transfers", {"from_url": source, "to_url": own})
        texts.add((answer.status_code, answer.json()["message"]))
    assert len(texts) == 1, "somebody else's database looks like none"
    assert (
        send(
            client, "POST", "/client/v11/databases/store-db/transfers", {"from_url": own, "to_url": foreign}
        ).status_code
        == 404
    )
    assert (
        send(
            client, "POST", "/client/v11/databases/market-db/transfers", {"from_url": own, "to_url": foreign}
        ).status_code
        == 404
    )
    assert (
        send(client, "POST", "/client/v11/databases/store-db/transfers", {"from_url": own, "to_url": own}).status_code
        == 409
    )
    assert (
        send(
            client_of(bob), "POST", "/client/v11/databases/store-db/transfers", {"from_url": own, "to_url": own}
        ).status_code
        == 403
    )
    assert (Snapshot.objects.count(), Restore.objects.count()) == (before, 0)


def test_an_add_on_is_found_by_its_service_where_there_is_one(alice, store, home):
    mine = client_of(alice)
    for name in ("heroku-postgresql", "postgresql", "heroku-postgresql:essential-0"):
        assert mine.get(f"/apps/store/addons/{name}").json()["name"] == "store-db"
        assert (
            send(mine, "POST", "/actions/addons/resolve", {"addon": name, "app": "store"}).json()[0]["name"]
            == "store-db"
        )
        found = send(
            mine, "POST", "/actions/addon-attachments/resolve", {"addon_attachment": name, "app": "store"}
        ).json()
        assert [row["addon"]["name"] for row in found] == ["store-db"]
    assert send(mine, "POST", "/actions/addons/resolve", {"addon": "heroku-postgresql", "app": None}).status_code == 404
    resources.create(kind="postgres", actor=alice, app=store, home=home, name="second-db", wanted="", confirmed=False)
    answer = send(mine, "DELETE", "/apps/store/addons/heroku-postgresql")
    assert (answer.status_code, answer.json()["id"]) == (422, "multiple_matches")
    assert "store-db, second-db" in answer.json()["message"]
    assert Addon.objects.filter(app=store, state="provisioned").count() == 2


def test_another_plan_than_the_one_there_is_is_refused_and_nothing_is_made(alice, store):
    mine = client_of(alice)
    for plan in ("heroku-postgresql:standard-0", "postgresql:hobby-dev"):
        answer = send(mine, "POST", "/apps/store/addons", {"plan": plan})
        assert (answer.status_code, "the only one is essential-0" in answer.json()["message"]) == (404, True)
    assert (
        send(
            mine, "PATCH", "/apps/store/addons/heroku-postgresql", {"plan": {"name": "heroku-postgresql:standard-0"}}
        ).status_code
        == 422
    )
    assert (
        send(
            mine, "PATCH", "/apps/store/addons/heroku-postgresql", {"plan": {"name": "heroku-postgresql:essential-0"}}
        ).status_code
        == 200
    )
    assert Addon.objects.filter(app=store).count() == 1


@pytest.mark.parametrize(
    ("service", "way"),
    [
        ("memcachier", "addons:create heroku-redis"),
        ("papertrail:choklad", "drains:add"),
        ("unheard-of", "heroku-postgresql"),
    ],
)
def test_a_service_that_is_not_there_is_refused_with_what_to_use(alice, store, service, way):
    answer = send(client_of(alice), "POST", "/apps/store/addons", {"plan": service})
    assert answer.status_code == 404
    assert way in answer.json()["message"]


def test_errors_speak_the_words_of_the_client_and_name_the_app(alice, store):
    mine = client_of(alice)
    for agent, command in (
        ("heroku-cli/11.10.0 linux-x64", "heroku apps"),
        ("greenroom", "greenroom apps"),
        ("curl/8", "heroku apps"),
    ):
        message = mine.get("/apps/no-such-app", headers={"User-Agent": agent}).json()["message"]
        assert "Couldn't find that app: no-such-app." in message
        assert f"hint: list your apps: {command}" in message


def test_an_app_without_a_database_is_told_how_to_get_one_and_not_to_destroy_itself(shop, alice):
    client = client_of(alice)
    for method, path in (("GET", "/apps/shop/pg"), ("POST", "/apps/shop/pg/snapshots")):
        answer = client.generic(method, path, b"{}", content_type="application/json")
        assert answer.status_code == 404
        assert answer.json()["hint"] == "heroku addons:create heroku-postgresql -a shop"
