"""``migrate && deliveries:wait`` is reliable: from start to end of migrate, a held release counts as pending."""

from __future__ import annotations

from datetime import timedelta

import pytest

from greenroom.app_migrations.actions import begin_run
from greenroom.app_migrations.models import MigrationRun, MigrationState
from greenroom.basics import clock
from greenroom.deliveries import actions, queries
from greenroom.deliveries.actions import held as holding
from greenroom.dynos.actions import make_one_off
from greenroom.dynos.models import Dyno, Rollout
from greenroom.releases.models import Release
from tests.api.world import client_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def held(world):
    world.live()
    row = world.push()
    world.run(row, until="rolling_out")
    Rollout.objects.filter(release=world.read(row).release).update(state="held")
    return actions.advance(delivery=world.read(row), state="held", home=world.home)


def migrate(world, row):
    dyno = make_one_off(
        actor=world.alice, app=world.app, release=row.release, command="python manage.py migrate", size="eco"
    )
    return begin_run(actor=world.alice, dyno=dyno)


def shown(world, row):
    answer = client_of(world.alice).get(f"/apps/shop/deliveries?sha={row.sha}").json()[0]
    return answer["state"], answer["migrations"]["held"], answer["finished_at"] is not None


def test_who_waits_right_after_a_good_migrate_never_reads_held(world, held):
    assert shown(world, held) == ("held", True, True)
    run = migrate(world, held)
    on_its_way = ("rolling_out", False, False)
    assert shown(world, held) == on_its_way, "it runs"
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=0)
    assert shown(world, held) == on_its_way, "it has ended; the radar is asked"
    MigrationRun.objects.filter(pk=run.pk).update(finished_at=clock.now())
    assert shown(world, held) == on_its_way, "the worker has not looked yet"


def test_a_migrate_that_failed_leaves_it_held(world, held):
    run = migrate(world, held)
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=1)
    assert shown(world, held) == ("held", True, True)


def test_a_migrate_from_before_it_was_tried_says_nothing(world, held):
    run = migrate(world, held)
    before = Rollout.objects.get(release=held.release).updated_at - timedelta(seconds=1)
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=0, finished_at=before)
    assert shown(world, held) == ("held", True, True)


@pytest.fixture
def replaced(world, held):
    """A user migrates in the held release while a colleague's config change replaces it. Returns the run and the
    change's delivery.
    """
    run = migrate(world, held)
    row = world.run(world.delivery_of(world.set(FOO="1")), until="rolling_out")
    assert (world.read(held).state, row.release.slug_id) == ("superseded", held.release.slug_id)
    return run, row


def hold(world, row):
    Rollout.objects.filter(release=row.release).update(state="held")
    return actions.advance(delivery=world.read(row), state="held", home=world.home)


def end(run):
    now = clock.now()
    Dyno.objects.filter(pk=run.dyno_id).update(state="ended", exit_code=0, finished_at=now)
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=0, finished_at=now)


@pytest.mark.parametrize("ends", ["after it is held", "while it is tried"])
def test_a_migrate_of_the_same_code_lets_the_config_change_go_on_once(world, replaced, ends):
    run, row = replaced
    state = MigrationState.objects.create(
        release=row.release, app=world.app, status="ok", pending=["shop.0002"], probed_at=clock.now()
    )
    if ends == "while it is tried":
        end(run)
    hold(world, row)
    if ends == "after it is held":
        assert [one.pk for one in queries.migrated()] == []
        assert queries.state_of(world.read(row)) == "rolling_out", "the migrate runs"
        end(run)
    assert [one.pk for one in queries.migrated()] == [row.pk]
    assert holding.resume(delivery=row, home=world.home)
    state.refresh_from_db()
    assert state.status == "unknown", "the answer is older than the migrate"
    hold(world, row)
    assert queries.migrated() == [], "it is tried once more for one migrate, not again and again"
    assert queries.state_of(world.read(row)) == "held"


def test_a_migrate_of_other_code_says_nothing(world, replaced):
    run, row = replaced
    MigrationRun.objects.filter(pk=run.pk).update(
        release=Release.objects.filter(app=world.app, status="succeeded", slug__isnull=False).first()
    )
    hold(world, row)
    end(run)
    assert queries.migrated() == []
