"""Apps are made once, whoever makes them; what is left of an app's dynos when the app goes."""

from __future__ import annotations

import threading

import pytest
from django.db import connection

from greenroom.addons.postgres import actions as postgres
from greenroom.deliveries import lifecycle
from greenroom.engine.contract import PLATFORM, DynoSpec
from greenroom.engine.memory import MemoryEngine

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
    assert lifecycle.sweep_dynos(engine) == ["of-none"]
    lifecycle.end_dynos(engine, shop.id.hex)
    assert sorted(state.id for state in engine.list()) == ["installs", "of-cafe"]


@pytest.fixture
def same_server(settings):
    """The suite's server is not the embedded one of an installation: apps reach it where the suite does."""
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}


@pytest.mark.django_db(transaction=True)
def test_an_app_that_web_and_worker_make_at_once_gets_one_database_and_one_release(same_server, alice, shop, home):
    start, errors = threading.Barrier(2), []

    def make():
        try:
            start.wait(30)
            lifecycle.finish(actor=alice, app=shop, home=home)
        except Exception as error:  # what fails in a thread is asked about below
            errors.append(error)
        finally:
            connection.close()

    both = [threading.Thread(target=make) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join(60)
    assert not errors
    addon = shop.addons.get()
    assert addon.state == "provisioned"
    assert list(shop.releases.filter(kind="addon").values_list("description", flat=True)) == [
        f"Attach DATABASE ({addon.name})"
    ]
    postgres.deprovision(addon=addon)
