"""Rehearsals as rows and copies: requested, run, interrupted, swept. A script plays the tenant's dynos."""

from __future__ import annotations

import json

import psycopg
import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.addons.drivers import platform_server
from greenroom.addons.postgres import actions as databases
from greenroom.addons.postgres.drivers import clones, server
from greenroom.app_migrations.actions import begin_run, rehearsals
from greenroom.app_migrations.drivers.rehearsal import COPYING
from greenroom.app_migrations.models import MigrationRun, MigrationState, Rehearsal
from greenroom.app_migrations.queries import rehearsal_of, rollback_warnings
from greenroom.app_migrations.queries.rehearsals import outlook
from greenroom.app_migrations.rules import rehearsal_text as texts
from greenroom.app_migrations.rules.rehearsal_environment import isolated
from greenroom.basics.errors import ConflictError, PlatformError
from greenroom.checks.models import CheckRun
from greenroom.config_vars.actions import write
from greenroom.config_vars.queries import latest
from greenroom.dynos.actions import make_one_off
from greenroom.dynos.models import Dyno
from greenroom.engine.contract import DynoSpec
from greenroom.engine.errors import EngineAwayError
from greenroom.engine.memory import SUCCEEDS, MemoryEngine, Outcome
from greenroom.releases.actions import conclude, release
from greenroom.releases.models import Release
from greenroom.slugs.models import Slug
from tests.addons.conftest import as_app, database, same_server  # noqa: F401 -- fixtures

pytestmark = pytest.mark.django_db
MIGRATION = {"name": "shop.0003_note", "seconds": 0.5, "statements": ["ALTER TABLE shop_order ADD COLUMN note text"]}


class Tenant:
    """Writes the files that a dyno of each part would write. ``seen``: part -> (dyno's spec, copies at that time)."""

    def __init__(self, home, answers):
        self.home, self.answers, self.seen = home, answers, {}

    def __call__(self, spec):
        part = spec.id.split("-", 3)[3]
        with server.connect() as connection:
            self.seen[part] = (spec, server.databases_under(connection, "d"))
        name = (
            "rehearsal.json"
            if part in ("forward", "reverse")
            else "tests.json"
            if part.endswith("-tests")
            else "cell.json"
        )
        left = json.dumps(self.answers.get(part, {"state": "ok", "detail": "", "seconds": 1}))
        return Outcome(exit_code=0, leaves={f"out/{name}": left.encode()})


FORWARD = {"status": "ok", "migrations": [MIGRATION], "gone": [], "added": []}
REVERSE = {"status": "ok", "reverse": {"done": True, "detail": "", "seconds": 0.1, "differences": []}}


@pytest.fixture
def app_state(alice, shop, home, database):
    """(newest release, which has a pending migration, its radar row). An older release succeeded."""
    write(app=shop, home=home, values={"REDIS_URL": "redis://cache:6379/0", "DATABASE_URL": database[1]}, actor=alice)
    rows = []
    for number in (1, 2):
        slug = Slug.objects.create(
            app=shop,
            digest=str(number) * 64,
            commit=str(number) * 40,
            env_key="e",
            is_django=True,
            process_types={"web": "gunicorn x"},
            settings={"policy": {"rehearse_tests": False}},
        )
        row = release(actor=alice, app=shop, kind="deploy", description="x", slug=slug, config=latest(shop))
        conclude(release=row, status="succeeded", reason="")
        rows.append(row)
    state = MigrationState.objects.create(release=rows[1], app=shop, status="ok", pending=["shop.0003_note"])
    return rows[1], state


def carry_out(row, home, answers):
    tenant = Tenant(home, {"forward": FORWARD, "reverse": REVERSE, **answers})
    engine = MemoryEngine(tenant)
    rehearsals.advance(rehearsal=row, engine=engine, home=home)
    row.refresh_from_db()
    return tenant, engine


def left_over():
    return sorted(clones.present())


def test_a_rehearsal_measures_on_a_copy_that_is_gone_afterwards(alice, app_state, home, database):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    assert rehearsals.ask(actor=alice, release=app_state[0]) == row
    tenant, engine = carry_out(row, home, {})
    assert (row.state, row.colour, row.failure) == ("done", "green", "")
    assert list(tenant.seen) == ["old-old", "new-old", "forward", "new-new", "old-new", "reverse"]
    assert {name: cell["state"] for name, cell in row.document["cells"].items()} == dict.fromkeys(
        ("old_old", "new_old", "new_new", "old_new"), "ok"
    )
    assert row.document["reverse"]["done"]
    assert all(row.clone in names for _, names in tenant.seen.values())
    assert (left_over(), engine.list()) == ([], [])
    assert not list((home / "run" / "rehearsals").iterdir())
    assert rehearsal_of(app_state[0]) == row
    assert AuditEntry.objects.filter(action="migrations.rehearse", actor=alice.email).count() == 1


def test_without_a_smoke_command_the_old_codes_tests_write_to_bare_copies_of_the_schemas(
    alice, app_state, home, database
):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    Slug.objects.filter(pk=row.previous.slug_id).update(settings={})
    tenant, engine = carry_out(
        row, home, {"old-new-tests": {"state": "fails", "detail": "IntegrityError: null value in note", "seconds": 1}}
    )
    assert list(tenant.seen) == [
        "old-old",
        "new-old",
        "forward",
        "new-new",
        "old-new",
        "old-new-tests",
        "old-old-tests",
        "reverse",
    ]
    spec, names = tenant.seen["old-new-tests"]
    assert spec.env["DATABASE_URL"].endswith(f"/{row.clone}_bare")
    assert ("REDIS_URL" in spec.env, spec.egress, f"{row.clone}_bare" in names) == (False, False, True)
    assert (row.state, row.colour) == ("done", "amber")
    assert (
        row.document["cells"]["old_new"]["detail"]
        == "its tests, which pass on the old schema: IntegrityError: null value in note"
    )
    assert (left_over(), engine.list(), list((home / "run" / "rehearsals").iterdir())) == ([], [], [])
    with server.connect() as connection:
        assert [name for name in server.databases_under(connection, "d") if "_rehearsal_" in name] == []


def test_its_dynos_have_the_copy_alone_and_no_network(alice, app_state, home, database):
    tenant, _ = carry_out(rehearsals.ask(actor=alice, release=app_state[0]), home, {})
    for spec, _ in tenant.seen.values():
        assert spec.egress is False
        assert spec.log == ""
        assert "_rehearsal_" in spec.env["DATABASE_URL"]
        assert database[1] not in spec.env.values()
        assert "cache" not in spec.env["REDIS_URL"]
        assert database[1].split(":")[2].split("@")[0] not in f"{spec.env}{spec.command}{spec.stdin!r}", (
            "the live password stays outside"
        )


def test_the_copys_role_cannot_enter_the_live_database(alice, app_state, home, database, monkeypatch):
    import psycopg

    found = {}

    def try_both(part_spec):
        url = part_spec.env["DATABASE_URL"]
        with as_app(url) as connection:
            found["copy"] = connection.execute("SELECT count(*) FROM shop_order").fetchone()[0]
        try:
            with as_app(url, database[0].data["database"]):
                found["live"] = "let in"
        except psycopg.OperationalError as error:
            found["live"] = "permission denied" in str(error)
        return SUCCEEDS

    row = rehearsals.ask(actor=alice, release=app_state[0])
    rehearsals.advance(rehearsal=row, engine=MemoryEngine(try_both), home=home)
    assert found == {"copy": 1000, "live": True}


@pytest.mark.parametrize(
    ("answers", "colour", "said"),
    [
        (
            {
                "forward": {
                    "status": "failed",
                    "detail": "shop.0003_note: boom",
                    "migrations": [{**MIGRATION, "error": "boom"}],
                }
            },
            "red",
            "FAILS: boom",
        ),
        ({"forward": {"status": "failed", "detail": "two heads", "migrations": []}}, "red", "two heads"),
        ({"new-new": {"state": "fails", "detail": "500"}}, "red", "new code after migrate: FAILS: 500"),
        ({"old-new": {"state": "fails", "detail": "500"}}, "amber", "old code after migrate: FAILS: 500"),
        (
            {"old-new": {"state": "fails", "detail": "5"}, "new-old": {"state": "fails", "detail": "4"}},
            "amber",
            "neither code works on both",
        ),
        ({"old-old": {"state": "fails"}, "old-new": {"state": "fails", "detail": "x"}}, "green", "not known"),
    ],
)
def test_what_is_seen_has_a_colour_and_words(alice, app_state, home, answers, colour, said):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    carry_out(row, home, answers)
    assert (row.state, row.colour) == ("done", colour)
    assert said in rehearsals.summary(row)


def test_a_recorder_that_says_nonsense_teaches_nothing_and_leaves_nothing(alice, app_state, home):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    carry_out(row, home, {"forward": {"status": "\x00?"}})
    assert row.state == "failed"
    assert "recorder did not finish" in row.failure
    assert left_over() == []
    assert rehearsal_of(app_state[0]) is None


def test_one_that_was_killed_begins_again_and_is_given_up_after_three_times(alice, app_state, home, monkeypatch):
    row = rehearsals.ask(actor=alice, release=app_state[0])

    class Killed(BaseException):
        pass

    def kill(spec):
        raise Killed

    monkeypatch.setattr(rehearsals.Run, "clean", lambda self: None)
    for attempt in (1, 2, 3):
        with pytest.raises(Killed):
            rehearsals.advance(rehearsal=row, engine=MemoryEngine(kill), home=home)
        row.refresh_from_db()
        assert (row.state, row.attempts) == ("running", attempt)
        assert rehearsals.unfinished() == [row]
        assert rehearsals.sweep(engine=MemoryEngine()) == 0, "an open row's copy is not swept"
    assert left_over() == [row.clone]
    carry_out(row, home, {})
    assert (row.state, row.failure) == ("failed", "It was interrupted 3 times.")
    assert rehearsals.sweep(engine=MemoryEngine()) == 1
    assert left_over() == []


@pytest.mark.parametrize("restarted", [False, True])
def test_a_database_server_that_was_away_interrupts_a_rehearsal_and_does_not_end_it(
    alice, app_state, home, monkeypatch, restarted
):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    error = (
        PlatformError("pg_dump failed")
        if restarted
        else psycopg.errors.InternalError_("could not find tuple for role 66562")
    )

    def disturbed(self):
        raise error

    with monkeypatch.context() as patched:
        patched.setattr(rehearsals.Run, "whole", disturbed)
        patched.setattr(server, "restarted_since", lambda moment: restarted)
        with pytest.raises(type(error)):
            rehearsals.advance(rehearsal=row, engine=MemoryEngine(), home=home)
    row.refresh_from_db()
    assert (row.state, row.attempts, left_over()) == ("running", 1, [])
    assert not server.restarted_since(row.created_at)
    carry_out(row, home, {})
    assert (row.state, row.colour) == ("done", "green")


def test_a_supervisor_that_does_not_answer_for_a_while_is_waited_for_however_often(alice, app_state, home):
    row = rehearsals.ask(actor=alice, release=app_state[0])

    def away(spec):
        raise EngineAwayError("the supervisor does not answer: Connection refused")

    for _ in range(rehearsals.ATTEMPTS + 2):
        assert rehearsals.advance(rehearsal=row, engine=MemoryEngine(away), home=home)
        row.refresh_from_db()
        assert (row.state, row.attempts, row.step, row.failure) == (
            "wanted",
            0,
            "waiting for the supervisor",
            "",
        )
        assert left_over() == []
    carry_out(row, home, {})
    assert (row.state, row.colour) == ("done", "green")


def test_what_a_rehearsal_has_learnt_counts_only_when_nothing_is_left_of_it(alice, app_state, home, monkeypatch):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    clean, cleaned = rehearsals.Run.clean, []

    def away_afterwards(self):
        cleaned.append(self)
        if len(cleaned) == 2:
            raise EngineAwayError("the supervisor does not answer: Connection refused")
        clean(self)

    monkeypatch.setattr(rehearsals.Run, "clean", away_afterwards)
    carry_out(row, home, {})
    assert (row.state, row.step, row.document) == ("wanted", "waiting for the supervisor", {})
    carry_out(row, home, {})
    assert (row.state, row.colour, left_over()) == ("done", "green", [])


def test_a_copy_and_a_humans_migrate_do_not_stand_in_each_others_way(alice, app_state, shop, home):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    dyno = Dyno.objects.create(
        app=shop,
        release=app_state[0],
        kind="run",
        type="run",
        ordinal=7,
        command="python manage.py migrate",
        size="standard-1x",
        engine_id="x-7",
    )
    run = begin_run(actor=alice, dyno=dyno)
    assert rehearsals.due() == []
    tenant, _ = carry_out(row, home, {})
    assert (row.state, row.attempts, tenant.seen) == ("wanted", 0, {})
    assert "waiting for a migration" in rehearsals.summary(row)
    type(run).objects.filter(pk=run.pk).update(exit_code=0)
    assert rehearsals.due() == [row]
    carry_out(row, home, {})
    assert row.state == "done"


def test_a_copy_that_somebody_makes_is_seen_and_a_dead_one_is_not(alice, app_state, shop):
    assert not rehearsals.is_copying(shop)
    row = rehearsals.ask(actor=alice, release=app_state[0])
    Rehearsal.objects.filter(pk=row.pk).update(state="running", step=COPYING)
    assert not rehearsals.is_copying(shop), "nobody holds the claim"
    with platform_server.claim(row.pk):
        assert rehearsals.is_copying(shop)


def test_a_long_rehearsal_of_one_app_keeps_no_other_waiting_and_one_app_has_one_at_a_time(
    alice, app_state, shop, cafe, home
):
    mine = rehearsals.ask(actor=alice, release=app_state[0])
    other = Rehearsal.objects.create(app=cafe, release=app_state[0], number=1, pending=["x"])
    later = Rehearsal.objects.create(app=shop, release=app_state[0], number=9, pending=["later"])
    assert rehearsals.due() == [mine, other]
    with platform_server.claim(shop.pk):
        assert rehearsals.advance(rehearsal=mine, engine=MemoryEngine(), home=home) is False
        assert rehearsals.advance(rehearsal=other, engine=MemoryEngine(), home=home) is True
    Rehearsal.objects.filter(pk=mine.pk).update(state="running")
    assert rehearsals.due() == [mine]
    assert later not in rehearsals.due()


def test_nothing_pending_or_nothing_known_is_refused_with_the_reason(alice, app_state, shop):
    newest, _ = app_state
    MigrationState.objects.update(pending=[])
    with pytest.raises(ConflictError, match="no pending migrations"):
        rehearsals.ask(actor=alice, release=newest)
    MigrationState.objects.update(status="error", detail="the database is down")
    with pytest.raises(ConflictError, match="the database is down"):
        rehearsals.ask(actor=alice, release=newest)
    assert not Rehearsal.objects.exists()


def test_the_platform_offers_one_per_release_unless_the_app_does_not_want_it(alice, app_state):
    newest, _ = app_state
    newest.slug.settings = {"policy": {"rehearse": False}}
    assert rehearsals.offer(actor=alice, release=newest) is None
    newest.slug.settings = {}
    assert rehearsals.offer(actor=alice, release=newest) is not None
    assert rehearsals.offer(actor=alice, release=newest) is None


def test_a_red_one_needs_a_word_and_only_for_this_very_plan(alice, app_state, shop, home):
    newest, _ = app_state
    row = rehearsals.ask(actor=alice, release=newest)
    carry_out(row, home, {"new-new": {"state": "fails", "detail": "500"}})
    asked = {"app": shop, "release": newest, "command": "python manage.py migrate"}
    with pytest.raises(ConflictError, match="was red"):
        rehearsals.refuse_red(**asked, forced=False)
    assert rehearsals.refuse_red(**asked, forced=True)
    assert not rehearsals.refuse_red(**{**asked, "command": "python manage.py check"}, forced=False)
    MigrationState.objects.update(pending=["shop.0003_note", "shop.0004_more"])
    assert not rehearsals.refuse_red(**asked, forced=False)


def test_that_a_red_one_was_overruled_stands_in_the_audit_log(alice, app_state, shop, home):
    newest, _ = app_state
    carry_out(rehearsals.ask(actor=alice, release=newest), home, {"new-new": {"state": "fails", "detail": "500"}})
    dyno = make_one_off(actor=alice, app=shop, release=newest, command="python manage.py migrate", size="standard-1x")
    begin_run(actor=alice, dyno=dyno, overruled=True)
    detail = AuditEntry.objects.get(action="migrations.run").detail
    assert (detail["forced"], detail["rehearsal"]) == (True, 1)


def test_an_empty_database_has_nothing_to_block(alice, shop, home, app_state, database):
    with as_app(database[1]) as connection:
        connection.execute("DROP TABLE shop_order CASCADE; DROP TABLE django_migrations")
    row = rehearsals.ask(actor=alice, release=app_state[0])
    tenant, _ = carry_out(row, home, {})
    assert (row.state, row.colour, tenant.seen) == ("done", "green", {})
    assert "empty" in rehearsals.summary(row)
    assert not CheckRun.objects.filter(name="rehearsal").exists()


def test_services_lead_nowhere_and_the_rest_stays():
    live, clone = "postgres://a:b@127.0.0.1:5432/d1", "postgres://c:d@127.0.0.1:5432/d1_rehearsal_1"
    env = {
        "DATABASE_URL": live,
        "HEROKU_POSTGRESQL_BLUE_URL": live,
        "OTHER": "postgresql+psycopg://x@y/z",
        "REDIS_TLS_URL": "rediss://:p@h:1",
        "EMAIL_URL": "smtp+tls://u:p@mail:587",
        "CELERY": "amqp://h//",
        "PGHOST": "h",
        "PGOPTIONS": "-c x=1",
        "SITE": "https://example.org",
        "WORD": "redis",
    }
    found = isolated(env, live=[live], clone=clone)
    assert found == {
        "DATABASE_URL": clone,
        "HEROKU_POSTGRESQL_BLUE_URL": clone,
        "OTHER": "postgresql+psycopg://127.0.0.1:1/0",
        "REDIS_TLS_URL": "rediss://127.0.0.1:1/0",
        "EMAIL_URL": "smtp+tls://127.0.0.1:1/0",
        "CELERY": "amqp://127.0.0.1:1/0",
        "PGOPTIONS": "-c x=1",
        "SITE": "https://example.org",
        "WORD": "redis",
    }


def test_two_who_make_the_same_database_at_once_do_not_trip_each_other(database, home):
    from concurrent.futures import ThreadPoolExecutor

    addon, url = database

    def make(_):
        with server.connect() as connection:
            server.make_role(connection, addon.data["role"], url.split(":")[2].split("@")[0])
            server.make_database(connection, addon.data["database"], addon.data["role"])

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(make, range(40)))
    assert databases.url_of(addon, home).text == url


def test_the_rows_that_a_migration_wrote_are_in_the_report_that_is_shown(alice, app_state, home):
    row = rehearsals.ask(actor=alice, release=app_state[0])
    carry_out(row, home, {"forward": {**FORWARD, "migrations": [{**MIGRATION, "rows": {"shop_order": [0, 9, 0]}}]}})
    assert "9 updated" in rehearsals.table(row)
    assert row.seconds == 0.5


def test_somebody_who_rolls_back_reads_how_that_code_did_after_the_migrations(alice, app_state, shop, home):
    newest, before = (
        app_state[0],
        Release.objects.filter(app=shop).exclude(pk=app_state[0].pk).exclude(slug=None).order_by("-version")[0],
    )
    row = rehearsals.ask(actor=alice, release=newest)
    carry_out(row, home, {"old-new": {"state": "fails", "detail": "IntegrityError: null value in column note"}})
    assert row.previous == before
    assert rollback_warnings.looking_back(before) == "", "nobody has run these migrations yet"
    dyno = make_one_off(actor=alice, app=shop, release=newest, command="python manage.py migrate", size="standard-1x")
    run = begin_run(actor=alice, dyno=dyno)
    assert rollback_warnings.looking_back(before) == "", "they still run"
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=0)
    said = rollback_warnings.looking_back(before)
    assert said.startswith(
        f"In rehearsal {row.number} v{before.version}'s code FAILED after them: IntegrityError: null value in column"
        " note; "
    )
    assert said.endswith("reversing them restored the schema, though not the data.")
    assert rollback_warnings.looking_back(newest) == ""


def test_the_result_is_a_neutral_check_of_the_commit_and_each_one_a_new_attempt(alice, app_state, shop, home):
    newest, _ = app_state
    for answers in ({}, {"new-new": {"state": "fails", "detail": "500"}}):
        carry_out(rehearsals.ask(actor=alice, release=newest), home, answers)
    first, second = CheckRun.objects.filter(app=shop, sha=newest.slug.commit, name="rehearsal").order_by("attempt")
    assert (first.status, first.conclusion, second.conclusion) == ("completed", "neutral", "neutral")
    assert first.title.startswith("green: 1 pending migration, 0.5 s")
    assert second.title.startswith("red: ")
    assert "shop.0003_note" in second.summary


def test_a_rehearsal_is_nothing_to_the_gate_it_is_not_run_again_by_it_and_voids_no_override(
    alice, app_state, shop, home
):
    newest, _ = app_state
    sha = newest.slug.commit
    carry_out(rehearsals.ask(actor=alice, release=newest), home, {})
    for name in ("tests", "scan"):
        run = rehearsals.checks.begin(app=shop, sha=sha, names=[name])[0]
        CheckRun.objects.filter(pk=run.pk).update(status="completed", conclusion="failure")
    with pytest.raises(ConflictError) as refused:
        rehearsals.checks.rerun(app=shop, sha=sha, actor=alice, name="Rehearsal")
    assert "migrations:rehearse" in refused.value.hint
    assert {run.name for run in rehearsals.checks.rerun(app=shop, sha=sha, actor=alice)} == {"tests", "scan"}
    rehearsals.checks.override(app=shop, sha=sha, checks=["tests", "scan"], reason="it has to be today", actor=alice)
    assert rehearsals.checks.judge(app=shop, sha=sha, required=["tests", "scan"]).colour == "green"
    carry_out(rehearsals.ask(actor=alice, release=newest), home, {})
    assert CheckRun.objects.filter(sha=sha, name="rehearsal").count() == 2
    assert rehearsals.checks.judge(app=shop, sha=sha, required=["tests", "scan"]).colour == "green"


def test_where_it_is_required_the_check_is_a_success_or_a_failure(alice, app_state, shop, home):
    type(shop).objects.filter(pk=shop.pk).update(required_checks=["Rehearsal"])
    newest = app_state[0]
    for answers in ({}, {"new-new": {"state": "fails", "detail": "500"}}):
        carry_out(rehearsals.ask(actor=alice, release=newest), home, answers)
    found = (
        CheckRun.objects.filter(app=shop, sha=newest.slug.commit, name="rehearsal")
        .order_by("attempt")
        .values_list("conclusion", flat=True)
    )
    assert list(found) == ["success", "failure"]


def test_an_override_of_a_rehearsal_lets_its_commit_pass(alice, app_state, shop, home):
    type(shop).objects.filter(pk=shop.pk).update(required_checks=["rehearsal"])
    newest = Release.objects.select_related("app", "slug").get(pk=app_state[0].pk)
    assert outlook(newest).ask
    carry_out(rehearsals.ask(actor=alice, release=newest), home, {"new-new": {"state": "fails", "detail": "500"}})
    assert outlook(newest).unfit == "`rehearsal` is required, and it is red"
    rehearsals.checks.override(
        app=shop, sha=newest.slug.commit, checks=["rehearsal"], reason="it has to be today", actor=alice
    )
    assert outlook(newest).unfit == ""


def test_a_name_that_another_system_has_taken_harms_no_rehearsal(alice, app_state, shop, home, monkeypatch):
    def refuse(**_):
        raise ConflictError("The name is pinned.")

    monkeypatch.setattr(rehearsals.checks, "report", refuse)
    row = rehearsals.ask(actor=alice, release=app_state[0])
    carry_out(row, home, {})
    assert (row.state, row.colour) == ("done", "green")


@pytest.mark.parametrize(
    ("cells", "reverse", "said"),
    [
        ({"old_new": {"state": "ok"}}, {}, "In rehearsal 7 v3's code worked after them."),
        ({"old_new": {"state": "skipped", "detail": "x"}}, {}, ""),
        ({}, {"detail": "0004 is irreversible"}, "In rehearsal 7 they could not be reversed: 0004 is irreversible."),
        ({}, {"done": True, "differences": ["index gone"]}, "In rehearsal 7 reversing them left a different schema."),
    ],
)
def test_what_a_rehearsal_tells_of_going_back(cells, reverse, said):
    assert texts.going_back(3, 7, cells, reverse) == said


def test_a_rehearsal_that_begins_during_a_sweep_keeps_its_copy_and_its_dynos(
    alice, app_state, home, database, monkeypatch
):
    engine, before = MemoryEngine(), rehearsals.unfinished

    def unfinished():
        rows = before()
        row = rehearsals.ask(actor=alice, release=app_state[0])
        engine.start(
            DynoSpec(id=f"{rehearsals.prefix_of(row)}x", kind="worker", owner="x", uid=1, process="x", command=("x",))
        )
        monkeypatch.setattr(rehearsals, "unfinished", before)
        return rows

    monkeypatch.setattr(rehearsals, "unfinished", unfinished)
    assert rehearsals.sweep(engine=engine) == 0
    assert len(engine.list()) == 1
