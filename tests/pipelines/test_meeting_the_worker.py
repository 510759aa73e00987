"""Two users, or a user and the worker, change the same rows of a pipeline: the second waits for the app's lock, then
sees the first one's changes.
"""

from __future__ import annotations

import pytest
from django.db import transaction

from greenroom.apps.models import App
from greenroom.builds import actions as builds
from greenroom.builds.models import Build
from greenroom.engine.memory import MemoryEngine
from greenroom.pipelines.actions import review_apps, test_runs
from greenroom.pipelines.models import Pipeline, ReviewApp, ReviewAppConfig, TestRun
from tests.meeting import Aside

pytestmark = pytest.mark.django_db(transaction=True)
SHA = "5" * 40


def test_who_cancels_a_test_run_waits_for_the_app_and_holds_nothing_else(alice, pipe, shop):
    row = TestRun.objects.create(pipeline=pipe, number=1, app=shop, uploaded=True, sha=SHA, commit_sha=SHA)
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=shop.pk)
        aside = Aside(lambda: test_runs.cancel(actor=alice, row=row, engine=MemoryEngine()))
        assert aside.waits()
        TestRun.objects.select_for_update(no_key=True, nowait=True).get(pk=row.pk)
    aside.end()
    assert TestRun.objects.get().state == "cancelled"


def test_who_cancels_a_build_waits_for_the_app_and_holds_nothing_else(alice, shop):
    row = builds.start(app=shop, commit=SHA, account=None)
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=shop.pk)
        aside = Aside(lambda: builds.cancel_by(actor=alice, build=row, engine=MemoryEngine()))
        assert aside.waits()
        Build.objects.select_for_update(no_key=True, nowait=True).get(pk=row.pk)
    aside.end()
    assert Build.objects.get().status == "cancelled"


def test_who_removes_a_review_app_waits_for_the_app_and_holds_nothing_else(alice, pipe, shop, outlet):
    row = ReviewApp.objects.create(
        pipeline=pipe, parent=shop, app=outlet, app_name="outlet", branch="b", state="created"
    )
    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=outlet.pk)
        aside = Aside(lambda: review_apps.remove(actor=alice, review=row))
        assert aside.waits()
        ReviewApp.objects.select_for_update(no_key=True, nowait=True).get(pk=row.pk)
    aside.end()
    assert ReviewApp.objects.get().state == "deleting"


def test_of_two_that_change_the_settings_of_review_apps_none_undoes_the_other(alice, pipe, shop):
    review_apps.configure(actor=alice, pipeline=pipe, changes={"stale_days": 5})
    with transaction.atomic():
        Pipeline.objects.select_for_update(no_key=True).get(pk=pipe.pk)
        review_apps.configure(actor=alice, pipeline=pipe, changes={"stale_days": 9})
        aside = Aside(lambda: review_apps.configure(actor=alice, pipeline=pipe, changes={"automatic": True}))
        assert aside.waits()
    aside.end()
    row = ReviewAppConfig.objects.get()
    assert (row.stale_days, row.automatic) == (9, True)
