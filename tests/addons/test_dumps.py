"""Dumps and loads on a real server. The platform's role is not a superuser."""

from __future__ import annotations

import hashlib
import os
import shutil
from contextlib import ExitStack

import psycopg
import pytest

from greenroom.addons.postgres.drivers import dumps, guests, server
from greenroom.basics import processes
from greenroom.basics.errors import NotFoundError, PlatformError
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def copy(database):
    """The name of a second database, which is dropped at the end."""
    name = database[0].data["database"] + "_copy"
    yield name
    with server.connect() as connection:
        server.drop_database(connection, name)


def clone(database, copy, tmp_path):
    addon, _ = database
    made = dumps.dump(database=addon.data["database"], target=tmp_path / "snapshots" / "b001.dump")
    seconds = dumps.load(source=tmp_path / "snapshots" / "b001.dump", database=copy, role=addon.data["role"])
    return made, seconds


def test_a_loaded_copy_holds_everything_and_its_app_may_use_all_of_it(database, copy, tmp_path):
    made, seconds = clone(database, copy, tmp_path)
    assert seconds > 0
    assert made.contents == dumps.contents(database=copy, role=database[0].data["role"])
    assert made.contents.migrations == (("shop", "0001_initial"), ("shop", "0002_order"))
    assert made.contents.tables == 2
    with as_app(database[1], copy) as connection:
        assert connection.execute("SELECT total FROM report.total").fetchone() == (500500,)
        connection.execute("INSERT INTO shop_order (price) VALUES (report.twice(4))")
        connection.execute("ALTER TABLE shop_order ADD COLUMN note text DEFAULT 'x'")
        connection.execute("CREATE TABLE later (n int)")
        connection.execute("DROP TABLE django_migrations")
        connection.execute("DROP SCHEMA report CASCADE")
        connection.execute("DROP EXTENSION pg_trgm")
        connection.execute("CREATE SCHEMA another")


def test_a_copys_objects_belong_to_the_app_and_the_copy_itself_to_the_platform(database, copy, tmp_path):
    clone(database, copy, tmp_path)
    with as_app(database[1], copy) as connection:
        owners = connection.execute(
            "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace"
            " WHERE nspname IN ('public', 'report')"
        ).fetchall()
        assert owners == [(database[0].data["role"],)]
        owner = connection.execute(
            "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
        ).fetchone()
        assert owner == ("greenroom",)


def test_another_app_cannot_read_the_copy(database, copy, tmp_path, charlie, cafe, home):
    from greenroom.addons import actions as addons
    from greenroom.addons.postgres import actions

    clone(database, copy, tmp_path)
    addon, values = addons.provision(kind="postgres", actor=charlie, app=cafe, home=home)
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied"), as_app(values["DATABASE_URL"], copy):
            pass
    finally:
        actions.deprovision(addon=addon)


GUESTS = "SELECT rolname FROM pg_roles WHERE starts_with(rolname, 'guest_')"


@pytest.fixture
def no_guests():
    """Drop the guest roles of processes that other test files have killed on this server."""
    with server.connect() as connection:
        for (name,) in connection.execute(GUESTS).fetchall():
            guests._drop(connection, name)


def test_code_in_a_dump_finds_no_more_rights_than_the_app_has(database, copy, tmp_path, no_guests):
    """A CHECK constraint runs while data is loaded. This one resets its role and tries to create a role."""
    with as_app(database[1]) as connection:
        connection.execute("""
            CREATE FUNCTION public.grab(n int) RETURNS boolean LANGUAGE plpgsql AS $$
            BEGIN
                RESET ROLE;
                EXECUTE format('CREATE TABLE IF NOT EXISTS public.%I (n int)', 'trap_ran_as_' || current_user);
                BEGIN
                    CREATE ROLE stolen;
                EXCEPTION WHEN insufficient_privilege THEN NULL;
                END;
                RETURN true;
            END $$;
            CREATE TABLE public.trap (n int CHECK (public.grab(n)));
            INSERT INTO public.trap VALUES (1);
        """)
    clone(database, copy, tmp_path)
    with as_app(database[1], copy) as connection:
        rows = connection.execute("SELECT relname FROM pg_class WHERE relname LIKE 'trap_ran_as_guest%'").fetchall()
        assert rows, "the trap did not run: the test shows nothing"
        connection.execute(f"DROP TABLE {rows[0][0]}")
    with server.connect() as connection:
        assert not server.role_exists(connection, "stolen")
        assert not connection.execute(GUESTS).fetchall()


def test_a_guest_to_whom_a_tenant_granted_something_is_locked_out_until_the_database_is_gone(database):
    with server.connect() as connection:
        with guests.guest(database[0].data["role"], seconds=60) as guest, as_app(database[1]) as tenant:
            tenant.execute(f"GRANT SELECT ON shop_order TO {guest.name}")
        row = connection.execute("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [guest.name]).fetchone()
        assert row == (False,)
        assert guests.drop_expired(connection) == 0
        server.drop_database(connection, database[0].data["database"])
        assert guests.drop_expired(connection) == 1


def test_a_dump_is_made_while_the_app_writes(database, tmp_path):
    with as_app(database[1]) as busy, busy.transaction():
        busy.execute("INSERT INTO shop_order (price) VALUES (7)")
        dumps.dump(database=database[0].data["database"], target=tmp_path / "x.dump")


def test_the_file_is_closed_to_others_and_its_checksum_is_right(database, tmp_path):
    made = dumps.dump(database=database[0].data["database"], target=tmp_path / "new" / "x.dump")
    path = tmp_path / "new" / "x.dump"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert made.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    assert made.bytes == path.stat().st_size
    assert os.listdir(path.parent) == ["x.dump"]


def test_no_guest_stays_behind_and_overdue_ones_are_swept(database, copy, tmp_path, no_guests):
    clone(database, copy, tmp_path)
    with server.connect() as connection:
        assert connection.execute(GUESTS).fetchall() == []
        with guests.guest(database[0].data["role"], seconds=-3600) as guest:
            assert connection.execute(GUESTS).fetchall() == [(guest.name,)]
            assert guests.drop_expired(connection) == 1
            assert connection.execute(GUESTS).fetchall() == []


def test_the_password_is_in_no_argument(database, tmp_path, monkeypatch):
    seen = []
    real = processes.run

    def watch(argv, **rest):
        seen.append((argv, rest["env"]["PGPASSWORD"]))
        return real(argv, **rest)

    monkeypatch.setattr(processes, "run", watch)
    dumps.dump(database=database[0].data["database"], target=tmp_path / "x.dump")
    ((argv, password),) = seen
    assert password
    assert not [word for word in argv if password in word]


def test_too_little_room_is_said_before_anything_is_written(database, tmp_path, monkeypatch):
    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage._replace(free=1_000_000))
    with pytest.raises(PlatformError, match="1 MB free"):
        dumps.dump(database=database[0].data["database"], target=tmp_path / "x.dump")
    assert not (tmp_path / "x.dump").exists()


def test_a_deadline_ends_the_dump_and_leaves_no_half_file(database, tmp_path):
    with as_app(database[1]) as busy, busy.transaction():
        busy.execute("LOCK TABLE shop_order IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(PlatformError, match="timed out"):
            dumps.dump(database=database[0].data["database"], target=tmp_path / "d" / "x.dump", deadline=1.5)
    assert os.listdir(tmp_path / "d") == []


def test_a_table_that_stays_locked_is_named_with_who_holds_it(database, tmp_path, monkeypatch):
    monkeypatch.setattr(dumps, "LOCK_WAIT", 1)
    with as_app(database[1]) as busy, busy.transaction():
        busy.execute("LOCK TABLE shop_order IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(PlatformError, match=rf"shop_order \(by process {busy.info.backend_pid}\)"):
            dumps.dump(database=database[0].data["database"], target=tmp_path / "d" / "x.dump")
    assert os.listdir(tmp_path / "d") == []


def test_a_damaged_file_is_refused_with_pg_restores_words(database, copy, tmp_path):
    (tmp_path / "bad.dump").write_bytes(b"PGDMP nonsense")
    with pytest.raises(PlatformError, match="pg_restore"):
        dumps.load(source=tmp_path / "bad.dump", database=copy, role=database[0].data["role"])


def test_an_unknown_database_is_not_found(database, tmp_path):
    with pytest.raises(NotFoundError):
        dumps.dump(database="nosuch", target=tmp_path / "x.dump")


@pytest.mark.parametrize(
    "other",
    ["TABLE django_migrations (n int)", "VIEW django_migrations AS SELECT 1 / 0 AS id, 'a' AS app, 'b' AS name"],
)
def test_something_else_called_django_migrations_does_not_hinder_a_dump(database, copy, tmp_path, other):
    with as_app(database[1]) as app:
        app.execute("DROP TABLE django_migrations")
        app.execute(f"CREATE {other}")
    made, _ = clone(database, copy, tmp_path)
    assert made.contents.migrations == ()


def test_a_guest_who_comes_in_while_a_database_is_dropped_does_not_keep_it(database, copy, monkeypatch):
    role, ended, came = database[0].data["role"], server.end_sessions, []
    with server.connect() as connection:
        server.make_database(connection, copy, role)
    with guests.guest(role, seconds=60) as guest, ExitStack() as inside:

        def late(connection, **names):
            count = ended(connection, **names)
            if not came:
                came.append(inside.enter_context(server.connect(copy, guest)))
            return count

        monkeypatch.setattr(server, "end_sessions", late)
        with server.connect() as connection:
            server.drop_database(connection, copy)
            assert not server.database_exists(connection, copy)
    assert came
