"""``shop`` with a live release, ``outlet`` without code, and Alice's pipeline with both."""

from __future__ import annotations

import pytest

from greenroom.apps import actions as apps
from greenroom.config_vars.actions import write
from greenroom.dynos.models import Rollout
from greenroom.pipelines import actions
from greenroom.releases import actions as releases
from greenroom.slugs.models import Slug

SHA = "a" * 40


@pytest.fixture
def outlet(alice, home):
    app = apps.create(actor=alice, name="outlet")
    write(app=app, home=home, values={"DATABASE_URL": "postgres://outlet"}, actor=alice)
    return app


@pytest.fixture
def serving(alice, shop, home):
    """The live release of shop."""
    config = write(app=shop, home=home, values={"DATABASE_URL": "postgres://shop", "WORD": "shop's own"}, actor=alice)
    slug = Slug.objects.create(
        app=shop,
        digest="d" * 64,
        commit=SHA,
        env_key="e",
        process_types={"web": "x"},
        app_json={"env": {"COLOUR": {"value": "red"}}},
        size=7,
    )
    row = releases.release(actor=alice, app=shop, kind="deploy", description="Deploy", slug=slug, config=config)
    releases.conclude(release=row, status="succeeded")
    Rollout.objects.create(app=shop, release=row, state="live")
    return row


@pytest.fixture
def pipe(alice, shop, outlet, home):
    row = actions.create(actor=alice, name="pipe")
    actions.couple(actor=alice, pipeline=row, app=shop, stage="staging", home=home)
    actions.couple(actor=alice, pipeline=row, app=outlet, stage="production", home=home)
    return row
