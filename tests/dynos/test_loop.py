"""The loop stops dynos in the right order, and an error in one app does not block others."""

from __future__ import annotations

import pytest

from greenroom.accounts.actions import leavers
from greenroom.accounts.rules import PLATFORM
from greenroom.basics import clock, logfile
from greenroom.basics.errors import ConflictError
from greenroom.config_vars.actions import write
from greenroom.dynos import actions, loop, queries
from greenroom.dynos.models import Dyno, Rollout
from greenroom.dynos.queries import dyno_specs
from greenroom.dynos.rules import StartOptions
from greenroom.engine.contract import Capacity, DynoSpec
from greenroom.engine.memory import MemoryEngine, Outcome
from greenroom.releases.actions import release
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db


def serving(app, actor, home, engine):
    """A running web dyno of an obsolete release, with one open request."""
    config = write(app=app, home=home, values={}, actor=actor)
    row = release(actor=actor, app=app, kind="config", description="x", slug=None, config=config)
    Rollout.objects.create(app=app, release=row, state="retired")
    name = f"{app.name}-web.1"
    dyno = Dyno.objects.create(
        app=app,
        release=row,
        kind="web",
        type="web",
        ordinal=1,
        command="x",
        state="up",
        healthy=True,
        engine_id=name,
        endpoint=f"run/sockets/{name}",
    )
    engine.start(DynoSpec(id=name, kind="web", owner="x", uid=1, process="web.1", command=("x",), port=5000))
    engine.serve(name, 1)
    return dyno


@pytest.fixture
def engine():
    return MemoryEngine()


def test_the_route_moves_before_a_dyno_is_told_to_end_and_open_requests_are_waited_for(alice, shop, home, engine):
    dyno = serving(shop, alice, home, engine)
    seen = []
    turning = loop.Loop(
        engine, home, lambda app: seen.append((app.name, Dyno.objects.get(pk=dyno.pk).state, list(engine.signals)))
    )
    turning.turn()
    assert seen == [("shop", "stopping", [])], "the row says that it leaves, the engine has not been told"
    assert engine.signals == [(dyno.engine_id, "DRAIN")]
    turning.turn()
    assert engine.describe(dyno.engine_id).phase == "running", "a request is open"
    engine.serve(dyno.engine_id, 0)
    turning.turn()
    dyno.refresh_from_db()
    assert (dyno.state, dyno.exit_reason) == ("ended", "asked")
    assert len(seen) == 1


def test_a_dyno_is_not_told_to_end_while_its_route_cannot_be_moved(alice, shop, home, engine):
    serving(shop, alice, home, engine)
    broken = [True]

    def reroute(app):
        if broken:
            raise OSError("the disk is full")

    turning = loop.Loop(engine, home, reroute)
    turning.turn()
    assert engine.signals == []
    broken.clear()
    turning.turn()
    assert [name for _, name in engine.signals] == ["DRAIN"]


def test_a_keeper_that_does_not_know_how_to_drain_is_told_to_stop(alice, shop, home, engine, monkeypatch):
    now = [1000.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    dyno = serving(shop, alice, home, engine)
    turning = loop.Loop(engine, home)
    turning.turn()
    now[0] += loop.DRAINED + 1
    turning.turn()
    assert engine.signals == [(dyno.engine_id, "DRAIN"), (dyno.engine_id, "STOP")]


def test_what_one_app_runs_into_does_not_stop_another(alice, charlie, shop, cafe, home, engine, monkeypatch):
    first, second = serving(shop, alice, home, engine), serving(cafe, charlie, home, engine)
    real = queries.of_rollout

    def of_rollout(rollout):
        if rollout.app_id == shop.pk:
            raise RuntimeError("a bug of ours")
        return real(rollout)

    monkeypatch.setattr(queries, "of_rollout", of_rollout)
    loop.Loop(engine, home).turn()
    assert engine.signals == [(second.engine_id, "DRAIN")]
    assert Dyno.objects.get(pk=first.pk).state == "up"


def test_a_dyno_that_failed_of_a_refused_schema_change_says_so_with_the_remedy(alice, shop, home, engine):
    dyno = serving(shop, alice, home, engine)
    Rollout.objects.update(state="live")
    Dyno.objects.update(state="starting", healthy=False)
    folder = str(home / shop.log_folder)
    engine.end(
        dyno.engine_id, code=1, last_words="django.db.utils.ProgrammingError: must be owner of table shop_order\n"
    )
    loop.Loop(engine, home)._watch()
    dyno.refresh_from_db()
    assert (
        dyno.health_detail
        == "exited with status 1: the database refused `must be owner of table shop_order`; only a command that a user"
        " runs may change the schema"
    )
    said = [line.text for line in logfile.read_last(folder, 2)[0]]
    assert "only a command that a user runs may change the schema" in said[0]
    assert "greenroom run -a shop python manage.py migrate" in said[1]


def test_a_command_that_needs_an_extension_which_the_server_lacks_gets_the_remedy(alice, shop, home, engine):
    row = one_off(shop, alice, home, state="up")
    engine.start(DynoSpec(id=row.engine_id, kind="run", owner="x", uid=1, process=row.name, command=("x",)))
    said = 'psycopg.errors.FeatureNotSupported: extension "uuid-ossp" is not available\n'
    engine.end(row.engine_id, code=1, last_words=said)
    loop.Loop(engine, home).turn()
    row.refresh_from_db()
    assert "; hint: this PostgreSQL does not have the extension uuid-ossp; the operator gets" in row.health_detail
    lines = [line.text for line in logfile.read_last(str(home / shop.log_folder), 5)[0]]
    assert any(line.startswith("hint: this PostgreSQL does not have") and "greenroom doctor" in line for line in lines)


def one_off(app, actor, home, **columns):
    """A one-off dyno of a release with code, waiting to be started."""
    config = write(app=app, home=home, values={}, actor=actor)
    slug, _ = Slug.objects.get_or_create(
        app=app, commit="a" * 40, digest="0" * 64, defaults={"process_types": {"web": "serve"}, "size": 1}
    )
    row = release(actor=actor, app=app, kind="deploy", description="x", slug=slug, config=config)
    dyno = actions.make_one_off(
        actor=actor, app=app, release=row, command="python manage.py migrate", size="standard-1x"
    )
    Dyno.objects.filter(pk=dyno.pk).update(**columns)
    return dyno


def test_a_one_off_dyno_that_somebody_still_wants_to_start_is_not_abandoned(alice, shop, home, engine):
    long_ago = clock.now() - 2 * loop.ABANDONED
    waits, forgotten = (one_off(shop, alice, home, created_at=long_ago, updated_at=long_ago) for _ in range(2))
    assert actions.touch(waits)
    loop.Loop(engine, home).turn()
    assert [Dyno.objects.get(pk=dyno.pk).state for dyno in (waits, forgotten)] == ["wanted", "ended"]


@pytest.mark.parametrize("state", ["stopping", "ended"])
def test_a_one_off_dyno_that_was_stopped_before_it_started_never_starts(alice, shop, home, engine, monkeypatch, state):
    monkeypatch.setattr(actions, "intact", lambda *_: True)
    dyno = one_off(shop, alice, home)
    actions.mark(dyno=Dyno.objects.get(pk=dyno.pk), state=state)
    with pytest.raises(ConflictError, match="was stopped before it started"):
        actions.start(dyno=dyno, engine=engine, home=home)
    assert engine.list() == []


def test_a_dyno_that_somebody_stops_while_the_loop_looks_at_it_does_not_come_up_again(alice, shop, home, engine):
    dyno = one_off(shop, alice, home, state="starting")
    engine.start(DynoSpec(id=dyno.engine_id, kind="worker", owner="x", uid=1, process=dyno.name, command=("x",)))
    turning, seen = loop.Loop(engine, home), Dyno.objects.select_related("app").get(pk=dyno.pk)
    actions.mark(dyno=Dyno.objects.get(pk=dyno.pk), state="stopping")
    turning._watch_one(seen)
    assert Dyno.objects.get(pk=dyno.pk).state == "stopping"
    assert engine.signals == [(dyno.engine_id, "DRAIN")], "and is told to end in the same look"


def test_a_dyno_that_was_stopped_and_ends_before_the_loop_knows_has_not_crashed(alice, shop, home, engine):
    dyno = serving(shop, alice, home, engine)
    seen = Dyno.objects.select_related("app").get(pk=dyno.pk)
    actions.mark(dyno=Dyno.objects.get(pk=dyno.pk), state="stopping")
    engine.serve(dyno.engine_id, 0)
    engine.signal(dyno.engine_id, "STOP")
    actions.end(dyno=seen, seen=engine.describe(dyno.engine_id))
    assert Dyno.objects.get(pk=dyno.pk).exit_reason == "asked"


@pytest.mark.parametrize(("kind", "seconds"), [("web", 55.0), ("worker", 0.0)])
def test_connections_of_web_dynos_may_be_idle_as_long_as_on_heroku(alice, shop, home, kind, seconds):
    config = write(app=shop, home=home, values={}, actor=alice)
    slug = Slug.objects.create(
        app=shop, digest="e" * 64, commit="b" * 40, env_key="e", process_types={kind: "x"}, settings={}
    )
    row = release(actor=alice, app=shop, kind="deploy", description="x", slug=slug, config=config)
    dyno = Dyno(app=shop, release=row, kind=kind, type=kind, ordinal=1, command="x", engine_id=f"shop-{kind}.1")
    spec = dyno_specs.spec(dyno=dyno, home=home, capacity=Capacity(), options=StartOptions())
    assert spec.limits.idle == seconds


@pytest.mark.parametrize("attached", [True, False])
def test_an_attached_dyno_of_a_disabled_account_ends_also_if_it_ignores_sigterm(
    alice, bob, shop, home, monkeypatch, attached
):
    now = [0.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    engine = MemoryEngine(script=lambda spec: Outcome(ignores_term=True))
    config = write(app=shop, home=home, values={}, actor=alice)
    row = release(actor=alice, app=shop, kind="config", description="x", slug=None, config=config)
    dyno = Dyno.objects.create(
        app=shop,
        release=row,
        kind="run",
        type="run",
        ordinal=1,
        command="x",
        state="up",
        account_id=bob.account_id,
        attached=attached,
        engine_id="shop-run.1",
    )
    engine.start(
        DynoSpec(
            id=dyno.engine_id, kind="run", owner="x", uid=1, process="run.1", command=("x",), attach=True, hang_up=False
        )
    )
    loop.Loop(engine, home).turn()
    assert engine.signals == []
    leavers.disable(actor=PLATFORM, email=bob.email)
    turning = loop.Loop(engine, home)  # the worker was killed after the row was written
    turning.turn()
    assert engine.signals == ([(dyno.engine_id, "DRAIN")] if attached else [])
    now[0] = loop.LEAVER_GRACE + 1
    turning.turn()
    turning.turn()
    assert Dyno.objects.get(pk=dyno.pk).state == ("ended" if attached else "up")
