"""Tests of the embedded PostgreSQL as `greenroom up` starts it: limits that protect the platform from apps and from
single queries.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psycopg
import pytest

from greenroom_cli.host import memory_limited, migration_records, postgres
from greenroom_cli.host.errors import HostError
from tests import postgres as suite


@pytest.fixture
def cluster(tmp_path_factory, monkeypatch):
    """(home, port) of a cluster with few connections, started with the host's own command; its user can read all files
    it needs.
    """
    home = (
        Path(os.path.realpath(tmp_path_factory.mktemp("pg")))
        if os.geteuid()
        else Path(tempfile.mkdtemp(prefix="greenroom-pg-"))
    )
    home.chmod(0o755)
    for name in ("postgres", "keys", "run/postgres", "logs"):
        (home / name).mkdir(parents=True, exist_ok=True)
    extra, bins = suite._as_other_user(home / "postgres", postgres.binaries())
    monkeypatch.setenv("GREENROOM_POSTGRES_BIN", str(bins))
    monkeypatch.setenv("GREENROOM_POSTGRES_MEMORY_MB", "512")
    monkeypatch.setitem(postgres.SETTINGS, "max_connections", "70")
    monkeypatch.setattr(sys, "executable", os.path.realpath(sys.executable))
    monkeypatch.setattr(memory_limited, "__file__", shutil.copy(memory_limited.__file__, home / "memory_limited.py"))
    (home / "keys" / "postgres.password").write_text("secret")
    (home / "keys" / "platform.password").write_text("own")
    user = (extra["user"], extra["group"]) if extra else None
    if user:
        os.chown(home / "run" / "postgres", *user)
    postgres.prepare(home, user)
    port = suite.free_port()
    process = subprocess.Popen(postgres.argv(home, port), cwd=home, **extra)
    deadline = time.monotonic() + 60
    while not postgres.answers(home, port):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.05)
    yield home, port
    process.send_signal(signal.SIGQUIT)
    process.wait(20)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def server(cluster):
    return cluster[1]


def enter(port, user, password, database="greenroom"):
    return psycopg.connect(host="127.0.0.1", port=port, user=user, password=password, dbname=database, autocommit=True)


def test_the_platform_gets_in_when_apps_hold_every_connection_and_a_greedy_query_fails_alone(server):
    with enter(server, "greenroom", "own") as platform:
        platform.execute("CREATE ROLE app LOGIN PASSWORD 'app'")
        platform.execute("GRANT CONNECT ON DATABASE greenroom TO app")
    with enter(server, "app", "app") as first:
        first.execute("SET work_mem = '1GB'")
        with pytest.raises(psycopg.errors.OutOfMemory):
            first.execute("SELECT length(string_agg(repeat('x', 1000000), '')) FROM generate_series(1, 400)")
        assert first.execute("SELECT 1").fetchone() == (1,)
        taken = [first]
        with pytest.raises(psycopg.OperationalError, match="reserved"):
            while True:
                taken.append(enter(server, "app", "app"))
        with enter(server, "greenroom", "own") as platform:
            assert platform.execute("SHOW temp_file_limit").fetchone() == ("1GB",)
        for connection in taken[1:]:
            connection.close()


TRAP = """
CREATE SCHEMA evil;
CREATE FUNCTION evil.seize() RETURNS name LANGUAGE plpgsql AS $$
    BEGIN ALTER ROLE tenant SUPERUSER; RETURN 'greenroom_guard'; END $$;
CREATE VIEW evil.pg_event_trigger AS SELECT evil.seize() AS evtname;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
GRANT SELECT ON evil.pg_event_trigger TO PUBLIC;
"""


@pytest.fixture
def trap(cluster):
    """A database created by a test run, with the name of an app's database and a search_path that makes the next
    superuser call a function.
    """
    home, port = cluster
    with enter(port, "greenroom", "own") as platform:
        platform.execute("CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'tenant'")
        platform.execute("GRANT CONNECT ON DATABASE postgres TO tenant")
    with enter(port, "tenant", "tenant", "postgres") as tenant:
        tenant.execute("CREATE DATABASE d0123456789ab")
        tenant.execute("ALTER DATABASE d0123456789ab SET search_path = evil, pg_catalog")
    with enter(port, "tenant", "tenant", "d0123456789ab") as tenant:
        tenant.execute(TRAP)
    (home / "postgres" / f"guard.{migration_records.VERSION}").unlink()
    return home, port


def test_a_test_run_can_store_nothing_in_the_database_postgres(server):
    with enter(server, "greenroom", "own") as platform:
        platform.execute("CREATE ROLE tenant LOGIN CREATEDB PASSWORD 'tenant'")
        platform.execute("GRANT CONNECT ON DATABASE postgres TO tenant")
    with enter(server, "tenant", "tenant", "postgres") as tenant:
        for statement in (
            "SELECT lo_create(0)",
            "SELECT lo_creat(-1)",
            "SELECT lo_from_bytea(0, '')",
            "CREATE SCHEMA s",
            "CREATE TABLE t ()",
            "CREATE TEMP TABLE t ()",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                tenant.execute(statement)


@pytest.mark.parametrize("owner", ["tenant", "greenroom"])
def test_the_next_up_does_not_run_what_a_tenant_put_in_the_way_of_a_superuser(trap, owner):
    home, port = trap
    with enter(port, "postgres", "secret") as superuser:
        superuser.execute(f"ALTER DATABASE d0123456789ab OWNER TO {owner}")
        assert postgres.answers(home, port)
        assert superuser.execute("SELECT rolsuper FROM pg_roles WHERE rolname = 'tenant'").fetchone() == (False,)
    with enter(port, "postgres", "secret", "d0123456789ab") as superuser:
        found = superuser.execute(
            "SELECT 1 FROM pg_catalog.pg_event_trigger WHERE evtname = 'greenroom_guard'"
        ).fetchone()
        assert found == (1,), "a new database has it from template1"


@pytest.mark.parametrize(
    ("name", "value"), [("GREENROOM_POSTGRES_MEMORY_MB", "12"), ("GREENROOM_POSTGRES_CONNECTIONS", "many")]
)
def test_a_setting_that_is_no_number_or_too_small_is_refused_with_what_is_allowed(name, value, monkeypatch):
    monkeypatch.setenv(name, value)
    with pytest.raises(HostError, match=f"{name} is '{value}'; it must be a number"):
        postgres.memory() if "MEMORY" in name else postgres.most_connections()
