"""Volumes on an engine in memory: sizes, promises, and what the rows say after a kill."""

from __future__ import annotations

import pytest

from greenroom.addons import actions, queries
from greenroom.addons.contract import Platform
from greenroom.addons.models import Addon
from greenroom.addons.volume import actions as volumes
from greenroom.addons.volume import queries as facts
from greenroom.addons.volume.loop import Loop
from greenroom.apps.actions import create
from greenroom.basics.disk import DiskFullError
from greenroom.basics.errors import ConflictError
from greenroom.engine.contract import DynoSpec, Usage
from tests.engines import make_engine

pytestmark = pytest.mark.django_db
MB = 1_000_000


@pytest.fixture
def media(alice, shop, home) -> Addon:
    return made(alice, shop, home)


def made(alice, shop, home, name="VOLUME_MEDIA", **options) -> Addon:
    """A volume of 2 MB at /data/files for Alice's app."""
    given = {"at": "/data/files", "size": "2M", **options}
    row = actions.record(actor=alice, app=shop, home=home, kind="volume", attachment=name, options=given)
    actions.finish(addon=row, home=home)
    return row


def test_more_files_than_are_counted_make_it_full_and_the_log_says_so(media, shop, home):
    make_engine(home).usages[facts.artefact(media)] = Usage(bytes=1000, files=500_000, complete=False)
    assert volumes.measure(addon=media, home=home)
    log = "".join(path.read_text() for path in (home / shop.log_folder).glob("*") if path.is_file())
    assert "more files, or deeper folders, than are counted" in log
    (mount,) = queries.mounts(shop, dyno="web")
    assert (mount.target, mount.mode) == ("/data/files", "ro")


def test_one_off_dynos_of_a_full_volume_end_when_the_disk_is_full_and_others_stay(media, shop, home, monkeypatch):
    engine = make_engine(home)
    engine.usages[facts.artefact(media)] = Usage(bytes=5 * MB, files=1)
    for name, kind, owner in (("run-1", "run", shop.id.hex), ("web-1", "web", shop.id.hex), ("run-2", "run", "bob")):
        values = {"owner": owner, "uid": 7, "process": f"{kind}.1", "command": ("/bin/sleep", "9"), "attach": True}
        engine.start(DynoSpec(id=name, kind=kind, **values))
    platform = Platform(serving=lambda app: None, replaced=lambda app, _: None, wake=lambda: None)
    Loop(home, platform).turn()
    assert not engine.describe("run-1").ended
    monkeypatch.setattr("greenroom.basics.disk.left", lambda home: -1)
    Loop(home, platform).turn()
    assert [state.id for state in engine.list() if state.ended] == ["run-1"]
    for state in engine.list():
        engine.forget(state.id)


def test_a_measurement_that_changes_nothing_writes_nothing(media, home):
    volumes.measure(addon=media, home=home)
    before = Addon.objects.get(pk=media.pk)
    volumes.measure(addon=before, home=home)
    assert before.data["measured"]
    assert Addon.objects.get(pk=media.pk).updated_at == before.updated_at


def test_another_app_cannot_have_the_volume(alice, media, home, shop):
    other = create(actor=alice, name="other")
    with pytest.raises(ConflictError, match="cannot be shared"):
        actions.attach(actor=alice, addon=media, app=other, name="VOLUME_MEDIA")
    assert queries.mounts(other, dyno="web") == ()


def test_a_worker_that_was_killed_before_the_restart_asks_for_it_again(media, shop, home):
    volumes.note(media, {"restart": True})
    told: list[str] = []
    platform = Platform(serving=lambda app: None, replaced=lambda app, _: told.append(app.name), wake=lambda: None)
    Loop(home, platform).turn()
    Loop(home, platform).turn()
    assert told == ["shop"]


def test_space_is_promised_once(alice, media, shop, home, settings, monkeypatch):
    settings.VOLUME_MB = 10
    with pytest.raises(DiskFullError, match="10 MB at most"):
        made(alice, shop, home, name="VOLUME_BIG", at="/data/big", size="11M")
    monkeypatch.setattr("greenroom.basics.disk.left", lambda home: 10 * MB)
    made(alice, shop, home, name="VOLUME_B", at="/data/b", size="5M")
    with pytest.raises(DiskFullError, match="3 MB left"):
        made(alice, shop, home, name="VOLUME_C", at="/data/c", size="4M")
    volumes.resize(actor=alice, addon=media, size="5M", home=home)
    with pytest.raises(DiskFullError):
        volumes.resize(actor=alice, addon=media, size="6M", home=home)
    assert facts.find(shop, "media").data["size"] == 5 * MB


def test_a_size_below_the_use_is_refused(alice, media, shop, home):
    volumes.note(media, {"bytes": 1_500_000})
    with pytest.raises(ConflictError, match="more than 1 MB"):
        volumes.resize(actor=alice, addon=facts.find(shop, "media"), size="1M", home=home)
