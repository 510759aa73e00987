"""The state of apps at a glance."""

from __future__ import annotations

import pytest

from greenroom.config_vars.actions import write
from greenroom.dynos.models import Dyno, Rollout
from greenroom.dynos.queries import standings
from greenroom.releases.actions import release

pytestmark = pytest.mark.django_db


def rolled_out(app, actor, home, state):
    row = release(
        actor=actor,
        app=app,
        kind="config",
        description="x",
        slug=None,
        config=write(app=app, home=home, values={"A": state}, actor=actor),
    )
    return Rollout.objects.create(app=app, release=row, state=state).release


def web(app, row, **columns):
    Dyno.objects.create(
        app=app, release=row, kind="web", type="web", ordinal=1, command="x", engine_id=f"{app.name}-1", **columns
    )


def test_apps_are_live_held_crashed_or_without_code(alice, charlie, shop, cafe, home, django_assert_max_num_queries):
    assert standings([shop, cafe]) == {}
    first = rolled_out(shop, alice, home, "live")
    web(shop, first, state="up", restarts=1)
    second = rolled_out(cafe, charlie, home, "live")
    web(cafe, second, state="starting", restarts=2)
    with django_assert_max_num_queries(2):
        assert standings([shop, cafe]) == {shop.pk: ("live", first.version), cafe.pk: ("crashed", second.version)}
    rolled_out(shop, alice, home, "held")
    assert standings([shop])[shop.pk] == ("held", first.version)
