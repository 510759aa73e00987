"""Snapshots and restores on a real server: contents, retention, refusals, and recovery after a kill."""

from __future__ import annotations

import os
from datetime import timedelta

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.addons.actions import snapshots as any_snapshots
from greenroom.addons.drivers import platform_server
from greenroom.addons.models import Restore, Snapshot
from greenroom.addons.postgres import actions
from greenroom.addons.postgres.actions import restores, snapshots
from greenroom.addons.postgres.drivers import dumps, server
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, PlatformError, UserError
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db


def capture(alice, database, home, **more):
    return snapshots.capture(actor=alice, addon=database[0], home=home, kind="manual", **more)


def put_back(alice, database, home, snapshot):
    row = restores.restore(actor=alice, addon=database[0], snapshot=snapshot, home=home)
    restores.conclude(restore=row)
    return row


def orders(url):
    with as_app(url) as connection:
        return connection.execute("SELECT count(*) FROM shop_order").fetchone()[0]


def copies(database):
    with server.connect() as connection:
        return server.databases_under(connection, database[0].data["database"] + "_")


def test_a_snapshot_says_what_it_holds(alice, database, home):
    row = capture(alice, database, home, reason="before the demo", release_version=7)
    row.refresh_from_db()
    assert (row.name, row.state, row.kind, row.by, row.reason) == (
        "b001",
        "succeeded",
        "manual",
        alice.email,
        "before the demo",
    )
    assert row.migration_state == [["shop", "0001_initial"], ["shop", "0002_order"]]
    assert (row.tables, row.release_version) == (2, 7)
    assert row.size == (home / row.file).stat().st_size > 0
    assert row.database_size > 1_000_000
    assert (home / "snapshots").stat().st_mode & 0o777 == 0o700
    assert (home / row.file).stat().st_mode & 0o777 == 0o600
    assert AuditEntry.objects.filter(action="snapshot.create", detail__snapshot="b001").exists()


def test_a_restore_brings_back_what_was_and_keeps_what_is_replaced(alice, database, home):
    row = capture(alice, database, home)
    with as_app(database[1]) as connection:
        connection.execute("DELETE FROM shop_order WHERE id > 10")
        connection.execute("CREATE TABLE later (n int)")
    restored = put_back(alice, database, home, row)
    assert orders(database[1]) == 1000
    with as_app(database[1]) as connection:
        assert connection.execute("SELECT to_regclass('later')").fetchone() == (None,)
        connection.execute("ALTER TABLE shop_order ADD COLUMN note text")
        connection.execute("INSERT INTO shop_order (price) VALUES (1)")
    assert orders(database[1].rsplit("/", 1)[0] + "/" + restored.kept) == 10
    assert copies(database) == [restored.kept]
    assert [step.state for step in restored.steps.order_by("id")] == [
        "wanted",
        "loaded",
        "verified",
        "saved",
        "swapping",
        "swapped",
        "done",
    ]
    assert restored.saved.kind == "before_restore"
    assert put_back(alice, database, home, restored.saved).state == "done"
    assert orders(database[1]) == 10


def test_the_app_works_on_until_the_exchange_and_its_sessions_end_with_it(alice, database, home):
    row = capture(alice, database, home)
    with as_app(database[1]) as connection:
        connection.execute("SELECT 1")
        started = restores.restore(actor=alice, addon=database[0], snapshot=row, home=home)
        assert started.swap_seconds < 3
        with pytest.raises(Exception, match=r"terminat|closed"):
            connection.execute("SELECT 1")


def test_the_replaced_database_is_dropped_after_a_day_and_not_before(alice, database, home):
    restored = put_back(alice, database, home, capture(alice, database, home))
    restores.sweep()
    assert copies(database) == [restored.kept]
    Restore.objects.update(kept_until=clock.now() - timedelta(seconds=1))
    restores.sweep()
    restores.sweep()
    assert copies(database) == []
    assert orders(database[1]) == 1000


def test_two_restores_at_once_are_refused(alice, database, home):
    row = capture(alice, database, home)
    restores.ask(actor=alice, addon=database[0], snapshot=row)
    with pytest.raises(ConflictError, match="already"):
        restores.ask(actor=alice, addon=database[0], snapshot=row)


def test_a_damaged_file_changes_nothing(alice, database, home):
    row = capture(alice, database, home)
    with (home / row.file).open("r+b") as stream:
        stream.seek(200)
        stream.write(b"damage")
    with pytest.raises(PlatformError, match="damaged"):
        restores.restore(actor=alice, addon=database[0], snapshot=row, home=home)
    assert copies(database) == []
    assert orders(database[1]) == 1000
    assert Restore.objects.get().state == "failed"


def test_a_copy_that_is_not_what_was_recorded_is_not_put_in_place(alice, database, home):
    row = capture(alice, database, home)
    Snapshot.objects.filter(pk=row.pk).update(tables=3)
    row.refresh_from_db()
    with pytest.raises(PlatformError, match="2 tables"):
        restores.restore(actor=alice, addon=database[0], snapshot=row, home=home)
    assert copies(database) == []
    assert not Snapshot.objects.filter(kind="before_restore").exists()


def test_a_restore_that_is_interrupted_again_and_again_is_given_up(alice, database, home):
    row = restores.ask(actor=alice, addon=database[0], snapshot=capture(alice, database, home))
    Restore.objects.filter(pk=row.pk).update(attempts=restores.ATTEMPTS)
    restores.advance(restore=row, home=home)
    row.refresh_from_db()
    assert (row.state, "interrupted" in row.failure) == ("failed", True)


def test_an_exchange_that_happened_is_not_repeated(alice, database, home):
    """The state after a kill between the exchange and its record."""
    row = restores.restore(actor=alice, addon=database[0], snapshot=capture(alice, database, home), home=home)
    with as_app(database[1]) as connection:
        connection.execute("DELETE FROM shop_order WHERE id > 3")
    Restore.objects.filter(pk=row.pk).update(state="swapping")
    restores.advance(restore=row, home=home)
    row.refresh_from_db()
    assert row.state == "swapped"
    assert orders(database[1]) == 3


def test_a_database_that_is_replaced_while_the_worker_sweeps_is_kept(alice, database, home, monkeypatch):
    row = restores.ask(actor=alice, addon=database[0], snapshot=capture(alice, database, home))
    real = server.names_like

    def names_like(*given):
        restores.advance(restore=row, home=home)
        return real(*given)

    monkeypatch.setattr(server, "names_like", names_like)
    restores.sweep()
    row.refresh_from_db()
    assert row.state == "swapped"
    assert copies(database) == [row.kept]


def test_a_failed_dump_leaves_a_row_that_says_why_and_no_file(alice, database, home, monkeypatch):
    monkeypatch.setenv("GREENROOM_POSTGRES_BIN", "/nonexistent")
    with pytest.raises(PlatformError):
        capture(alice, database, home)
    row = Snapshot.objects.get()
    assert row.state == "failed"
    assert "pg_dump" in row.failure
    assert not list((home / "snapshots").rglob("*.dump*"))


def test_a_folder_that_cannot_be_made_ends_the_snapshot_with_the_reason(alice, database, home):
    (home / "snapshots").write_text("a file where the folder belongs")
    row = snapshots.ask(actor=alice, addon=database[0])
    with pytest.raises(FileExistsError):
        snapshots.make(snapshot=row, home=home)
    assert Snapshot.objects.get().state == "failed"
    assert "FileExistsError" in Snapshot.objects.get().failure
    Snapshot.objects.update(state="running")
    snapshots.sweep(home=home)
    assert Snapshot.objects.get().state == "failed"


def test_a_half_made_snapshot_is_marked_failed_and_its_file_removed_unless_somebody_makes_it(alice, database, home):
    row = snapshots.ask(actor=alice, addon=database[0])
    Snapshot.objects.filter(pk=row.pk).update(state="running")
    half = home / (row.file + ".part")
    half.parent.mkdir(parents=True)
    half.touch()
    with platform_server.claim(row.id) as mine:
        assert mine
        snapshots.sweep(home=home)
        assert half.exists()
        assert Snapshot.objects.get().state == "running"
    snapshots.sweep(home=home)
    assert not half.exists()
    assert Snapshot.objects.get().state == "failed"


def test_deleting_removes_file_and_row_but_not_what_is_pinned_or_in_use(alice, database, home):
    row = capture(alice, database, home, pinned=True)
    with pytest.raises(ConflictError, match="pinned"):
        any_snapshots.delete(actor=alice, snapshot=row, home=home)
    any_snapshots.pin(actor=alice, snapshot=row, pinned=False)
    asked = restores.ask(actor=alice, addon=database[0], snapshot=row)
    with pytest.raises(ConflictError, match="in use"):
        any_snapshots.delete(actor=alice, snapshot=row, home=home)
    asked.delete()
    any_snapshots.delete(actor=alice, snapshot=row, home=home)
    assert not (home / row.file).exists()
    assert not Snapshot.objects.exists()


def test_retention_removes_the_files_too_and_spares_pinned_ones(alice, database, home):
    rows = [capture(alice, database, home, pinned=number == 0) for number in range(4)]
    Snapshot.objects.filter(pk__in=[rows[0].pk, rows[1].pk]).update(kind="before_migrate")
    for number in range(5):
        Snapshot.objects.create(
            addon=database[0],
            number=100 + number,
            kind="before_migrate",
            state="succeeded",
            file=f"snapshots/none/{number}",
        )
    snapshots.sweep(home=home)
    assert (home / rows[0].file).exists()
    assert not (home / rows[1].file).exists()
    assert (home / rows[2].file).exists()
    assert not Snapshot.objects.filter(pk=rows[1].pk).exists()


def test_a_file_that_no_row_names_is_removed(alice, database, home):
    row = capture(alice, database, home)
    Snapshot.objects.all().delete()
    (home / "snapshots" / "kept.txt").touch()
    snapshots.sweep(home=home)
    assert not (home / row.file).exists()
    assert os.listdir(home / "snapshots")


def test_removing_the_add_on_removes_its_copies(alice, database, home):
    put_back(alice, database, home, capture(alice, database, home))
    actions.deprovision(addon=database[0])
    assert copies(database) == []


def test_an_unknown_kind_is_refused(alice, database, home):
    with pytest.raises(UserError, match="kinds"):
        snapshots.capture(actor=alice, addon=database[0], home=home, kind="whim")


def test_a_restored_database_is_as_closed_as_before(alice, database, home):
    put_back(alice, database, home, capture(alice, database, home))
    name = database[0].data["database"]
    with server.connect() as connection:
        public = "SELECT has_database_privilege('public', %s, 'CONNECT')"
        assert connection.execute(public, [name]).fetchone() == (False,)
        assert server.tenant(connection, name) == database[0].data["role"]
    with as_app(database[1]) as connection, pytest.raises(Exception, match="owner"):
        connection.execute(f"ALTER DATABASE {name} SET work_mem = '1MB'")
    assert dumps.contents(database=name, role=database[0].data["role"]).tables == 2
