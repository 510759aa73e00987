"""A user's migrate is observed from outside: the seconds and the locks of each migration."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from greenroom.addons.postgres.actions import snapshots
from greenroom.app_migrations import queries, rules
from greenroom.app_migrations.actions import begin_run
from greenroom.app_migrations.loop.run_watch import Ledger, Watchers
from greenroom.app_migrations.models import MigrationRun, MigrationState
from greenroom.app_migrations.queries.rehearsals import beside
from greenroom.basics.errors import ConflictError
from greenroom.checks.models import CheckRun
from greenroom.dynos.actions import make_one_off
from greenroom.dynos.models import Rollout
from tests.addons.conftest import database, same_server  # noqa: F401 -- fixtures
from tests.app_migrations.test_rehearsals import app_state  # noqa: F401 -- a fixture

pytestmark = pytest.mark.django_db(transaction=True)


def test_each_migration_has_its_seconds_and_the_locks_belong_to_the_longest_of_those_seen_at_once():
    ledger = Ledger(100.0, [])
    ledger.saw({("shop_item", "ShareLock"), ("django_migrations", "RowExclusiveLock")}, 0.5)
    ledger.applied([("shop.0002", 100.1), ("shop.0003", 101.0)])
    ledger.applied([("shop.0004", 101.25)])
    assert [(one["name"], one["seconds"]) for one in ledger.found] == [
        ("shop.0002", 0.1),
        ("shop.0003", 0.9),
        ("shop.0004", 0.25),
    ]
    assert [len(one["locks"]) for one in ledger.found] == [0, 1, 0]
    assert ledger.found[1]["locks"] == [{"table": "shop_item", "mode": "ShareLock", "seconds": 0.5}]


def test_what_a_migrate_locks_and_for_how_long_is_on_record_though_nobody_asked_the_app(
    alice, app_state, shop, database
):
    newest = app_state[0]
    dyno = make_one_off(actor=alice, app=shop, release=newest, command="python manage.py migrate", size="standard-1x")
    run = begin_run(actor=alice, dyno=dyno)
    watchers = Watchers()
    watchers.see(list(queries.open_runs()))
    watchers.see(list(queries.open_runs()))
    assert len(watchers.threads) == 1
    url = f"{database[1]}?application_name={rules.session_name(shop.id.hex)}"
    with psycopg.connect(url) as connection:
        time.sleep(0.5)
        connection.execute("LOCK TABLE shop_order IN SHARE MODE")
        time.sleep(0.6)
        connection.execute(
            "INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0003_note', clock_timestamp())"
        )
        connection.commit()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not MigrationRun.objects.get(pk=run.pk).actual:
            time.sleep(0.05)
    row = MigrationRun.objects.get(pk=run.pk)
    (one,) = row.actual["migrations"]
    assert one["name"] == "shop.0003_note"
    held = {lock["mode"]: lock["seconds"] for lock in one["locks"] if lock["table"] == "shop_order"}
    assert 0.3 < held["ShareLock"] < 5
    assert beside(row) == [{**one, "rehearsed": None}]
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=0)
    watchers.threads[run.pk].join(10)
    assert not watchers.threads[run.pk].is_alive()
    watchers.see([])
    assert watchers.threads == {}
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("watch ")]


@pytest.fixture
def settled(app_state, shop):
    """(live release with nothing pending, newer release with the same migrations, its scan)."""
    newest, state = app_state
    MigrationState.objects.filter(pk=state.pk).update(pending=[], probed_at="2026-11-24T12:00Z", framework="django")
    Rollout.objects.create(app=shop, release=newest, state="live")
    newer = type(newest).objects.create(
        app=shop, version=newest.version + 1, kind="deploy", slug=newest.slug, config=newest.config
    )
    type(newest.slug).objects.filter(pk=newest.slug_id).update(migrations_digest="d")
    newer.slug.refresh_from_db()
    scan = CheckRun.objects.create(
        app=shop, sha=newest.slug.commit, name="scan", number=77, status="completed", conclusion="success"
    )
    return newest, newer, scan


def test_the_same_migrations_packages_and_config_vars_are_not_asked_for_again(settled):
    from greenroom.app_migrations.actions import watch

    row = watch(release=settled[1])
    assert (row.status, row.pending, row.probe) == ("ok", [], "")
    assert list(queries.open_probes()) == []


@pytest.mark.parametrize("change", ["digest", "pending", "missing", "scan", "run"])
def test_whatever_may_change_the_answer_makes_it_be_asked(settled, alice, shop, change):
    from greenroom.app_migrations.actions import watch

    live, newer, scan = settled
    if change == "digest":
        newer.slug.migrations_digest = "e"
    if change in ("pending", "missing"):
        MigrationState.objects.filter(release=live).update(**{change: ["shop.0003"]})
    if change == "scan":
        CheckRun.objects.filter(pk=scan.pk).update(conclusion="failure")
    if change == "run":
        make_one_off(actor=alice, app=shop, release=live, command="bash", size="standard-1x")
    assert watch(release=newer).status == "unknown"


@pytest.fixture
def revisions(app_state, shop):
    """A release of an Alembic app with a pending migration."""
    newest, state = app_state
    MigrationState.objects.filter(pk=state.pk).delete()
    type(newest.slug).objects.filter(pk=newest.slug_id).update(
        is_django=False, manifest={"package_sizes": {"alembic": ["1.13", 1], "sqlalchemy": ["2.0", 1]}}
    )
    return type(newest).objects.select_related("slug", "config", "app").get(pk=newest.pk)


def test_an_app_with_alembic_is_asked_snapshot_recorded_and_locked_but_not_rehearsed(alice, revisions, shop, home):
    from greenroom.app_migrations import actions
    from greenroom.app_migrations.actions.rehearsals import ask, offer
    from greenroom.engine.memory import MemoryEngine

    row = actions.watch(release=revisions)
    assert (row.framework, row.status) == ("alembic", "unknown")
    engine = MemoryEngine()
    actions.advance_probe(state=row, engine=engine, home=home)
    assert b"alembic" in engine.specs[row.probe].stdin
    assert b"MigrationExecutor" not in engine.specs[row.probe].stdin
    MigrationState.objects.update(status="ok", pending=["b2 price"])
    assert offer(actor=alice, release=revisions) is None
    with pytest.raises(ConflictError, match="Only Django's migrations are rehearsed"):
        ask(actor=alice, release=revisions)
    command = "alembic upgrade head"
    taken = actions.secure(actor=alice, release=revisions, command=command)
    assert (taken.state, taken.pinned) == ("wanted", True)
    assert snapshots.make(snapshot=taken, home=home).state == "succeeded"
    dyno = make_one_off(actor=alice, app=shop, release=revisions, command=command, size="standard-1x")
    run = actions.begin_run(actor=alice, dyno=dyno, snapshot=taken)
    assert (run.before, run.snapshot) == (["b2 price"], taken)
    with pytest.raises(ConflictError, match="is migrating shop now"):
        actions.refuse_clash(app=shop, command="python -m alembic downgrade -1")
