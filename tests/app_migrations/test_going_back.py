"""A rollback across migrations: the warning before it, and when it needs a confirmation or is refused."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.app_migrations.actions import begin_run, rollback_consent
from greenroom.app_migrations.models import MigrationRun, Rehearsal
from greenroom.app_migrations.queries import applied_since
from greenroom.app_migrations.rules import stops_rollback, way_back
from greenroom.basics.errors import ConflictError
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.app_files import read_settings
from greenroom.dynos.actions import make_one_off
from greenroom.releases.models import Release
from tests.addons.conftest import as_app, database, same_server  # noqa: F401 -- fixtures
from tests.api.world import client_of
from tests.app_migrations.test_rehearsals import app_state  # noqa: F401 -- a fixture

pytestmark = pytest.mark.django_db
WORKS = {"old_new": {"state": "ok"}}
FAILS = {"old_new": {"state": "fails", "detail": "IntegrityError: no note"}}


@pytest.fixture
def crossed(alice, app_state, shop):
    """(older release, newer release, migrate run of the newer one), with nothing rehearsed."""
    newest = app_state[0]
    old = Release.objects.filter(app=shop).exclude(pk=newest.pk).exclude(slug=None).order_by("-version")[0]
    dyno = make_one_off(actor=alice, app=shop, release=newest, command="python manage.py migrate", size="standard-1x")
    run = begin_run(actor=alice, dyno=dyno)
    MigrationRun.objects.filter(pk=run.pk).update(exit_code=0, after=[])
    assert applied_since(old)
    return old, newest, run


def rehearsed(old, newest, run, cells):
    row = Rehearsal.objects.create(
        app=newest.app,
        release=newest,
        previous=old,
        number=9,
        state="done",
        pending=run.before,
        document={"cells": cells, "migrations": []},
    )
    MigrationRun.objects.filter(pk=run.pk).update(rehearsal=row)


def agree(alice, old, newest, *, confirmed=False, forced=False, mute=False):
    return rollback_consent.agree(actor=alice, old=old, live=newest, confirmed=confirmed, forced=forced, mute=mute)


def test_what_was_applied_by_newer_code_is_named_and_it_is_asked_once(alice, crossed):
    old, newest, run = crossed
    with pytest.raises(ConflictError) as asked:
        agree(alice, old, newest)
    assert asked.value.id == "rollback_across_migrations"
    assert f"applied since v{old.version}" in asked.value.message
    assert run.before[0] in asked.value.message
    assert "is unknown: no rehearsal has tested it" in asked.value.message
    assert (
        asked.value.hint
        == f"greenroom rollback v{old.version} -a {old.app.name} --confirm {old.app.name}   (or the same command again"
        " within 5 minutes)"
    )
    assert AuditEntry.objects.get(action="rollback.ask").detail == {"to": old.version, "migrations": run.before}
    assert run.before[0] in agree(alice, old, newest), (
        "the same once more is the yes of a client that can say nothing else"
    )


def test_a_client_without_an_option_to_confirm_is_told_to_ask_again_and_nothing_else(alice, crossed, home):
    """Over the API: the Heroku CLI's rollback has no --confirm, and its users may not have the greenroom command."""
    old = crossed[0]
    hints = {}
    for agent in ("heroku-cli/11.10.0 linux-x64", ""):
        answer = client_of(alice).post(
            f"/apps/{old.app.name}/releases",
            {"release": f"v{old.version}"},
            "application/json",
            headers={"User-Agent": agent},
        )
        assert (answer.status_code, answer.json()["id"]) == (409, "rollback_across_migrations")
        hints[agent[:6]] = answer.json()["hint"]
        AuditEntry.objects.filter(action="rollback.ask").update(action="rollback.asked")
    assert hints["heroku"] == "run the same command again within 5 minutes"
    assert "--confirm" in hints[""]


def test_somebody_elses_question_is_no_answer_of_mine_and_neither_is_an_old_one(alice, bob, crossed):
    old, newest, _ = crossed
    with pytest.raises(ConflictError):
        agree(bob, old, newest)
    with pytest.raises(ConflictError):
        agree(alice, old, newest)


def test_the_apps_name_is_an_answer_and_so_is_code_that_was_seen_to_work(alice, crossed):
    old, newest, run = crossed
    assert agree(alice, old, newest, confirmed=True)
    rehearsed(old, newest, run, WORKS)
    assert f"In rehearsal 9 v{old.version}'s code worked after them" in agree(alice, old, newest)


def test_code_that_failed_after_them_is_asked_about(alice, crossed):
    rehearsed(*crossed, FAILS)
    with pytest.raises(ConflictError, match="code FAILED after them: IntegrityError: no note"):
        agree(alice, *crossed[:2])


def test_an_app_may_refuse_such_rollbacks_and_only_force_goes_on(alice, crossed):
    old, newest, _ = crossed
    newest.slug.settings = {"policy": {"rollback": "refuse"}}
    for _ in range(2):
        with pytest.raises(ConflictError, match="refuses such rollbacks"):
            agree(alice, old, newest, confirmed=True)
    assert agree(alice, old, newest, forced=True)


def test_a_rollback_to_code_that_has_these_migrations_itself_crosses_none(alice, crossed):
    old, newest, _ = crossed
    Release.objects.filter(pk=old.pk).update(slug=newest.slug)
    old.refresh_from_db()
    assert (applied_since(old), agree(alice, old, newest)) == ([], "")


@pytest.mark.parametrize(
    ("policy", "facts", "stop"),
    [
        ({}, {}, "ask"),
        ({"rollback": "always"}, {}, "ask"),
        ({}, {"proven": True}, ""),
        ({}, {"agreed": True}, ""),
        ({"rollback": "tell"}, {}, ""),
        ({"rollback": "refuse"}, {"proven": True, "agreed": True}, "refuse"),
        ({"rollback": "refuse"}, {"forced": True}, ""),
    ],
)
def test_the_policy_decides(policy, facts, stop):
    assert stops_rollback(policy, **{"proven": False, "agreed": False, "forced": False, **facts}) == stop
    assert way_back(policy) in ("ask", "refuse", "tell")


def test_greenroom_toml_knows_the_policy_and_no_other_word():
    assert read_settings(b'[policy]\nrollback = "refuse"\nrehearse_tests = false\n')["policy"] == {
        "rollback": "refuse",
        "rehearse_tests": False,
    }
    for text in (b'rollback = "never"', b"rollback = true", b'rehearse_tests = "no"'):
        with pytest.raises(BuildError, match="expected"):
            read_settings(b"[policy]\n" + text)
