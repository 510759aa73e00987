"""The worker's turn over databases: it makes requested snapshots, requests due ones once, and replaces the app's
processes after a restore.
"""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from greenroom.addons.actions import snapshots as any_snapshots
from greenroom.addons.models import Restore, Schedule, Snapshot
from greenroom.addons.postgres.actions import restores, schedules, snapshots
from greenroom.addons.postgres.loop import Loop
from greenroom.app_migrations import actions as migrations
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars.actions import write
from greenroom.dynos.actions import make_live, want
from greenroom.project.addon_platform import PLATFORM
from greenroom.releases.actions import release
from tests.addons.conftest import as_app

pytestmark = pytest.mark.django_db


@pytest.fixture
def rollout(alice, shop, home):
    """The live rollout of a release of shop."""
    config = write(app=shop, home=home, values={}, actor=alice)
    row = want(
        app=shop, release=release(actor=alice, app=shop, kind="config", description="x", slug=None, config=config)
    )
    make_live(rollout=row)
    return row


def test_what_was_asked_for_is_made_in_the_next_turn(alice, database, home):
    row = snapshots.ask(actor=alice, addon=database[0], reason="x")
    with pytest.raises(ConflictError, match="already requested"):
        snapshots.ask(actor=alice, addon=database[0])
    Loop(home, PLATFORM).turn()
    row.refresh_from_db()
    assert row.state == "succeeded"
    assert (home / row.file).exists()


def test_a_restore_is_carried_out_and_the_apps_processes_are_replaced(alice, database, home, rollout):
    row = snapshots.capture(actor=alice, addon=database[0], home=home, kind="manual")
    asked = restores.ask(actor=alice, addon=database[0], snapshot=row)
    with as_app(database[1]) as app:
        app.execute("DROP TABLE shop_order CASCADE")
    Loop(home, PLATFORM).turn()
    asked.refresh_from_db()
    rollout.refresh_from_db()
    assert asked.state == "done"
    assert rollout.restart_seq > 0
    with as_app(database[1]) as app:
        assert app.execute("SELECT count(*) FROM shop_order").fetchone() == (1000,)


def test_a_reset_leaves_an_empty_database_that_the_app_may_use(alice, database, home):
    restores.ask(actor=alice, addon=database[0], snapshot=None)
    Loop(home, PLATFORM).turn()
    row = Restore.objects.get()
    assert (row.kind, row.state, row.saved.tables) == ("reset", "done", 2)
    with as_app(database[1]) as app:
        assert app.execute("SELECT to_regclass('shop_order')").fetchone() == (None,)
        app.execute("CREATE TABLE fresh (n int)")


def test_trouble_with_one_database_does_not_stop_the_others(alice, database, home, monkeypatch):
    first = snapshots.ask(actor=alice, addon=database[0])
    real = snapshots.make
    calls = []

    def make(*, snapshot, home):
        calls.append(snapshot.pk)
        if len(calls) == 1:
            raise RuntimeError("something unforeseen")
        return real(snapshot=snapshot, home=home)

    monkeypatch.setattr(snapshots, "make", make)
    second = Snapshot.objects.create(
        addon=database[0], number=50, kind="manual", state="wanted", file=f"snapshots/{'a' * 32}/{'b' * 32}.dump"
    )
    Loop(home, PLATFORM).turn()
    assert calls == [first.pk, second.pk]
    second.refresh_from_db()
    assert second.state == "succeeded"


def test_a_daily_snapshot_is_made_once_a_day(alice, database, home, monkeypatch):
    now = datetime(2026, 11, 23, 1, 30, tzinfo=UTC)
    monkeypatch.setattr(clock, "now", lambda: now)
    schedules.schedule(actor=alice, addon=database[0], hour=2, timezone="UTC", name="DATABASE_URL")
    Loop(home, PLATFORM).turn()
    assert not Snapshot.objects.exists()
    now = datetime(2026, 11, 23, 2, 0, 1, tzinfo=UTC)
    for _ in range(3):
        Loop(home, PLATFORM).turn()
    assert [(row.kind, row.state) for row in Snapshot.objects.all()] == [("scheduled", "succeeded")]
    assert Schedule.objects.get().last_day == date(2026, 11, 23)
    now = datetime(2026, 11, 24, 7, 0, tzinfo=UTC)
    Loop(home, PLATFORM).turn()
    assert Snapshot.objects.count() == 2


def test_a_schedule_made_after_its_hour_begins_tomorrow(alice, database, home, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: datetime(2026, 11, 23, 12, 0, tzinfo=UTC))
    schedules.schedule(actor=alice, addon=database[0], hour=2, timezone="UTC", name="DATABASE_URL")
    assert schedules.take_due() == []


def test_schedules_that_cannot_be_are_refused(alice, database):
    for facts in ({"hour": 24, "timezone": "UTC"}, {"hour": 2, "timezone": "Nowhere/Here"}):
        with pytest.raises(UserError):
            schedules.schedule(actor=alice, addon=database[0], name="x", **facts)
    with pytest.raises(NotFoundError):
        schedules.unschedule(actor=alice, addon=database[0])


def test_a_waiting_snapshot_can_be_cancelled_and_a_finished_one_cannot(alice, database, home):
    row = snapshots.ask(actor=alice, addon=database[0])
    assert any_snapshots.cancel(actor=alice, snapshot=row)
    Loop(home, PLATFORM).turn()
    row.refresh_from_db()
    assert (row.state, alice.email in row.failure) == ("failed", True)
    assert not any_snapshots.cancel(actor=alice, snapshot=row)


def test_no_migration_begins_while_the_database_is_being_replaced(alice, shop, database, home):
    restores.ask(actor=alice, addon=database[0], snapshot=None)
    with pytest.raises(
        ConflictError, match=r"database of shop is being reset now \(r001\), started by alice@example.com"
    ):
        migrations.refuse_clash(app=shop, command="python manage.py migrate")
    migrations.refuse_clash(app=shop, command="python manage.py shell")
    Loop(home, PLATFORM).turn()
    migrations.refuse_clash(app=shop, command="python manage.py migrate")


def test_the_replacing_of_another_apps_database_keeps_nobody_from_migrating(alice, shop, cafe, database):
    restores.ask(actor=alice, addon=database[0], snapshot=None)
    migrations.refuse_clash(app=cafe, command="python manage.py migrate")
