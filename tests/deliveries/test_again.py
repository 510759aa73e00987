"""A withheld commit is evaluated again after an override, a re-run, a report or the end of a pause, at any time."""

from __future__ import annotations

import pytest
from django.conf import settings as django_settings

from greenroom.apps import actions as apps
from greenroom.basics.errors import ConflictError
from greenroom.builds.models import Build
from greenroom.checks import actions as checks
from greenroom.checks import queries as check_queries
from greenroom.checks.models import CheckRun
from greenroom.config_vars import actions as config_vars
from greenroom.deliveries import actions, queries
from greenroom.deliveries.actions import gate
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Step, next_step
from greenroom.deliveries.steps import Steps
from greenroom.deliveries.steps import gate as steps_gate
from greenroom.engine.memory import MemoryEngine
from greenroom.git.models import Push
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db
SHA = "a" * 40
WHY = "the till is being repaired"


@pytest.fixture
def steps(home):
    (home / "logs" / "deliveries").mkdir(parents=True)
    return Steps(MemoryEngine(), home, django_settings.INSTALLATION)


@pytest.fixture
def pushed(alice, shop, home):
    """A push that is built, with red tests."""
    config_vars.write(app=shop, home=home, values={}, actor=alice)
    push = Push.objects.create(app=shop, seq=1, ref="refs/heads/master", before="0" * 40, after=SHA, state="recorded")
    slug = Slug.objects.create(app=shop, digest="1" * 64, commit=SHA, env_key="e")
    build = Build.objects.create(app=shop, commit=SHA, status="succeeded", slug=slug)
    row = actions.open_for_push(push=push)
    Delivery.objects.filter(pk=row.pk).update(state="checking", build=build)
    for run in checks.begin(app=shop, sha=SHA, names=("tests", "scan")):
        CheckRun.objects.filter(pk=run.pk).update(
            status="completed", conclusion="failure" if run.name == "tests" else "success"
        )
    checks.judge(app=shop, sha=SHA, required=("tests", "scan"))
    return row


def look(steps):
    """One turn of the loop for the delivery: (the delivery, the step taken)."""
    row = queries.open_deliveries().get(sha=SHA)
    facts = queries.facts(row, [])
    step = next_step(facts)
    if step in (Step.WITHHOLD, Step.RELEASE):
        steps.take(step, row, facts)
    return Delivery.objects.get(pk=row.pk), step


@pytest.fixture
def withheld(pushed, steps):
    row, step = look(steps)
    assert (row.state, step) == ("refused", Step.WITHHOLD)
    return row


def test_an_override_lets_it_go_on(withheld, steps, shop, alice, home):
    checks.override(app=shop, sha=SHA, checks=["tests"], reason=WHY, actor=alice)
    actions.reopen(app=shop, sha=SHA, home=home)
    seen = [look(steps)[1] for _ in range(2)]
    assert seen[-1] is Step.RELEASE
    row = Delivery.objects.get(pk=withheld.pk)
    assert row.release is not None
    assert [holds for _, holds in check_queries.overrides(shop, SHA)] == [True]


def test_an_override_of_another_check_does_not(withheld, steps, shop, alice, home):
    checks.override(app=shop, sha=SHA, checks=["scan"], reason=WHY, actor=alice)
    actions.reopen(app=shop, sha=SHA, home=home)
    row, step = look(steps)
    assert (row.state, step) == ("refused", Step.WITHHOLD)


def test_a_re_run_is_waited_for_and_ends_the_override(withheld, steps, shop, alice, home):
    checks.override(app=shop, sha=SHA, checks=["tests"], reason=WHY, actor=alice)
    checks.rerun(app=shop, sha=SHA, actor=alice, name="tests")
    actions.reopen(app=shop, sha=SHA, home=home)
    row, _ = look(steps)
    assert row.state == "checking"
    assert look(steps)[1] is Step.CHECK
    assert [holds for _, holds in check_queries.overrides(shop, SHA)] == [False]
    CheckRun.objects.filter(app=shop, sha=SHA, attempt=2).update(status="completed", conclusion="failure")
    checks.judge(app=shop, sha=SHA, required=("tests", "scan"))
    assert look(steps)[0].state == "refused"


def test_a_check_of_a_live_commit_is_run_again_and_what_is_live_stays(withheld, steps, shop, alice, home, monkeypatch):
    Delivery.objects.filter(pk=withheld.pk).update(state="live")
    assert queries.checked_again() == []
    gate.rerun(app=shop, sha=SHA, actor=alice, name="tests", home=home)
    assert queries.checked_again() == [withheld]
    moved = []
    monkeypatch.setattr(steps_gate, "_tests", lambda run, *_: moved.append((run.name, run.attempt)))
    assert steps_gate.advance_ended(steps.engine, home)
    assert moved == [("tests", 2)]
    CheckRun.objects.filter(app=shop, sha=SHA, attempt=2).update(status="completed", conclusion="failure")
    assert not steps_gate.advance_ended(steps.engine, home)
    assert Delivery.objects.get(pk=withheld.pk).state == "live"


def test_what_was_never_built_is_not_run_again(withheld, shop, alice, home):
    Delivery.objects.filter(pk=withheld.pk).update(state="failed", build=None)
    with pytest.raises(ConflictError, match=r"was never built, so its checks cannot be rerun. Its delivery is failed"):
        gate.rerun(app=shop, sha=SHA, actor=alice, name="tests", home=home)
    assert CheckRun.objects.filter(app=shop, sha=SHA).count() == 2


def test_a_withheld_commit_behind_a_live_one_is_only_looked_at_again(withheld, steps, shop, alice, home):
    Delivery.objects.create(app=shop, sha="b" * 40, seq=9, kind="push", state="live", finished_at=withheld.finished_at)
    gate.rerun(app=shop, sha=SHA, actor=alice, name=None, home=home)
    assert Delivery.objects.get(pk=withheld.pk).state == "refused"
    assert queries.checked_again() == [withheld]


@pytest.mark.parametrize("comes", ["an override", "a report"])
def test_what_comes_between_a_look_and_the_withholding_counts(pushed, steps, shop, alice, home, comes):
    facts = queries.facts(queries.open_deliveries().get(sha=SHA), [])
    assert next_step(facts) is Step.WITHHOLD
    if comes == "an override":
        checks.override(app=shop, sha=SHA, checks=["tests"], reason=WHY, actor=alice)
        assert actions.reopen(app=shop, sha=SHA, home=home) is None
    else:
        CheckRun.objects.filter(app=shop, sha=SHA, name="tests").update(conclusion="success")
        gate.reported(app=shop, sha=SHA, home=home)
    row = queries.open_deliveries().get(sha=SHA)
    steps.take(Step.WITHHOLD, row, facts)
    assert Delivery.objects.get(pk=row.pk).state == "checking"
    assert look(steps)[1] is Step.RELEASE


def test_a_pause_that_ends_between_a_look_and_the_withholding_withholds_nothing(pushed, steps, shop, alice, home):
    CheckRun.objects.filter(app=shop, sha=SHA).update(conclusion="success")
    checks.judge(app=shop, sha=SHA, required=("tests", "scan"))
    apps.change_settings(actor=alice, app=shop, deploy_paused="a demo")
    row = queries.open_deliveries().get(sha=SHA)
    facts = queries.facts(row, [])
    assert next_step(facts) is Step.WITHHOLD
    assert actions.resume(actor=alice, app=shop, home=home) is None
    steps.take(Step.WITHHOLD, row, facts)
    assert Delivery.objects.get(pk=row.pk).state == "checking"
    assert look(steps)[1] is Step.RELEASE


def test_the_scan_starts_when_the_build_has_all_files_of_the_commit(withheld, steps, shop, alice, home, monkeypatch):
    checks.rerun(app=shop, sha=SHA, actor=alice, name="scan")
    moved = []
    monkeypatch.setattr(steps_gate, "_scan", lambda run, *_: moved.append(run.name))
    build = withheld.build
    for phase, started in (("prepare", []), ("tree", []), ("install", ["scan"])):
        build.phase = phase
        steps_gate.advance(withheld, steps.engine, home, print)
        assert moved == started
