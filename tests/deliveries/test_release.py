"""A release is created once, only from code that is green at that moment, regardless of the age of the stored verdict
and of worker deaths.
"""

from __future__ import annotations

import pytest

from greenroom.apps.actions import change_settings
from greenroom.builds.models import Build
from greenroom.checks import actions as checks
from greenroom.checks.models import CheckRun
from greenroom.config_vars import actions as config_vars
from greenroom.config_vars import queries as config_queries
from greenroom.deliveries import actions, queries
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.rules import Step, next_step
from greenroom.deliveries.steps import Steps
from greenroom.engine.memory import MemoryEngine
from greenroom.releases import actions as releases
from greenroom.releases.models import Release
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db
SHA = "a" * 40


@pytest.fixture
def green(alice, shop, home, settings):
    """A delivery that is built and green, its steps, and an external check that may still change."""
    config_vars.write(app=shop, home=home, values={}, actor=alice)
    shop.required_checks = ["ci/build"]
    shop.save()
    slug = Slug.objects.create(app=shop, digest="d" * 64, commit=SHA, env_key="e")
    build = Build.objects.create(app=shop, commit=SHA, status="succeeded", slug=slug)
    row = Delivery.objects.create(app=shop, sha=SHA, seq=1, kind="push", state="checking", build=build)
    for name in ("tests", "scan"):
        CheckRun.objects.create(app=shop, sha=SHA, name=name, builtin=True, status="completed", conclusion="success")
    report(shop, "success")
    checks.judge(app=shop, sha=SHA, required=["tests", "scan", "ci/build"])
    return row, Steps(MemoryEngine(), home, settings.INSTALLATION)


def report(app, conclusion):
    return checks.report(app=app, sha=SHA, name="ci/build", status="completed", conclusion=conclusion)


def step(delivery):
    return next_step(queries.facts(delivery, []))


def test_a_green_delivery_becomes_one_release(green):
    delivery, steps = green
    assert step(delivery) is Step.RELEASE
    steps.take(Step.RELEASE, delivery, queries.facts(delivery, []))
    assert Release.objects.get(app=delivery.app).slug.commit == SHA


def test_a_report_that_came_after_the_verdict_still_withholds(green):
    delivery, steps = green
    report(delivery.app, "failure")
    assert step(delivery) is Step.RELEASE, "the stored verdict is still the green one"
    steps.take(Step.RELEASE, delivery, queries.facts(delivery, []))
    assert not Release.objects.filter(app=delivery.app).exists()
    assert step(delivery) is Step.WITHHOLD


def test_a_re_run_that_has_not_ended_holds_the_release_back(green):
    delivery, steps = green
    checks.report(app=delivery.app, sha=SHA, name="ci/build", status="in_progress")
    steps.take(Step.RELEASE, delivery, queries.facts(delivery, []))
    assert not Release.objects.filter(app=delivery.app).exists()
    assert step(delivery) is Step.CHECK


def test_a_worker_that_dies_between_release_and_delivery_leaves_neither(green, monkeypatch):
    delivery, steps = green

    def die(**_):
        raise RuntimeError("killed")

    monkeypatch.setattr(actions, "advance", die)
    with pytest.raises(RuntimeError):
        steps.take(Step.RELEASE, delivery, queries.facts(delivery, []))
    assert not Release.objects.filter(app=delivery.app).exists()


def decided(row):
    """The facts of a decision to release the push."""
    facts = queries.facts(Delivery.objects.select_related("app", "build__slug", "push").get(pk=row.pk), [])
    assert next_step(facts) is Step.RELEASE
    return facts


def test_a_push_is_not_released_over_a_rollback_that_came_meanwhile(green, alice, shop):
    row, steps = green
    facts = decided(row)
    version = releases.release(
        actor=alice,
        app=shop,
        kind="rollback",
        description="Rollback to v1",
        slug=row.build.slug,
        config=config_queries.latest(shop),
    )
    actions.open_for_release(release=version)
    steps.take(Step.RELEASE, row, facts)
    assert Release.objects.filter(kind="deploy").count() == 0
    row.refresh_from_db()
    assert row.finished_at is None, "it waiting in the queue, and for the pause that a rollback begins"


def test_a_push_is_not_released_into_a_pause_that_came_meanwhile(green, alice, shop):
    row, steps = green
    facts = decided(row)
    change_settings(actor=alice, app=shop, deploy_paused="demo")
    steps.take(Step.RELEASE, row, facts)
    assert Release.objects.filter(kind="deploy").count() == 0
