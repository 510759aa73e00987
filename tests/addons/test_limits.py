"""One account cannot exhaust the database server: connections, bytes and apps are limited."""

from __future__ import annotations

import psycopg
import pytest
from django.db import transaction

from greenroom.accounts.models import Account
from greenroom.addons import actions as addons
from greenroom.addons.models import Addon
from greenroom.addons.postgres import actions, queries, rules
from greenroom.addons.postgres.actions import limits
from greenroom.addons.postgres.drivers import role_removal, server
from greenroom.apps import actions as apps
from greenroom.apps.actions import transfers
from greenroom.basics.errors import ConflictError
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db


def reread(addon):
    return Addon.objects.select_related("app__owner").get(pk=addon.pk)


def test_an_app_may_have_as_many_connections_as_were_given_to_it(database):
    addon, url = database
    with server.connect() as connection:
        assert server.role_limit(connection, addon.data["role"]) == queries.connections_of(addon) == rules.MOST
        assert server.database_limit(connection, addon.data["database"]) == rules.MOST + rules.OWN
        server.limit_role(connection, addon.data["role"], 1)
    with as_app(url), pytest.raises(psycopg.OperationalError, match="too many connections for role"), as_app(url):
        pass


def test_limits_that_somebody_changed_on_the_server_are_set_again(database, home):
    addon, _ = database
    with server.connect() as connection:
        server.limit_role(connection, addon.data["role"], 400)
        server.limit_database(connection, addon.data["database"], 400)
        limits.look(addon=reread(addon), home=home)
        assert server.role_limit(connection, addon.data["role"]) == rules.MOST
        assert server.database_limit(connection, addon.data["database"]) == rules.MOST + rules.OWN


@pytest.mark.parametrize("missing", [True, False])
def test_a_database_with_a_fault_does_not_keep_the_next_ones_from_being_looked_at(
    alice, shop, home, database, monkeypatch, missing
):
    first, _ = database
    second, _ = addons.provision(kind="postgres", actor=alice, app=shop, home=home, attachment="SECOND")
    faulty, whole = sorted((first, second), key=lambda row: row.pk)
    limit_database = server.limit_database
    with server.connect() as connection:
        if missing:
            role_removal.drop_role(connection, f"{faulty.data['role']}_build")
        else:
            monkeypatch.setattr(
                server,
                "limit_database",
                lambda c, name, n: 1 / 0 if name == faulty.data["database"] else limit_database(c, name, n),
            )
        for addon in (faulty, whole):
            connection.execute(f"ALTER DATABASE {addon.data['database']} CONNECTION LIMIT 400")
        limits.Watch(home).turn()
        assert server.database_limit(connection, whole.data["database"]) == rules.MOST + rules.OWN
        assert (server.database_limit(connection, faulty.data["database"]) == rules.MOST + rules.OWN) is missing
    actions.deprovision(addon=second)


def test_an_account_with_all_its_connections_given_out_is_told_what_to_do(alice, shop, home, settings, database):
    settings.ACCOUNT_CONNECTIONS = rules.MOST + 2 * rules.OWN
    with pytest.raises(ConflictError, match=r"alice@example\.com has reached its limit.*25 of 30") as error:
        addons.record(kind="postgres", actor=alice, app=shop, home=home, attachment="SECOND")
    assert "GREENROOM_ACCOUNT_CONNECTIONS" in error.value.hint
    Account.objects.filter(pk=shop.owner_id).update(is_admin=True)
    shop.owner.refresh_from_db()
    assert (
        addons.record(kind="postgres", actor=alice, app=shop, home=home, attachment="SECOND").data["connections"]
        == rules.MOST
    )


def test_a_database_made_when_the_room_was_full_gets_more_connections_when_there_are_some(
    alice, shop, home, settings, database
):
    settings.ACCOUNT_CONNECTIONS = rules.MOST + rules.LEAST + 2 * rules.OWN
    late, _ = addons.provision(kind="postgres", actor=alice, app=shop, home=home, attachment="LATE")
    assert late.data["connections"] == rules.LEAST
    settings.ACCOUNT_CONNECTIONS = 1_000
    limits.look(addon=reread(late), home=home)
    with server.connect() as connection:
        assert server.role_limit(connection, late.data["role"]) == rules.MOST
    actions.deprovision(addon=late)


def test_a_database_over_its_quota_is_read_only_and_told_so_until_it_is_smaller(database, home, settings):
    addon, url = database
    settings.DATABASE_MB = 1
    with as_app(url) as before:
        limits.look(addon=reread(addon), home=home)
        with pytest.raises(psycopg.OperationalError):
            before.execute("SELECT 1")
    assert reread(addon).data["over"] == "closed"
    with pytest.raises(psycopg.OperationalError, match="not permitted to log in"), as_app(url):
        pass
    settings.DATABASE_MB = queries.info(addon)["size_bytes"] // 1_500_000
    limits.look(addon=reread(addon), home=home)
    with as_app(url) as connection:
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("INSERT INTO shop_order (price) VALUES (1)")
        connection.execute("SET default_transaction_read_only = off")
        connection.execute("DELETE FROM shop_order WHERE id = 1")
    settings.DATABASE_MB = 10_000
    limits.look(addon=reread(addon), home=home)
    with as_app(url) as connection:
        connection.execute("INSERT INTO shop_order (price) VALUES (1)")
    text = "\n".join(path.read_text() for path in sorted((home / addon.app.log_folder).iterdir()))
    assert "the app cannot connect" in text
    assert "read-only for the app" in text
    assert "can write again" in text


def test_an_account_may_own_so_many_apps_and_is_told_so(alice, charlie, cafe, shop, settings):
    settings.ACCOUNT_APPS = 1
    with pytest.raises(ConflictError, match=r"App limit of alice@example\.com reached \(1\)") as error:
        apps.create(actor=alice, name="second")
    assert "GREENROOM_ACCOUNT_APPS" in error.value.hint
    offer = transfers.offer(actor=charlie, app=cafe, recipient=alice.email)
    with pytest.raises(ConflictError, match="App limit of"), transaction.atomic():
        transfers.answer(actor=alice, transfer=offer, state="accepted")
    cafe.refresh_from_db()
    assert cafe.owner.email == charlie.email
    Account.objects.filter(email=alice.email).update(is_admin=True)
    apps.create(actor=alice, name="second")
