"""The roles of an app's database on a real server: the app changes rows, builds only read, and only users change the
schema.
"""

from __future__ import annotations

import re
from contextlib import contextmanager

import psycopg
import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.addons.models import Addon, Restore
from greenroom.addons.postgres import actions, queries
from greenroom.addons.postgres.actions import restores, snapshots
from greenroom.addons.postgres.drivers import clones, role_removal, roles, server
from greenroom.addons.postgres.loop import RoleChecks
from greenroom.addons.postgres.rules import LEDGERS
from greenroom.addons.queries import environment
from greenroom.addons.rules.access import APP, BUILD, OWNER, role_for, swapped
from greenroom_cli.host import migration_records
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db
READS = (
    "SELECT * FROM django_migrations",
    "SELECT * FROM shop_order",
    "SELECT * FROM report.total",
    "SELECT report.twice(2)",
    "SELECT similarity('a', 'b')",
)
WRITES = (
    "INSERT INTO shop_order (price) VALUES (1)",
    "UPDATE shop_order SET price = 2",
    "DELETE FROM shop_order",
    "TRUNCATE shop_order",
    "SELECT setval('shop_order_id_seq', 5000)",
)
CHANGES = (
    "CREATE TABLE z (n int)",
    "ALTER TABLE shop_order ADD COLUMN n int",
    "DROP TABLE shop_order",
    "CREATE INDEX ON shop_order (id)",
    "DROP INDEX by_price",
    "CREATE SCHEMA z",
    "CREATE TABLE report.z (n int)",
    "DROP SCHEMA report CASCADE",
    "CREATE VIEW z AS SELECT 1",
    "CREATE FUNCTION z() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE EXTENSION hstore",
    "COMMENT ON TABLE shop_order IS 'z'",
    "CREATE TYPE z AS ENUM ('a')",
    "CREATE SEQUENCE z",
    "ALTER SEQUENCE shop_order_id_seq RESTART",
    "CREATE TRIGGER z BEFORE INSERT ON shop_order FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "INSERT INTO django_migrations (app, name) VALUES ('shop', '0003_x')",
    "UPDATE django_migrations SET name = 'x'",
    "DELETE FROM django_migrations",
    "TRUNCATE django_migrations",
    "TRUNCATE django_migrations RESTART IDENTITY",
    "SELECT setval('django_migrations_id_seq', 1)",
    "ALTER TABLE django_migrations RENAME TO z",
    "DROP TABLE django_migrations",
)


@contextmanager
def using(addon, home, kind):
    with as_app(queries.url_of(addon, home, kind).text) as connection:
        yield connection


def refused(connection, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(statement)


@pytest.mark.parametrize("kind", [APP, BUILD])
def test_the_apps_own_processes_cannot_change_the_schema_or_the_record_of_migrations(database, home, kind):
    with using(database[0], home, kind) as connection:
        for statement in CHANGES:
            refused(connection, statement)
        for statement in READS:
            connection.execute(statement)
        refused(connection, f"SET ROLE {database[0].data['role']}")


def test_the_apps_own_processes_write_rows_and_builds_do_not(database, home):
    for statement in WRITES:
        with using(database[0], home, BUILD) as connection:
            refused(connection, statement)
        with using(database[0], home, APP) as connection:
            connection.execute(statement)
    with using(database[0], home, APP) as connection:
        connection.execute("CREATE TEMPORARY TABLE z (n int)")
        if connection.info.server_version >= roles.MAINTAIN:
            connection.execute("VACUUM (ANALYZE) shop_order")


def test_what_people_add_later_is_the_apps_to_use(database, home):
    with as_app(database[1]) as owner:
        owner.execute(
            "CREATE SCHEMA later; CREATE TABLE later.t (id serial PRIMARY KEY); CREATE MATERIALIZED VIEW sums AS"
            " SELECT 1"
        )
        owner.execute("CREATE TABLE alembic_version (version_num text)")
        guarded = owner.execute("SELECT 1 FROM pg_event_trigger WHERE evtname = 'greenroom_guard'").fetchone()
    if not guarded:  # an external server: the platform is not a superuser there and revokes the right a little later
        roles.share(database[0].data["database"], database[0].data["role"])
    with using(database[0], home, APP) as connection:
        connection.execute("INSERT INTO later.t DEFAULT VALUES")
        if connection.info.server_version >= roles.MAINTAIN:
            connection.execute("REFRESH MATERIALIZED VIEW sums")
        connection.execute("SELECT * FROM alembic_version")
        refused(connection, "INSERT INTO alembic_version VALUES ('a')")


def test_rights_that_got_lost_or_came_back_are_put_right(database, home):
    addon, url = database
    app = roles.name(addon.data["role"], APP)
    with as_app(url) as owner:
        owner.execute(
            f"GRANT ALL ON django_migrations, django_migrations_id_seq TO {app}; REVOKE ALL ON shop_order FROM {app}"
        )
    roles.share(addon.data["database"], addon.data["role"])
    with using(addon, home, APP) as connection:
        connection.execute("INSERT INTO shop_order (price) VALUES (1)")
        refused(connection, "DELETE FROM django_migrations")
        refused(connection, "SELECT nextval('django_migrations_id_seq')")


def test_a_right_that_a_person_took_from_the_app_stays_taken(database, home):
    addon, url = database
    with as_app(url) as owner:
        owner.execute(f"REVOKE DELETE ON shop_order FROM {roles.name(addon.data['role'], APP)}")
    actions.check(addon=addon, home=home)
    with using(addon, home, APP) as connection:
        refused(connection, "DELETE FROM shop_order")


def test_an_app_that_changes_a_password_is_healed(database, home):
    addon, _ = database
    for kind in (OWNER, APP, BUILD):
        with using(addon, home, kind) as connection:
            connection.execute("ALTER ROLE CURRENT_USER PASSWORD 'mine'")
        with pytest.raises(psycopg.OperationalError), using(addon, home, kind):
            pass
        turn = RoleChecks(home)
        Addon.objects.filter(pk=addon.pk).update(state="provisioned")
        turn.turn()
        with using(addon, home, kind) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
    assert AuditEntry.objects.filter(action="addon.heal").count() == 3


def test_an_app_that_has_all_its_connections_in_use_is_not_taken_for_one_with_a_wrong_password(database, home):
    addon, _ = database
    with using(addon, home, APP) as connection, server.connect() as platform:
        server.limit_role(platform, roles.name(addon.data["role"], APP), 1)
        assert actions.check(addon=addon, home=home) is False
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not AuditEntry.objects.filter(action="addon.heal").exists()


def test_a_database_of_an_earlier_version_gets_its_roles(database, home):
    addon, _ = database
    owner = addon.data["role"]
    with server.connect() as connection, server.connect(addon.data["database"]) as inside:
        for kind in roles.LESSER:
            role = roles.name(owner, kind)
            connection.execute(f"GRANT {role} TO CURRENT_USER")
            inside.execute(f"DROP OWNED BY {role}")
            role_removal.drop_role(connection, role)
    Addon.objects.filter(pk=addon.pk).update(
        state="provisioned", data={"database": addon.data["database"], "role": owner}
    )
    assert [row.pk for row in actions.catch_up(home=home)] == [addon.pk]
    assert actions.catch_up(home=home) == []
    with using(addon, home, APP) as connection:
        connection.execute("INSERT INTO shop_order (price) VALUES (1)")
        refused(connection, "DELETE FROM django_migrations")
        refused(connection, "CREATE TABLE z (n int)")


def test_a_restored_and_an_emptied_database_are_the_apps_to_use(database, home, alice):
    addon, url = database
    snapshot = snapshots.capture(actor=alice, addon=addon, home=home, kind="manual", reason="")
    restores.restore(actor=alice, addon=addon, snapshot=snapshot, home=home)
    with using(addon, home, APP) as connection:
        connection.execute("INSERT INTO shop_order (price) VALUES (1)")
        refused(connection, "DELETE FROM django_migrations")
    Restore.objects.update(state="done", finished_at=snapshot.created_at)
    restores.advance(restore=restores.ask(actor=alice, addon=addon, snapshot=None), home=home)
    with as_app(url) as owner:
        owner.execute("CREATE TABLE django_migrations (id serial); CREATE TABLE t (n int)")
    with using(addon, home, APP) as connection:
        connection.execute("INSERT INTO t VALUES (1)")
        refused(connection, "INSERT INTO django_migrations DEFAULT VALUES")


def test_a_copy_for_a_rehearsal_has_both_roles_and_leaves_none_behind(database, home, tmp_path):
    addon, _ = database
    name = clones.name_for(addon, 1)
    clone = clones.make(addon=addon, name=name, folder=tmp_path, deadline=60)
    with as_app(clone.app_url) as connection:
        connection.execute("INSERT INTO shop_order (price) VALUES (1)")
        refused(connection, "ALTER TABLE shop_order ADD COLUMN n int")
        refused(connection, "DELETE FROM django_migrations")
    with as_app(clone.url) as connection:
        connection.execute("ALTER TABLE shop_order ADD COLUMN n int")
    assert clones.present() == {name}
    clones.drop(name=name)
    assert clones.present() == set()


def test_dumps_do_not_hold_what_only_this_server_knows(database, home, tmp_path):
    from greenroom.addons.postgres.drivers import dumps

    target = tmp_path / "d.dump"
    dumps.dump(database=database[0].data["database"], target=target)
    listed = dumps.processes.run([str(dumps.binaries() / "pg_restore"), "--list", str(target)], timeout=60, env={})
    assert b"TABLE public shop_order" in listed.out
    assert b"greenroom_guard" not in listed.out


def test_the_guard_knows_the_same_tables_as_the_platform():
    assert set(re.findall(r"'((?:django|alembic)_\w+)'", migration_records.FUNCTION)) == set(LEDGERS)


def test_only_what_a_person_started_is_the_owner():
    policies = ({}, {"schema_changes": "any"}, {"migrate_in_release": True})
    found = {
        kind: [role_for(kind, policy, migrates=kind == "release") for policy in policies]
        for kind in ("run", "web", "worker", "release", "build", "probe")
    }
    assert found == {
        "run": [OWNER] * 3,
        "web": [APP, OWNER, APP],
        "worker": [APP, OWNER, APP],
        "release": [APP, OWNER, OWNER],
        "build": [BUILD] * 3,
        "probe": [APP] * 3,
    }
    assert role_for("release", {"migrate_in_release": True}) == APP


def test_credentials_are_exchanged_wherever_they_stand():
    env = {
        "A": "postgres://u1:secret@h/d",
        "B": "x",
        "PGUSER": "u1",
        "PGPASSWORD": "secret",
        "C": "u12 secretive u1_app",
        "D": "host=h user=u1 password=secret",
    }
    found = swapped(env, [("secret", "other"), ("u1", "u1_app")])
    assert found == {
        "A": "postgres://u1_app:other@h/d",
        "B": "x",
        "PGUSER": "u1_app",
        "PGPASSWORD": "other",
        "C": "u12 secretive u1_app",
        "D": "host=h user=u1_app password=other",
    }


def test_a_dyno_sees_the_owners_credentials_of_no_database_that_is_attached(database, home, alice, cafe, charlie):
    from greenroom.addons import actions as attachments

    addon, url = database
    attachments.attach(actor=charlie, addon=addon, app=cafe, name="SHOP")
    found = environment({"SHOP_URL": url}, app=cafe, home=home, access=APP)
    assert found == {"SHOP_URL": queries.url_of(addon, home, APP).text}
    assert queries.url_of(addon, home).password not in str(found)
    assert environment({"SHOP_URL": url}, app=cafe, home=home, access=OWNER) == {"SHOP_URL": url}
