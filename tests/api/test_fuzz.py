"""Random calls of every route: no 500, and each response matches the document.

``make fuzz`` makes 20,000 calls, the suite a few hundred. GREENROOM_FUZZ_CALLS and GREENROOM_FUZZ_SEED set the number
and the seed, which is printed.
"""

from __future__ import annotations

import os

import pytest
from django.urls import get_resolver

from greenroom.apps.models import App
from greenroom.entrypoints.api import views_pg
from greenroom.entrypoints.api.routing import ROUTES
from greenroom.entrypoints.api.schemas import openapi
from tests.api import world as worlds
from tests.api.fuzzing import Fuzzer

CALLS = int(os.environ.get("GREENROOM_FUZZ_CALLS", "400"))
SEED = int(os.environ.get("GREENROOM_FUZZ_SEED", "1"))


@pytest.mark.thorough
@pytest.mark.django_db(transaction=True)
def test_random_calls_get_no_500_and_only_answers_as_described(monkeypatch):
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf
    monkeypatch.setattr(views_pg, "RESET_SECONDS", 0.0)
    with worlds.place() as home:
        owner = worlds.person("owner@example.com", admin=True)
        numbers = iter(range(1, 10_000))

        def revive(world):
            """Build another world if a call has destroyed or renamed the app."""
            if not world.known or not App.objects.filter(pk=world.app.pk, name=world.app.name).exists():
                made = worlds.make(owner, home, f"world-{next(numbers)}")
                world.app, world.known = made.app, made.known

        world = worlds.World(App(), owner, {})
        revive(world)
        fuzzer = Fuzzer(openapi.document(ROUTES), world, world.client(), revive)
        report = fuzzer.run(CALLS, SEED)
        print(
            f"\n{report.calls} calls of {len(report.routes)} routes, seed {SEED}:"
            f" {dict(sorted(report.statuses.items()))}"
        )
        assert not report.wrong, f"seed {SEED}\n" + "\n".join(
            f"{route}\n    {text}" for route, text in report.wrong.items()
        )
        assert len(report.routes) == len(ROUTES)
