"""Caches stay within their budget, and nothing that a release needs is deleted."""

from __future__ import annotations

import time

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.builds.drivers import cache_budget
from greenroom.builds.drivers.cache_budget import Cache, Janitor, excess
from greenroom.entrypoints.api import views_builds
from greenroom.entrypoints.api.drivers import use_engine
from greenroom.slugs.actions import verify
from tests.builds.hosting import ADDED, BASE, SIX, pip_files, uv_files


@pytest.mark.parametrize(("allowed", "names"), [(100, []), (60, ["uv"]), (30, ["uv", "b"]), (5, ["uv", "b", "a"])])
def test_the_largest_caches_are_emptied_and_no_more_than_needed(allowed, names):
    assert [cache.name for cache in excess([Cache("a", 10), Cache("uv", 60), Cache("b", 30)], allowed)] == names


@pytest.mark.django_db(transaction=True)
def test_emptied_caches_cost_no_release_anything_and_the_next_build_is_right(workshop, monkeypatch):
    slug = workshop.built({**BASE, **uv_files(SIX)}).slug
    own = workshop.built({**BASE, **pip_files(SIX), "bin/post_compile": "#!/bin/sh\n:\n"}).slug
    before = {cache.name: cache.size for cache in cache_budget.measure(workshop.home)}
    assert set(before) == {"uv", workshop.app.id.hex}
    keeper = Janitor(workshop.machine.engine, workshop.home)
    assert keeper.turn(now=1.0) == []
    monkeypatch.setenv("GREENROOM_CACHE_MB", "0")
    assert keeper.turn(now=2.0) == []
    begun = keeper.turn(now=2.0 + cache_budget.EVERY)
    assert {cache.name for cache in begun} == set(before)
    end = time.monotonic() + 30
    while [
        state for state in workshop.machine.engine.list() if state.id.startswith("janitor-") and state.phase != "exited"
    ]:
        assert time.monotonic() < end
        time.sleep(0.05)
    after = {cache.name: cache.size for cache in cache_budget.measure(workshop.home)}
    assert all(after[name] < before[name] / 10 for name in before), (before, after)
    assert verify(slug, workshop.home)
    assert verify(own, workshop.home)
    assert workshop.packages(workshop.built({**BASE, **uv_files(SIX, ADDED)})) >= {"six", "iniconfig"}
    assert keeper.turn(now=3.0 + 2 * cache_budget.EVERY) is not None


@pytest.mark.rule("6.8")
@pytest.mark.django_db(transaction=True)
def test_after_a_purge_the_next_build_starts_from_nothing_and_the_one_after_it_does_not(
    workshop, bob, vera, monkeypatch, all_views
):
    use_engine(workshop.machine.engine)
    monkeypatch.setattr(views_builds, "HOME", workshop.home)

    def client(actor):
        _, token = accounts.create_token(
            actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=("global",)
        )
        return Client(headers={"Authorization": f"Bearer {token}"})

    files = {**BASE, **pip_files(SIX), "bin/post_compile": "#!/bin/sh\n:\n"}
    first = workshop.built(files).slug
    assert workshop.built(commit=first.commit).slug.env_key == first.env_key
    assert client(vera).delete("/apps/shop/build-cache").status_code == 403
    shown = client(vera).get("/apps/shop/build-cache").json()
    assert shown["size"] > 0
    assert (shown["generation"], shown["purged_at"], shown["budget"]) == (0, None, cache_budget.budget())
    answer = client(bob).delete("/apps/shop/build-cache")
    assert (answer.status_code, answer.json()["generation"]) == (200, 1)
    assert AuditEntry.objects.filter(action="build_cache.purge").count() == 1
    second = workshop.built(commit=first.commit)
    assert second.slug.env_key != first.env_key
    assert "Using the environment of the last build" not in workshop.text
    assert workshop.built(commit=first.commit).slug.env_key == second.slug.env_key
    assert "Using the environment of the last build" in workshop.text
    assert verify(first, workshop.home)
