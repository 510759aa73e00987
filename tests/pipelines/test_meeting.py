"""Changes of several apps of a pipeline, concurrent with a change of one of them: they wait for each other without a
deadlock.
"""

from __future__ import annotations

import pytest
from django.db import transaction

from greenroom.apps import actions as apps
from greenroom.apps.models import App
from greenroom.basics.errors import NotFoundError
from greenroom.config_vars.actions import write
from greenroom.config_vars.drivers.sealed_maps import for_tests
from greenroom.pipelines import actions, queries
from greenroom.pipelines.models import Coupling, Pipeline
from greenroom.releases.models import Release
from tests.meeting import Aside, while_it_is_changed

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def stands(alice, pipe, home):
    """Two more production apps of the pipeline, in the order of their keys."""
    made = []
    for name in ("first", "second"):
        app = apps.create(actor=alice, name=name)
        write(app=app, home=home, values={}, actor=alice)
        actions.couple(actor=alice, pipeline=pipe, app=app, stage="production", home=home)
        made.append(app)
    return sorted(made, key=lambda app: app.pk)


def test_a_promotion_to_several_apps_waits_for_them_before_it_holds_anything(alice, pipe, shop, stands, serving, home):
    while_it_is_changed(
        stands[1],
        lambda: actions.promote(actor=alice, pipeline=pipe, source=shop, targets=list(reversed(stands)), home=home),
    )
    assert Release.objects.filter(kind="promote", app__in=stands).count() == 2


def test_config_vars_for_tests_wait_for_all_apps_before_they_hold_anything(alice, pipe, stands, home):
    last = max((row.app for row in queries.couplings(pipe)), key=lambda app: app.pk)
    while_it_is_changed(
        last, lambda: actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates={"MET": "yes"})
    )
    assert all(for_tests(row.app, home) == {"MET": "yes"} for row in queries.couplings(pipe))


def test_a_pipeline_that_goes_waits_for_all_apps_before_it_holds_anything(alice, pipe, stands, home):
    actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates={"MET": "yes"})
    rows = queries.couplings(pipe)
    last = max((row.app for row in rows), key=lambda app: app.pk)
    while_it_is_changed(last, lambda: actions.destroy(actor=alice, pipeline=pipe, home=home))
    assert all(for_tests(App.objects.get(pk=row.app_id), home) == {} for row in rows)


def test_an_app_that_comes_while_config_vars_for_tests_change_gets_them_too(alice, pipe, shop, home, monkeypatch):
    late = apps.create(actor=alice, name="late")
    write(app=late, home=home, values={}, actor=alice)
    real, begun = apps.lock_apps, []

    def lock(ids):
        if not begun:  # the apps of the pipeline have been looked up, and nothing is locked yet
            begun.append(True)
            Aside(lambda: actions.couple(actor=alice, pipeline=pipe, app=late, stage="staging", home=home)).end()
        return real(ids)

    monkeypatch.setattr(apps, "lock_apps", lock)
    actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates={"MET": "yes"})
    assert begun
    assert for_tests(App.objects.get(pk=late.pk), home) == {"MET": "yes"}


def test_an_app_is_coupled_behind_the_change_of_the_config_vars_that_it_gets(alice, pipe, home):
    late = apps.create(actor=alice, name="late")
    write(app=late, home=home, values={}, actor=alice)
    with transaction.atomic():
        actions.change_config(actor=alice, pipeline=pipe, stage="test", home=home, updates={"MET": "yes"})
        other = Aside(lambda: actions.couple(actor=alice, pipeline=pipe, app=late, stage="staging", home=home))
        assert other.waits()
    other.end()
    assert for_tests(App.objects.get(pk=late.pk), home) == {"MET": "yes"}


def test_of_an_app_that_was_taken_out_and_put_elsewhere_nothing_is_taken_away(alice, pipe, shop, home):
    stale = Coupling.objects.get(app=shop)
    actions.uncouple(actor=alice, coupling=Coupling.objects.get(app=shop), home=home)
    other = actions.create(actor=alice, name="other")
    actions.change_config(actor=alice, pipeline=other, stage="test", home=home, updates={"MET": "yes"})
    actions.couple(actor=alice, pipeline=other, app=App.objects.get(pk=shop.pk), stage="staging", home=home)
    with pytest.raises(NotFoundError):
        actions.uncouple(actor=alice, coupling=stale, home=home)
    with pytest.raises(NotFoundError):
        actions.move(actor=alice, coupling=stale, stage="production")
    assert for_tests(App.objects.get(pk=shop.pk), home) == {"MET": "yes"}
    Pipeline.objects.filter(pk=other.pk).delete()
    with pytest.raises(NotFoundError):
        actions.change_config(actor=alice, pipeline=other, stage="review", home=home, updates={"A": "b"})
