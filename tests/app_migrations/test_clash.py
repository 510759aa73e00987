"""Two migrations of an app never run at once. One that has just ended blocks nothing."""

from __future__ import annotations

import pytest

from greenroom.app_migrations import actions
from greenroom.app_migrations.models import MigrationRun
from greenroom.basics.errors import ConflictError
from greenroom.config_vars.actions import write
from greenroom.dynos.models import Dyno
from greenroom.engine.contract import DynoState
from greenroom.releases.actions import release

pytestmark = pytest.mark.django_db
MIGRATE = "python manage.py migrate"


class Engine:
    """Reports the same phase for every dyno."""

    def __init__(self, phase: str, *, certain: bool = True) -> None:
        self.phase, self.certain = phase, certain

    def describe(self, dyno_id: str) -> DynoState:
        return DynoState(
            id=dyno_id,
            kind="run",
            owner="",
            process="run.7",
            phase=self.phase,
            reason="exit",
            exit_code=0,
            certain=self.certain,
        )


@pytest.fixture
def run(alice, shop, home, monkeypatch):
    monkeypatch.setattr(actions, "ENDING_SECONDS", 0.15)
    config = write(app=shop, home=home, values={}, actor=alice)
    row = release(actor=alice, app=shop, kind="config", description="x", slug=None, config=config)
    dyno = Dyno.objects.create(
        app=shop,
        release=row,
        kind="run",
        type="run",
        ordinal=7,
        command=MIGRATE,
        size="standard-1x",
        engine_id="shop-run-7",
    )
    return actions.begin_run(actor=alice, dyno=dyno)


def test_a_second_one_waits_for_the_first(shop, run):
    for engine in (None, Engine("running")):
        with pytest.raises(ConflictError, match=f"{run.dyno.name} is migrating shop now, started by alice@example.com"):
            actions.refuse_clash(app=shop, command=MIGRATE, engine=engine)
    actions.refuse_clash(app=shop, command="python manage.py shell", engine=Engine("running"))


@pytest.mark.parametrize("phase", ["exited", "lost"])
def test_one_that_has_just_ended_is_seen_to_have_ended(shop, run, phase):
    actions.refuse_clash(app=shop, command=MIGRATE, engine=Engine(phase))
    row = MigrationRun.objects.select_related("dyno").get()
    assert (row.dyno.state, row.exit_code) == ("ended", 0)
    actions.refuse_clash(app=shop, command=MIGRATE)


@pytest.mark.parametrize("phase", ["exited", "lost", "running"])
def test_a_restore_need_not_wait_for_what_the_radar_finds_after_a_migrate(shop, run, phase):
    going_on = actions.migrating(app=shop, engine=Engine(phase))
    assert (going_on == run) is (phase == "running")
    assert MigrationRun.objects.get().finished_at is None  # the radar has no result yet


def test_one_that_was_lost_and_may_still_run_is_in_the_way_of_migrates_and_restores(shop, run):
    engine = Engine("lost", certain=False)
    with pytest.raises(ConflictError, match="is migrating shop now"):
        actions.refuse_clash(app=shop, command=MIGRATE, engine=engine)
    assert actions.migrating(app=shop, engine=engine) == run
    row = MigrationRun.objects.select_related("dyno").get()
    assert (row.dyno.state, row.exit_code) == ("wanted", None)
