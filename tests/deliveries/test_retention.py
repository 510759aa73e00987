"""Retention of build artefacts: those that run, may be needed again or are being built are kept; all others are deleted
from the tables and the disk.
"""

from __future__ import annotations

import os
import time
from datetime import timedelta

import pytest
from django.db import transaction

from greenroom.apps.models import App
from greenroom.builds.models import Build
from greenroom.deliveries import actions
from greenroom.deliveries.actions import retention
from greenroom.deliveries.models import Delivery
from greenroom.dynos.models import Rollout
from greenroom.engine.memory import MemoryEngine
from greenroom.releases.models import Release
from greenroom.slugs.actions import intact
from greenroom.slugs.models import Slug
from tests.builds.hosting import ADDED, BASE, SIX, Machine, Workshop, pip_files
from tests.meeting import Aside

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timedelta(days=30)


def slug(app, number, *, age=LONG_AGO):
    row = Slug.objects.create(app=app, digest=f"{number:064x}", commit=f"{number:040x}", env_key=f"env{number}")
    Slug.objects.filter(pk=row.pk).update(created_at=row.created_at - age)
    return row


def released(app, row, version, status="succeeded"):
    from greenroom.config_vars.models import ConfigVersion

    config, _ = ConfigVersion.objects.get_or_create(app=app, number=1)
    return Release.objects.create(
        app=app, version=version, kind="deploy", description="x", slug=row, config=config, status=status
    )


def rest(app):
    return {int(digest, 16) for digest in Slug.objects.filter(app=app).values_list("digest", flat=True)}


def test_the_newest_releases_keep_their_code_and_older_ones_stay_in_the_list_without(shop, monkeypatch):
    monkeypatch.setenv("GREENROOM_KEEP_RELEASES", "3")
    for number in range(1, 9):
        released(shop, slug(shop, number), number)
    assert retention.forget_old(app=shop, now=time.time()) == 5
    assert rest(shop) == {6, 7, 8}
    assert list(Release.objects.filter(slug=None).order_by("version").values_list("version", flat=True)) == [
        1,
        2,
        3,
        4,
        5,
    ]
    assert retention.forget_old(app=shop, now=time.time()) == 0


def test_failed_releases_do_not_push_out_the_good_ones(shop, monkeypatch):
    monkeypatch.setenv("GREENROOM_KEEP_RELEASES", "2")
    for number in range(1, 9):
        released(shop, slug(shop, number), number, "succeeded" if number < 4 else "failed")
    retention.forget_old(app=shop, now=time.time())
    assert rest(shop) == {2, 3, 7, 8}


@pytest.mark.parametrize("state", ["candidate", "live", "held"])
def test_what_runs_or_may_run_is_kept_however_old(shop, monkeypatch, state):
    monkeypatch.setenv("GREENROOM_KEEP_RELEASES", "2")
    rows = [released(shop, slug(shop, number), number) for number in range(1, 6)]
    Rollout.objects.create(app=shop, release=rows[0], state=state)
    retention.forget_old(app=shop, now=time.time())
    assert rest(shop) == {1, 4, 5}


def test_what_was_never_released_is_kept_for_a_week_and_the_newest_for_ever(shop):
    slug(shop, 1)
    slug(shop, 2, age=timedelta(days=6))
    assert retention.forget_old(app=shop, now=time.time()) == 1
    assert rest(shop) == {2}
    assert retention.forget_old(app=shop, now=time.time() + 30 * 86400) == 0


def test_nothing_is_forgotten_while_the_app_builds(shop):
    slug(shop, 1)
    slug(shop, 2)
    build = Build.objects.create(app=shop, commit="a" * 40)
    assert retention.forgettable(shop, time.time()) == []
    Build.objects.filter(pk=build.pk).update(status="failed")
    assert [row.digest for row in retention.forgettable(shop, time.time())] == [f"{1:064x}"]


def test_a_delivery_on_its_way_keeps_its_slug_and_a_withheld_one_is_built_anew(shop, home):
    rows = [slug(shop, number) for number in (1, 2, 3)]
    builds = [Build.objects.create(app=shop, commit=row.commit, slug=row, status="succeeded") for row in rows]
    on_its_way = Delivery.objects.create(
        app=shop, seq=1, kind="push", sha=rows[0].commit, build=builds[0], state="checking"
    )
    withheld = Delivery.objects.create(
        app=shop,
        seq=2,
        kind="push",
        sha=rows[1].commit,
        build=builds[1],
        state="refused",
        finished_at=rows[1].created_at,
    )
    assert retention.forget_old(app=shop, now=time.time()) == 1
    assert rest(shop) == {1, 3}
    builds[1].refresh_from_db()
    assert builds[1].slug is None
    (home / "logs" / "deliveries").mkdir(parents=True)
    assert actions.reopen(app=shop, sha=withheld.sha, home=home).state == "received"
    on_its_way.refresh_from_db()
    assert on_its_way.build == builds[0]


def test_folders_that_no_row_names_go_when_nobody_used_them_for_an_hour(shop, home):
    kept = slug(shop, 1)
    for name in (
        f"slugs/{kept.digest}",
        "slugs/old",
        "slugs/fresh",
        "envs/env1",
        "envs/env1-tests",
        "envs/gone",
        "envs/.new-half",
    ):
        (home / name).mkdir(parents=True)
    (home / "envs" / "gone.json").write_text("{}")
    (home / "envs" / "gone.0a1b2c3d").write_text("{")
    for name in (shop.id.hex, "0" * 32):
        (home / "cache" / "apps" / name).mkdir(parents=True)
        (home / "cache" / "locks" / name).mkdir(parents=True)
    engine, now = MemoryEngine(), time.time() + 2 * retention.UNUSED
    os.utime(home / "slugs" / "fresh", (now, now))
    removed = retention.collect(engine=engine, home=home, now=now)
    nobody = [f"cache/apps/{'0' * 32}"]
    assert engine.discarded == ["env:.new-half", "env:gone", "slug:old", f"cache:{'0' * 32}/build"]
    gone = ["envs/.new-half", "envs/gone", "envs/gone.0a1b2c3d", "slugs/old", *nobody]
    assert sorted(removed) == sorted([*gone, f"cache/locks/{'0' * 32}"])
    assert not (home / "envs" / "gone.json").exists()
    assert not (home / "cache" / "locks" / ("0" * 32)).exists()
    assert (home / "cache" / "locks" / shop.id.hex).is_dir()


def test_it_looks_once_an_hour_and_a_folder_that_cannot_go_stops_nothing(shop, home, caplog):
    (home / "envs" / "strange name").mkdir(parents=True)
    (home / "envs" / "old").mkdir()
    engine = MemoryEngine()
    collector, now = retention.Collector(engine, home), time.time() + 2 * retention.UNUSED
    assert collector.turn(now) == ["envs/old"]
    assert "envs/strange name" in caplog.text
    assert collector.turn(now + 60) == []
    assert engine.discarded == ["env:old"]


def test_for_real_the_old_environment_goes_the_kept_one_works_and_the_old_commit_builds_again(shop):
    machine = Machine()
    try:
        workshop = Workshop(shop, machine)
        first = workshop.built({**BASE, **pip_files(SIX)})
        second = workshop.built({**BASE, **pip_files(SIX, ADDED)})
        old, new = first.slug, second.slug
        assert old.env_key != new.env_key
        later = time.time() + 8 * 86400
        assert retention.forget_old(app=shop, now=later) == 1
        removed = retention.collect(engine=machine.engine, home=machine.home, now=later)
        assert {f"slugs/{old.digest}", f"envs/{old.env_key}"} <= set(removed)
        assert not (machine.home / old.env_folder).exists()
        assert intact(new, machine.home)
        again = workshop.built(commit=first.commit)
        assert (again.slug.digest, again.slug.env_key) == (old.digest, old.env_key)
        assert intact(again.slug, machine.home)
        recent = retention.collect(engine=machine.engine, home=machine.home, now=time.time())
        assert not [name for name in recent if name.startswith(("slugs/", "envs/"))]
    finally:
        machine.close()


def meanwhile(monkeypatch, step):
    """Start ``step`` after the rows to delete are selected; it has ended, or waits, before they are deleted."""
    real, others = retention.forgettable, []

    def forgettable(*given):
        found = real(*given)
        others.append(Aside(step))
        others[0].waits()
        return found

    monkeypatch.setattr(retention, "forgettable", forgettable)
    return others


def test_old_code_that_is_released_again_while_it_is_forgotten_is_found_gone(shop, monkeypatch):
    monkeypatch.setenv("GREENROOM_KEEP_RELEASES", "2")
    for number in (1, 2, 3):
        released(shop, slug(shop, number), number)

    def again():
        with transaction.atomic():
            App.objects.select_for_update(no_key=True).get(pk=shop.pk)
            old = Release.objects.get(version=1)
            if old.slug:
                released(shop, old.slug, 4)

    others = meanwhile(monkeypatch, again)
    assert retention.forget_old(app=shop, now=time.time()) == 1
    others[0].end()
    assert not Release.objects.filter(version=4).exists(), "a release without code must not take the traffic"


def test_a_withheld_commit_that_is_let_through_while_its_code_is_forgotten_is_built_anew(shop, home, monkeypatch):
    rows = [slug(shop, number) for number in (1, 2)]
    build = Build.objects.create(app=shop, commit=rows[0].commit, slug=rows[0], status="succeeded")
    withheld = Delivery.objects.create(
        app=shop, seq=1, kind="push", sha=rows[0].commit, build=build, state="refused", finished_at=rows[0].created_at
    )
    (home / "logs" / "deliveries").mkdir(parents=True)
    others = meanwhile(monkeypatch, lambda: actions.reopen(app=shop, sha=withheld.sha, home=home))
    assert retention.forget_old(app=shop, now=time.time()) == 1
    others[0].end()
    withheld.refresh_from_db()
    assert (withheld.state, withheld.build) == ("received", None)
