"""A restore, reset or copy that starts at the same moment as a migrate: one of the two sees the other."""

from __future__ import annotations

import pytest

from greenroom.addons.models import Addon, Restore
from greenroom.addons.postgres.queries import url_of
from greenroom.app_migrations import actions as migrations
from greenroom.deliveries.actions.addon_lifecycle import create
from greenroom.dynos.models import Dyno
from greenroom.entrypoints.api import views_pg
from greenroom.releases.models import Release
from tests.api.test_data import client_of, place, send, store  # noqa: F401 -- fixtures

pytestmark = pytest.mark.django_db
DATABASE = "/client/v11/databases/store-db"


def reset(client, home):
    return send(client, "PUT", f"{DATABASE}/reset")


def restore(client, home):
    transfers = client.get("/client/v11/apps/store/transfers").json()
    return send(client, "POST", f"{DATABASE}/restores", {"backup_url": transfers[0]["to_url"]})


def restore_snapshot(client, home):
    return send(client, "POST", "/apps/store/pg/snapshots/b001/actions/restore")


def copy(client, home):
    urls = {
        key: url_of(Addon.objects.get(name=name), home).text
        for key, name in (("from_url", "copied"), ("to_url", "store-db"))
    }
    return send(client, "POST", f"{DATABASE}/transfers", urls)


@pytest.mark.parametrize("ask", [reset, restore, restore_snapshot, copy])
def test_a_migrate_that_begins_after_the_restore_has_looked_is_seen(alice, store, home, monkeypatch, ask):
    if ask is copy:
        create(kind="postgres", actor=alice, app=store, home=home, name="copied", wanted="COPIED", confirmed=False)
    dyno = Dyno.objects.create(
        app=store,
        release=Release.objects.filter(app=store).latest("version"),
        kind="run",
        type="run",
        ordinal=7,
        size="standard-1x",
        command="python manage.py migrate",
        engine_id="store-run-7",
    )
    real, begun = migrations.migrating, []

    def migrating(**given):
        found = real(**given)
        if not begun:
            begun.append(True)
            begun.append(migrations.begin_run(actor=alice, dyno=dyno))
        return found

    monkeypatch.setattr(migrations, "migrating", migrating)
    monkeypatch.setattr(views_pg, "RESET_SECONDS", 0.0)
    answer = ask(client_of(alice), home)
    assert begun[1] is not None
    assert answer.status_code == 409, answer.content
    assert "Migrations of store are running (run.7)" in answer.json()["message"]
    assert not Restore.objects.exists()
