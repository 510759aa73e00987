"""What is left of an app's dynos when the app goes."""

from __future__ import annotations

import pytest

from greenroom.deliveries import lifecycle
from greenroom.engine.contract import PLATFORM, DynoSpec
from greenroom.engine.memory import MemoryEngine

pytestmark = pytest.mark.django_db


def test_dynos_of_apps_that_are_no_more_are_ended_and_no_others(shop, cafe):
    engine = MemoryEngine()
    for name, owner in (("of-shop", shop.id.hex), ("of-none", "0" * 32), ("installs", PLATFORM), ("of-cafe", cafe.id.hex)):
        engine.start(DynoSpec(id=name, owner=owner, uid=1, process="run.1", kind="run", command=("true",), env={}))
    assert lifecycle.sweep_dynos(engine) == ["of-none"]
    lifecycle.end_dynos(engine, shop.id.hex)
    assert sorted(state.id for state in engine.list()) == ["installs", "of-cafe"]
