"""Tests of extensions: which server a new home gets, which extensions it has, and who may create them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest

from greenroom.addons.postgres import rules
from greenroom.basics import postgres_programs
from greenroom_cli.host import doctor, memory_limited, postgres, postgres_choice, untrusted_extensions
from greenroom_cli.host import home as homes
from greenroom_cli.host.errors import HostError
from tests import postgres as suite
from tests.host.test_postgres import cluster, enter  # noqa: F401 -- a fixture

TENANT = "tenant"
HOST_SERVERS = postgres_choice.on_host()


def fake_server(folder: Path, *extensions: str) -> Path:
    """A ``bin`` folder that looks like a server with these extensions."""
    bins = folder / "bin"
    bins.mkdir(parents=True)
    for name in ("initdb", "postgres", "pg_dump", "pg_restore"):
        (bins / name).write_text(f"#!/bin/sh\necho 'postgres (PostgreSQL) {folder.name}.3'\n")
        (bins / name).chmod(0o755)
    share = folder / "share" / "extension"
    share.mkdir(parents=True)
    for name in extensions:
        (share / f"{name}.control").touch()
        (share / f"{name}--1.0.control").touch()
    return bins


@pytest.fixture
def host(tmp_path, monkeypatch):
    """The folder with the host's servers."""
    monkeypatch.delenv(postgres_choice.CHOICE, raising=False)
    monkeypatch.delenv("DATABASE_URL", raising=False)
    monkeypatch.setattr(postgres_choice, "HOST", tmp_path / "host")
    return tmp_path / "host"


def test_a_new_home_gets_the_hosts_server_if_that_has_more_of_the_usual_extensions(host, tmp_path):
    fake_server(host / "14", *postgres_choice.USUAL)
    assert homes.settle(tmp_path / "home", None, None, None).postgres_bin == "", "14 is too old"
    fake_server(host / "15", "hstore", "pgcrypto")
    assert homes.settle(tmp_path / "home", None, None, None).postgres_bin == "", "the embedded one has more"
    bins = fake_server(host / "16", *postgres_choice.USUAL)
    assert homes.settle(tmp_path / "home", None, None, None).postgres_bin == str(bins)


def test_a_home_keeps_its_server_whatever_is_installed_later(host, tmp_path, monkeypatch):
    home = tmp_path / "home"
    home.mkdir()
    homes.write(home, homes.settle(home, None, None, None))
    fake_server(host / "16", *postgres_choice.USUAL)
    assert homes.settle(home, None, None, None).postgres_bin == ""
    monkeypatch.setenv(postgres_choice.CHOICE, "/opt/postgres/bin")
    homes.write(home, homes.settle(home, None, None, None))
    monkeypatch.delenv(postgres_choice.CHOICE)
    assert homes.settle(home, None, None, None).postgres_bin == "/opt/postgres/bin", "the named one is remembered"


def test_a_server_of_another_version_than_the_data_is_refused_before_it_starts(host, tmp_path, monkeypatch):
    monkeypatch.setenv(postgres_choice.CHOICE, str(fake_server(host / "16")))
    postgres.check_version(tmp_path)
    (tmp_path / "postgres" / "data").mkdir(parents=True)
    (tmp_path / "postgres" / "data" / "PG_VERSION").write_text("18\n")
    with pytest.raises(HostError, match=r"is of PostgreSQL 18, and .*/16/bin is PostgreSQL 16"):
        postgres.check_version(tmp_path)


def test_doctor_names_the_missing_extensions_and_the_command_that_gets_them(host, tmp_path, monkeypatch):
    def said(install):
        found = next(row for row in doctor.examine(tmp_path / "home", install) if row.name == "extensions")
        return found.level, found.text, found.remedy

    level, text, remedy = said(None)
    assert (level, "pgcrypto" in text, "uuid-ossp" in text) == ("warn", True, True)
    assert remedy.startswith("apt-get install postgresql postgresql-contrib")
    assert "operate.md" in said(homes.Installation())[2], "a home keeps its server"
    bins = fake_server(host / "16", *(name for name in postgres_choice.USUAL if name not in ("vector", "postgis")))
    monkeypatch.setenv(postgres_choice.CHOICE, str(bins))
    assert said(homes.Installation())[2] == "apt-get install postgresql-16-postgis-3 postgresql-16-pgvector"
    monkeypatch.setenv(postgres_choice.CHOICE, str(fake_server(host / "17", *postgres_choice.USUAL)))
    assert said(homes.Installation())[0] == "ok"


# -- who may create them -----------------------------------------------------------------------------------------------


@pytest.fixture
def tenant(cluster):
    """(home, port) of a cluster with a database ``shop`` like that of an app: the tenant may create in it, and owns
    nothing.
    """
    home, port = cluster
    with enter(port, "greenroom", "own") as platform:
        platform.execute("CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'tenant'")
        platform.execute("CREATE ROLE reader LOGIN PASSWORD 'reader'")
        platform.execute("CREATE DATABASE shop")
        platform.execute("GRANT CONNECT, CREATE ON DATABASE shop TO tenant")
        platform.execute("GRANT CONNECT ON DATABASE shop TO reader")
        platform.execute("GRANT CONNECT ON DATABASE postgres TO tenant")
    with enter(port, "greenroom", "own", "shop") as platform:
        platform.execute("GRANT ALL ON SCHEMA public TO tenant")
    return home, port


def has(port: int, name: str) -> bool:
    with enter(port, "postgres", "secret", "shop") as superuser:
        return bool(superuser.execute("SELECT 1 FROM pg_available_extensions WHERE name = %s", [name]).fetchone())


def test_an_owner_creates_every_usual_extension_that_the_server_has_and_drops_it(tenant):
    with enter(tenant[1], TENANT, TENANT, "shop") as owner:
        there = {name for name in postgres_choice.USUAL if has(tenant[1], name)}
        assert {"citext", "hstore", "pg_trgm", "unaccent", "btree_gin", "btree_gist"} <= there
        for name in sorted(there):
            owner.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}"')
            owner.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}"')
            owner.execute(f"COMMENT ON EXTENSION \"{name}\" IS 'mine'")
        for name in sorted(there):
            owner.execute(f'DROP EXTENSION "{name}"')
        assert owner.execute("SELECT count(*) FROM pg_extension").fetchone() == (1,)


def needs_vector(port: int) -> None:
    if not has(port, "vector"):
        pytest.skip("this server has no pgvector")


def test_a_migration_a_test_database_and_a_restore_create_pgvector(tenant, tmp_path):
    _, port = tenant
    needs_vector(port)
    with enter(port, TENANT, TENANT, "shop") as owner:
        owner.execute("BEGIN; CREATE EXTENSION IF NOT EXISTS vector; CREATE TABLE t (v vector(3)); COMMIT")
        owner.execute("INSERT INTO t VALUES ('[1,2,3]')")
        owner.execute("CREATE INDEX ON t USING hnsw (v vector_l2_ops)")
    with enter(port, TENANT, TENANT, "postgres") as tester:
        tester.execute("CREATE DATABASE test_shop")
    with enter(port, TENANT, TENANT, "test_shop") as tester:
        tester.execute("CREATE EXTENSION IF NOT EXISTS vector")
        tester.execute("CREATE DATABASE restored")
    env = {"PATH": "/usr/bin:/bin", "PGPASSWORD": TENANT}
    bins, address = postgres.binaries(), ["-h", "127.0.0.1", "-p", str(port), "-U", TENANT]
    dump = [str(bins / "pg_dump"), *address, "-Fc", "-f", str(tmp_path / "dump"), "shop"]
    subprocess.run(dump, env=env, check=True)
    load = [str(bins / "pg_restore"), *address, "--exit-on-error", "-d", "restored", str(tmp_path / "dump")]
    loaded = subprocess.run(load, env=env, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0, loaded.stderr
    with enter(port, TENANT, TENANT, "restored") as tester:
        assert tester.execute("SELECT v::text FROM t").fetchone() == ("[1,2,3]",)


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE EXTENSION IF NOT EXISTS dblink -- CREATE EXTENSION IF NOT EXISTS file_fdw",
        "CREATE EXTENSION IF NOT EXISTS pageinspect",
        "SET greenroom.extension = 'being created'; CREATE EXTENSION IF NOT EXISTS vector",
        "CREATE EXTENSION vector",
    ],
)
def test_every_other_extension_of_superusers_stays_theirs(tenant, statement):
    with (
        enter(tenant[1], TENANT, TENANT, "shop") as owner,
        pytest.raises((psycopg.errors.InsufficientPrivilege, psycopg.errors.FeatureNotSupported)),
    ):
        owner.execute(statement)


def test_a_role_that_may_not_create_in_the_database_creates_no_extension(tenant):
    needs_vector(tenant[1])
    with enter(tenant[1], "reader", "reader", "shop") as reader, pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("CREATE EXTENSION IF NOT EXISTS vector")


def test_the_creation_runs_nothing_of_the_tenant_as_superuser(tenant):
    needs_vector(tenant[1])
    with enter(tenant[1], TENANT, TENANT, "shop") as owner:
        owner.execute("CREATE SCHEMA mine")
        for name in ("current_setting(text)", "quote_ident(text)", "lower(text)", "to_regnamespace(text)"):
            owner.execute(
                f"CREATE FUNCTION mine.{name} RETURNS text LANGUAGE plpgsql AS"
                " $$ BEGIN EXECUTE 'ALTER ROLE tenant SUPERUSER'; RETURN 'none'; END $$"
            )
        owner.execute("SET search_path = mine, pg_catalog, public")
        owner.execute("CREATE EXTENSION IF NOT EXISTS vector SCHEMA public")
        row = owner.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = 'tenant'").fetchone()
        assert row == (False,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            owner.execute("SELECT pg_catalog.pg_read_file('/etc/passwd')")


def test_a_careful_extension_is_refused_beside_functions_of_the_app(tenant, monkeypatch):
    needs_vector(tenant[1])
    monkeypatch.setattr(untrusted_extensions, "CAREFUL", ("vector",))
    with enter(tenant[1], "postgres", "secret", "shop") as superuser:
        untrusted_extensions.put_into(superuser)
    with enter(tenant[1], TENANT, TENANT, "shop") as owner:
        owner.execute("CREATE FUNCTION trap() RETURNS int LANGUAGE sql AS 'SELECT 1'")
        with pytest.raises(psycopg.errors.RaiseException, match="before the app's own functions"):
            owner.execute("CREATE EXTENSION IF NOT EXISTS vector")
        owner.execute("CREATE SCHEMA empty")
        owner.execute("CREATE EXTENSION IF NOT EXISTS vector WITH SCHEMA empty")


# -- the host's own server ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def serving(home: Path, bins: Path, monkeypatch: pytest.MonkeyPatch):
    """The host's own server, with a cluster as ``greenroom up`` makes it; gives its port."""
    extra, _ = suite._as_other_user(home / "postgres", bins)
    monkeypatch.setenv(postgres_choice.CHOICE, str(bins))
    user = (extra["user"], extra["group"]) if extra else None
    if user:
        os.chown(home / "run" / "postgres", *user)
    postgres.prepare(home, user)
    port = suite.free_port()
    process = subprocess.Popen(postgres.argv(home, port), cwd=home, **extra)
    try:
        deadline = time.monotonic() + 60
        while not postgres.answers(home, port):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        yield port
    finally:
        process.send_signal(signal.SIGQUIT)
        process.wait(20)


@pytest.mark.skipif(not HOST_SERVERS, reason="the host has no PostgreSQL 15+: apt-get install postgresql")
@pytest.mark.parametrize("bins", HOST_SERVERS, ids=lambda path: path.parent.name)
def test_the_hosts_own_server_serves_a_home_and_has_pgcrypto_and_uuid_ossp(tmp_path_factory, monkeypatch, bins):
    import shutil
    import tempfile

    home = Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
    home.chmod(0o755)
    for name in ("postgres", "keys", "run/postgres", "logs"):
        (home / name).mkdir(parents=True, exist_ok=True)
    (home / "keys" / "postgres.password").write_text("secret")
    (home / "keys" / "platform.password").write_text("own")
    monkeypatch.setattr(sys, "executable", os.path.realpath(sys.executable))
    monkeypatch.setattr(memory_limited, "__file__", shutil.copy(memory_limited.__file__, home / "memory_limited.py"))
    try:
        with serving(home, bins, monkeypatch) as port, enter(port, "greenroom", "own") as platform:
            assert platform.execute("SELECT lower('ÄÖ')").fetchone() == ("äö",)
            for name in ("pgcrypto", "uuid-ossp", "citext", "hstore"):
                platform.execute(f'CREATE EXTENSION IF NOT EXISTS "{name}"')
            assert platform.execute("SELECT length(crypt('a', gen_salt('bf')))").fetchone() == (60,)
    finally:
        shutil.rmtree(home, ignore_errors=True)


def test_the_remedy_for_a_migration_names_the_same_extensions():
    assert rules.UNTRUSTED == untrusted_extensions.ALLOWED


def test_the_embedded_server_is_one_of_the_choices():
    embedded = postgres_programs.embedded("postgres")
    assert embedded
    assert "vector" in postgres_choice.extensions(embedded)
