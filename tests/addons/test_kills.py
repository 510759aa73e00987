"""kill -9 at random moments of capture and restore: the database is the old or the restored one, and nothing is left
behind.
"""

from __future__ import annotations

import os
import random
import time

import pytest

from greenroom.addons import actions as addons
from greenroom.addons.models import Restore, Snapshot
from greenroom.addons.postgres import actions
from greenroom.addons.postgres.actions import restores, snapshots
from greenroom.addons.postgres.drivers import server
from greenroom.addons.postgres.loop import Loop
from greenroom.project.addon_platform import PLATFORM
from tests.addons.conftest import as_app
from tests.killing import start

TIMES = int(os.environ.get("GREENROOM_KILLS", "20"))
pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.neighbours]


def marker(url):
    with as_app(url) as app:
        return app.execute("SELECT n, (SELECT count(*) FROM shop_order) FROM marker").fetchone()


def next_turn(home):
    """The steps of the worker's turn."""
    snapshots.sweep(home=home)
    restores.sweep()
    for row in restores.unfinished():
        restores.advance(restore=row, home=home)
    for row in restores.swapped():
        restores.conclude(restore=row)


def test_twenty_kills_lose_no_database_and_leave_no_copy(alice, database, home):
    addon, url = database
    with as_app(url) as app:
        app.execute("CREATE TABLE marker (n int)")
        app.execute("INSERT INTO marker VALUES (0)")
    snapshot = snapshots.capture(actor=alice, addon=addon, home=home, kind="manual", pinned=True)
    seen = set()
    for number in range(1, TIMES + 1):
        with as_app(url) as app:
            app.execute("UPDATE marker SET n = %s", [number])
        child = start("addons/work_to_kill.py", home, addon.id, snapshot.id)
        time.sleep(random.uniform(0.0, 2.2))
        child.kill()
        child.wait()
        state = Restore.objects.filter(finished_at=None).values_list("state", flat=True).first()
        seen.add(state or "none open")
        assert marker(url) in ((number, 1000), (0, 1000)), f"kill {number} in state {state}"
        next_turn(home)
        assert marker(url) in ((number, 1000), (0, 1000)), f"after the turn that follows kill {number} in {state}"
        assert not Restore.objects.filter(finished_at=None).exists()
        assert not Snapshot.objects.filter(state__in=("running", "wanted", "deleting")).exists()
        assert_tidy(addon, home)
    assert {"wanted"} < seen, f"the kills hit nothing worth hitting: {seen}"
    Restore.objects.exclude(kept="").update(kept_until="2026-01-01T00:00:00Z")
    next_turn(home)
    with server.connect() as connection:
        assert server.databases_under(connection, addon.data["database"] + "_") == []


def assert_tidy(addon, home):
    kept = set(Restore.objects.exclude(kept="").values_list("kept", flat=True))
    with server.connect() as connection:
        assert set(server.databases_under(connection, addon.data["database"] + "_")) == kept
    files = {str(path.relative_to(home)) for path in (home / "snapshots").rglob("*.dump*")}
    assert files == set(Snapshot.objects.filter(state="succeeded").values_list("file", flat=True))


def test_a_database_that_takes_long_keeps_no_other_waiting(alice, charlie, database, cafe, home):
    """One app holds a lock that blocks its dump. The other app's snapshot is made meanwhile."""
    other, _ = addons.provision(kind="postgres", actor=charlie, app=cafe, home=home)
    turn = Loop(home, PLATFORM, hands=2)
    try:
        with as_app(database[1]) as app, app.transaction():
            app.execute("LOCK TABLE shop_order IN ACCESS EXCLUSIVE MODE")
            slow = snapshots.ask(actor=alice, addon=database[0])
            turn.turn()
            quick = snapshots.ask(actor=charlie, addon=other)
            deadline = time.monotonic() + 20
            while quick.state != "succeeded" and time.monotonic() < deadline:
                turn.turn()
                time.sleep(0.05)
                quick.refresh_from_db()
            slow.refresh_from_db()
            assert (quick.state, slow.state) == ("succeeded", "running")
        for thread in turn.busy.values():
            thread.join(20)
        slow.refresh_from_db()
        assert slow.state == "succeeded"
    finally:
        actions.deprovision(addon=other)
