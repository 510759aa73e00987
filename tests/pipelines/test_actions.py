"""Tests of pipelines on a real database: promotions, config vars of stages, and refusals."""

from __future__ import annotations

import pytest

from greenroom.accounts.models import AuditEntry
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, UserError
from greenroom.checks.builtin import environment
from greenroom.checks.models import CheckRun
from greenroom.config_vars.drivers.sealed_maps import for_tests
from greenroom.deliveries.actions.app_lifecycle import apps as app_actions
from greenroom.deliveries.models import Delivery
from greenroom.pipelines import actions, queries
from greenroom.pipelines.actions import test_runs
from greenroom.pipelines.models import Coupling, Promotion, StageConfig, TestRun
from greenroom.releases.models import Release
from greenroom.releases.queries import config_values
from greenroom.slugs.models import Slug

pytestmark = pytest.mark.django_db


def test_the_very_slug_is_released_with_the_targets_own_config_vars(alice, pipe, shop, outlet, serving, home):
    row = actions.promote(actor=alice, pipeline=pipe, source=shop, targets=[outlet], home=home)
    made = Release.objects.get(app=outlet, kind="promote")
    assert made.slug.digest == serving.slug.digest
    assert made.slug.app == outlet, "the source may be destroyed"
    assert config_values(made, home) == {"DATABASE_URL": "postgres://outlet", "COLOUR": "red"}, (
        "and app.json's defaults"
    )
    assert made.description == f"Promote shop v{serving.version} aaaaaaaa"
    delivery = Delivery.objects.get(release=made)
    assert (delivery.state, delivery.build, delivery.forced) == ("received", None, False)
    assert queries.outcome(queries.targets(row)[0]) == ("pending", "")
    assert AuditEntry.objects.filter(action="pipeline.promote", app_name="shop").count() == 1
    again = actions.promote(actor=alice, pipeline=pipe, source=shop, targets=[outlet], home=home, forced=["outlet"])
    assert Slug.objects.filter(app=outlet).count() == 1
    assert Delivery.objects.get(release=queries.targets(again)[0].release).forced


def test_a_promotion_that_is_killed_leaves_nothing_or_all(alice, pipe, shop, outlet, serving, home, monkeypatch):
    monkeypatch.setattr(actions.PromotionTarget.objects, "create", lambda **_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        actions.promote(actor=alice, pipeline=pipe, source=shop, targets=[outlet], home=home)
    monkeypatch.undo()
    assert not Promotion.objects.exists()
    assert not Release.objects.filter(app=outlet).exists()
    assert not Delivery.objects.filter(app=outlet).exists()


def test_there_has_to_be_something_to_promote(alice, pipe, shop, outlet, home, serving):
    with pytest.raises(ConflictError, match="no live release to promote"):
        actions.promote(actor=alice, pipeline=pipe, source=outlet, targets=[shop], home=home)
    Release.objects.filter(pk=serving.pk).update(slug=None)
    serving.refresh_from_db()
    with pytest.raises(ConflictError, match="no slug"):
        actions.promote(actor=alice, pipeline=pipe, source=shop, targets=[outlet], home=home, release=serving)


def test_the_source_may_be_destroyed_afterwards(alice, pipe, shop, outlet, serving, home):
    row = actions.promote(actor=alice, pipeline=pipe, source=shop, targets=[outlet], home=home)
    app_actions.destroy(actor=alice, app=shop)
    assert Release.objects.get(app=outlet, kind="promote").slug.digest == "d" * 64
    row.refresh_from_db()
    assert row.source is None


def test_an_app_is_in_one_pipeline(alice, pipe, shop, home):
    other = actions.create(actor=alice, name="other")
    with pytest.raises(ConflictError, match="already in pipe"):
        actions.couple(actor=alice, pipeline=other, app=shop, stage="staging", home=home)
    with pytest.raises(ConflictError, match="already have a pipeline"):
        actions.create(actor=alice, name="pipe")
    with pytest.raises(UserError, match="Unknown stage"):
        actions.move(actor=alice, coupling=Coupling.objects.get(app=shop), stage="beta")


def given_to(app, home):
    return for_tests(App.objects.get(pk=app.pk), home)


def test_config_vars_of_tests_are_sealed_and_reach_each_app_of_the_pipeline_and_no_other(
    alice, pipe, shop, outlet, cafe, home
):
    actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates={"WORD": "hush-hush"})
    assert given_to(shop, home) == given_to(outlet, home) == {"WORD": "hush-hush"}
    assert b"hush-hush" not in bytes(StageConfig.objects.get(pipeline=pipe).sealed)
    assert "hush-hush" not in str(App.objects.get(pk=shop.pk).settings)
    assert "hush-hush" not in str(list(AuditEntry.objects.values_list("detail", flat=True)))
    other = actions.create(actor=alice, name="other")
    assert given_to(cafe, home) == {}
    actions.uncouple(actor=alice, coupling=Coupling.objects.get(app=outlet), home=home)
    assert given_to(outlet, home) == {}
    actions.couple(actor=alice, pipeline=other, app=outlet, stage="staging", home=home)
    actions.couple(actor=alice, pipeline=pipe, app=cafe, stage="development", home=home)
    assert given_to(cafe, home) == {"WORD": "hush-hush"}
    actions.destroy(actor=alice, pipeline=pipe, home=home)
    assert given_to(shop, home) == {}


def test_what_a_pipeline_gives_to_tests_goes_before_app_json_and_never_before_the_database():
    found = environment.of_tests(
        app_json={"env": {"WORD": "app"}},
        is_django=False,
        addons={"DATABASE_URL": "postgres://throwaway"},
        marks={"CI": "true"},
        given={"WORD": "pipeline", "DATABASE_URL": "postgres://live", "CI": "false"},
    )
    assert found == {"WORD": "pipeline", "DATABASE_URL": "postgres://throwaway", "CI": "true"}


@pytest.mark.parametrize("updates", [{"PORT": "1"}, {"a b": "1"}, {"X": 3}, {"HEROKU_X": "1"}, {"X": "1" * 70_000}])
def test_bad_config_vars_of_a_stage_are_refused(alice, pipe, home, updates):
    with pytest.raises(UserError):
        actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates=updates)


def test_only_tests_and_review_apps_have_config_vars_of_their_stage(alice, pipe, home):
    with pytest.raises(UserError, match="test and review"):
        actions.change_config(actor=alice, pipeline=pipe, stage="production", home=home, updates={"X": "1"})


def a_check(app, sha, attempt=1):
    return CheckRun.objects.create(app=app, sha=sha, name="tests", attempt=attempt, builtin=True)


def test_check_runs_get_numbers_once_in_their_order(alice, pipe, shop, outlet, cafe, home):
    runs = [a_check(shop, "1" * 40), a_check(outlet, "2" * 40), a_check(shop, "1" * 40, 2)]
    a_check(cafe, "3" * 40)
    CheckRun.objects.create(app=shop, sha="4" * 40, name="scan", builtin=True)
    CheckRun.objects.create(app=shop, sha="4" * 40, name="Tests", builtin=False)
    assert test_runs.number_new(home=home) == 3
    assert test_runs.number_new(home=home) == 0
    assert [(row.number, row.check_run) for row in TestRun.objects.order_by("number")] == list(enumerate(runs, 1))


def test_the_check_run_of_an_upload_is_never_taken_for_one_of_a_push(alice, pipe, shop, home):
    TestRun.objects.create(pipeline=pipe, number=1, app=shop, uploaded=True, sha="5" * 40, commit_sha="6" * 40)
    a_check(shop, "5" * 40)
    assert test_runs.number_new(home=home) == 0
