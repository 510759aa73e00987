"""Each app is set up once, also by concurrent processes; dynos of destroyed apps are stopped."""

from __future__ import annotations

import pytest

from greenroom.addons.postgres import actions as postgres
from greenroom.deliveries.actions import app_lifecycle
from greenroom.engine.contract import PLATFORM, DynoSpec
from greenroom.engine.memory import MemoryEngine
from tests.addons.conftest import same_server  # noqa: F401 -- fixtures
from tests.at_once import at_once

pytestmark = pytest.mark.django_db


def test_dynos_of_apps_that_are_no_more_are_ended_and_no_others(shop, cafe):
    engine = MemoryEngine()
    for name, owner in (
        ("of-shop", shop.id.hex),
        ("of-none", "0" * 32),
        ("installs", PLATFORM),
        ("of-cafe", cafe.id.hex),
    ):
        engine.start(DynoSpec(id=name, owner=owner, uid=1, process="run.1", kind="run", command=("true",), env={}))
    assert app_lifecycle.sweep_dynos(engine) == ["of-none"]
    app_lifecycle.end_dynos(engine, shop.id.hex)
    assert sorted(state.id for state in engine.list()) == ["installs", "of-cafe"]


@pytest.mark.django_db(transaction=True)
def test_an_app_that_web_and_worker_make_at_once_gets_one_database_and_one_release(alice, shop, home):
    assert at_once(lambda: app_lifecycle.finish(actor=alice, app=shop, home=home), 2) == []
    addon = shop.addons.get()
    assert addon.state == "provisioned"
    assert list(shop.releases.filter(kind="addon").values_list("description", flat=True)) == [
        f"Attach DATABASE ({addon.name})"
    ]
    postgres.deprovision(addon=addon)
