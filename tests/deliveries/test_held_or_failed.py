"""A release is held only if the schema is the cause; otherwise it fails, and the message contains the last lines and
the remedy.
"""

from __future__ import annotations

import pytest

from greenroom.app_migrations.drivers.probes import Answer, without_database
from greenroom.app_migrations.models import MigrationState, Rehearsal
from greenroom.basics import clock
from greenroom.config_vars.models import ConfigVersion
from greenroom.deliveries.rules import Step, settings_lines
from greenroom.dynos.models import Dyno
from tests.api.world import client_of

pytestmark = pytest.mark.django_db
A500 = "is not healthy: GET / (Host: shop.localhost) answered 500, for 30 s"
SLOW = "is not healthy: GET / gave no answer: timed out, for 30 s"


def candidate(world, dies, words="", *, pending=("shop.0002_price",), **state):
    """A push with a web dyno that ended in this way, and the radar's findings."""
    row = world.push()
    world.run(row, until="rolling_out")
    row = world.read(row)
    world.dyno(row.release, dies, words)
    MigrationState.objects.create(
        release=row.release, app=world.app, status="ok", framework="django", pending=list(pending), **state
    )
    return row


def test_a_port_that_is_fixed_is_a_failure_with_the_remedy_although_migrations_are_pending(world):
    world.live()
    row = candidate(
        world,
        "did not bind to $PORT within its boot time (R10)",
        "[4] [INFO] Listening at: http://127.0.0.1:8000 (4)\n",
        about={"wsgi": "shop.wsgi"},
    )
    assert world.take(row) is Step.GIVE_UP
    said = world.said(row)
    assert "Listening at: http://127.0.0.1:8000" in said
    assert "hint: it listens on port 8000: bind the port in $PORT" in said
    assert "1 migration pending as well, but not the cause of the failure." in said
    assert "migrate" not in said.partition("Failed:")[2].replace("migration", "")
    shown = client_of(world.alice).get(f"/apps/shop/deliveries/{row.sha}").json()
    assert shown["remedy"].startswith("it listens on port 8000: bind the port in $PORT"), (
        "for who reads no transcript, after a migrate for example"
    )
    assert shown["hint"].startswith("greenroom deliveries:retry")


@pytest.mark.parametrize(
    ("words", "error", "hint"),
    [
        (
            "bash: line 1: gunicorn: command not found\n",
            "gunicorn: command not found",
            "add gunicorn to requirements.txt",
        ),
        (
            "Traceback\nModuleNotFoundError: No module named 'corsheaders'\n",
            "No module named 'corsheaders'",
            "add django-cors-headers",
        ),
        ("Traceback\nKeyError: 'API_KEY'\n", "KeyError: 'API_KEY'", "greenroom config:set API_KEY=... -a shop"),
    ],
)
def test_the_first_failure_is_told_where_it_is_seen(world, words, error, hint):
    row = candidate(world, "exited with status 1", words)
    assert world.take(row) is Step.GIVE_UP
    row = world.read(row)
    for text in (world.said(row), row.release.reason):
        assert error in text
        assert f"hint: {hint}" in text
    assert f"web.1 exited with status 1: {error}" in world.log() or error in world.log()
    shown = client_of(world.alice).get("/apps/shop/releases").json()[0]
    assert error in shown["description"]


def test_a_table_that_is_not_there_holds_the_release(world):
    world.live()
    row = candidate(
        world, "exited with status 1", 'django.db.utils.ProgrammingError: relation "shop_item" does not exist\n'
    )
    assert world.take(row) is Step.HOLD
    assert "does not work on the present schema" in world.said(row)
    assert 'relation "shop_item" does not exist' in world.said(row)


def test_a_page_that_fails_for_a_static_file_is_no_matter_of_the_schema(world):
    world.live()
    page = {"error": "ValueError: Missing staticfiles manifest entry for 'css/a.css'", "schema": False}
    row = candidate(world, A500, about={"page": page})
    assert world.take(row) is Step.GIVE_UP
    assert "Missing staticfiles manifest entry for 'css/a.css'" in world.said(row)
    assert "hint: `css/a.css` is not among the collected static files" in world.said(row)


def test_when_in_doubt_both_are_said_with_what_was_seen(world):
    row = candidate(world, SLOW, "waiting for redis\n")
    assert world.take(row) is Step.HOLD
    said = world.said(row)
    assert "its pending migrations may be the cause" in said
    assert "gave no answer: timed out" in said
    assert "waiting for redis" in said
    assert "greenroom run -a shop python manage.py migrate" in said
    assert "greenroom releases:retry -a shop" in said


@pytest.mark.parametrize(("after", "step"), [("ok", Step.HOLD), ("fails", Step.GIVE_UP)])
def test_the_rehearsal_decides_where_nothing_else_tells(world, after, step):
    world.live()
    row = candidate(world, SLOW)
    cells = {"new_old": {"state": "fails"}, "old_old": {"state": "ok"}, "new_new": {"state": after}}
    Rehearsal.objects.create(
        app=world.app,
        release=row.release,
        number=1,
        state="done",
        pending=["shop.0002_price"],
        document={"cells": cells},
        finished_at=clock.now(),
    )
    assert world.next(row) is step


def test_a_dyno_that_is_being_ended_is_waited_for_since_its_last_words_say_why(world):
    row = candidate(world, A500)
    Dyno.objects.filter(release=row.release).update(state="stopping", exit_reason="unhealthy", updated_at=clock.now())
    assert world.next(row) is Step.WATCH
    Dyno.objects.filter(release=row.release).update(state="ended", last_words='relation "shop_item" does not exist')
    assert world.next(row) is Step.HOLD


def test_secrets_do_not_stand_in_the_last_lines(world):
    world.set(API_TOKEN="very-secret-value-123")
    row = candidate(
        world, "exited with status 1", "ValueError: bad token very-secret-value-123 for postgres://u:hunter22@db/x\n"
    )
    assert row.release.config.names == ["API_TOKEN"]
    world.take(row)
    assert "very-secret-value-123" not in world.said(row) + world.read(row).release.reason + world.log()
    assert "hunter22" not in world.said(row)
    assert "bad token ***" in world.said(row)


def test_settings_that_use_sqlite_are_named_and_nothing_is_held_for_them(world):
    found = Answer(framework="django", status="ok", pending=("auth.0001_initial",), about={"vendor": "sqlite"})
    told = without_database(found, attached=True)
    assert (told.pending, told.status) == ((), "ok")
    assert "use SQLite in the dyno's own files and ignore DATABASE_URL" in told.detail
    assert "dj_database_url.config" in told.detail
    row = candidate(
        world,
        A500,
        pending=told.pending,
        detail=told.detail,
        about={"vendor": "sqlite", "page": {"error": "OperationalError: no such table: auth_user", "schema": True}},
    )
    assert world.take(row) is Step.GIVE_UP
    assert "ignore DATABASE_URL" in world.said(row)
    assert (
        'hint: in the settings: import dj_database_url; DATABASES = {"default": dj_database_url.config'
        in world.said(row)
    )


def test_a_database_of_another_kind_is_left_as_it_is():
    found = Answer(framework="django", status="ok", pending=("auth.0001_initial",), about={"vendor": "postgresql"})
    assert without_database(found, attached=True) is found


def test_debug_a_key_in_the_code_and_a_procfile_without_web_are_pointed_out():
    said = "\n".join(settings_lines({"debug": True, "insecure_key": True, "wsgi": "shop.wsgi"}, "", has_web=False))
    assert "DEBUG is on" in said
    assert 'SECRET_KEY = os.environ["SECRET_KEY"]' in said
    assert "web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT" in said
    assert settings_lines({"vendor": "postgresql"}, "") == []


def test_an_app_without_a_web_process_is_told_so(world):
    row = world.live(process_types={"worker": "x"})
    assert "The Procfile has no web process" in world.said(row)


def test_the_config_of_a_failed_release_is_not_changed_by_looking_at_it(world):
    row = candidate(world, "exited with status 1", "x\n")
    before = ConfigVersion.objects.count()
    world.take(row)
    assert ConfigVersion.objects.count() == before
