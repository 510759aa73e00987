"""A rollback concurrent with an add-on change: its config vars point to the app's current databases, not to the
previous ones.
"""

from __future__ import annotations

import pytest
from django.db import transaction

from greenroom.apps.models import App
from greenroom.config_vars import queries
from greenroom.deliveries import actions
from greenroom.deliveries.actions import rollbacks
from tests.meeting import Aside

pytestmark = pytest.mark.django_db(transaction=True)


def test_a_rollback_reads_the_add_ons_when_nobody_changes_them_any_more(world, monkeypatch):
    first = world.live()
    world.live()
    urls = {"DATABASE_URL": "postgres://old"}
    monkeypatch.setattr(actions.addons, "values_of", lambda app, home: dict(urls))

    def roll_back() -> None:
        rollbacks.roll_back(
            actor=world.alice, app=App.objects.get(pk=world.app.pk), home=world.home, version=first.release.version
        )

    with transaction.atomic():
        App.objects.select_for_update(no_key=True).get(pk=world.app.pk)  # as attaching an add-on does
        aside = Aside(roll_back)
        assert aside.waits()
        urls["DATABASE_URL"] = "postgres://new"
    aside.end()
    assert queries.values(queries.latest(world.app), world.home)["DATABASE_URL"] == "postgres://new"
