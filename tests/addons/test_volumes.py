"""Volumes on a real engine: what dynos see, the limit, snapshots and restores, kills, removal."""

from __future__ import annotations

import time

import pytest

from greenroom.addons import actions, queries
from greenroom.addons.contract import Platform
from greenroom.addons.models import Addon, Snapshot
from greenroom.addons.volume import queries as facts
from greenroom.addons.volume.actions import restores, snapshots
from greenroom.addons.volume.loop import Loop
from greenroom.basics.errors import ConflictError, NotFoundError
from greenroom.engine import names
from greenroom.engine.contract import Mount
from tests.addons.machines import machine, place  # noqa: F401 -- fixtures

pytestmark = [pytest.mark.django_db, pytest.mark.neighbours]
MB = 1_000_000


@pytest.fixture
def media(alice, shop, place) -> Addon:
    """A volume of 2 MB at /files for Alice's app."""
    return made(alice, shop, place)


def made(alice, shop, place, name="VOLUME_MEDIA", **options) -> Addon:
    given = {"at": "/data/files", "size": "2M", **options}
    row = actions.record(actor=alice, app=shop, home=place, kind="volume", attachment=name, options=given)
    assert actions.finish(addon=row, home=place) == {"_PATH": given["at"]}
    return row


class Told:
    """The platform of the loop: the apps whose dynos were told to start again."""

    def __init__(self) -> None:
        self.apps: list[str] = []

    @property
    def platform(self) -> Platform:
        return Platform(serving=lambda app: None, replaced=lambda app, _: self.apps.append(app.name), wake=lambda: None)


def says(machine, app, script: str, *, dyno="web", mounts=None) -> str:
    """The output of a script in a dyno of the app of that kind."""
    mounts = queries.mounts(app, dyno=dyno) if mounts is None else mounts
    values = {"owner": app.id.hex, "uid": app.number, "mounts": mounts, "output": True, "log": ""}
    spec = machine.spec("/bin/sh", "-c", f"exec 2>&1; {script}", **values)
    machine.engine.start(spec)
    until(lambda: machine.engine.describe(spec.id).phase == "exited")
    return machine.engine.output(spec.id, 0).data.decode()


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return found


def turned(loop: Loop, true) -> None:
    until(lambda: (loop.turn(), true())[1])


def test_files_outlive_dynos_and_every_dyno_of_the_app_sees_them(machine, media, shop):
    assert (
        says(machine, shop, "echo hello > /data/files/a; umask 077; mkdir /data/files/d; echo x > /data/files/d/b")
        == ""
    )
    for dyno in ("worker", "run", "release"):
        assert says(machine, shop, "cat /data/files/a /data/files/d/b", dyno=dyno) == "hello\nx\n"
    assert says(machine, shop, "echo more >> /data/files/d/b; cat /data/files/d/b", dyno="worker") == "x\nmore\n"


def test_a_rehearsal_sees_the_files_and_changes_nothing(machine, media, shop):
    says(machine, shop, "echo hello > /data/files/a")
    changes = "echo changed > /data/files/a; rm -f /data/files/b; echo new > /data/files/c; cat /data/files/*"
    assert says(machine, shop, changes, dyno="probe") == "changed\nnew\n"
    assert says(machine, shop, "ls /data/files; cat /data/files/a") == "a\nhello\n"


def test_a_test_run_gets_an_empty_folder_at_the_same_path(machine, media, shop):
    says(machine, shop, "echo hello > /data/files/a")
    own = actions.make_doubles(app=shop, label="test-1")
    actions.drop_doubles(label="test-1")
    assert own.values["VOLUME_MEDIA_PATH"] == "/data/files"
    assert says(machine, shop, "ls /data/files; echo x > /data/files/b; ls /data/files", mounts=own.mounts) == "b\n"


def test_a_full_volume_becomes_read_only_but_for_one_off_dynos_and_writable_again(machine, media, shop, place):
    told = Told()
    loop = Loop(place, told.platform)
    says(machine, shop, "head -c 1700000 /dev/zero > /data/files/a")
    loop.turn()
    media.refresh_from_db()
    assert (media.data["level"], told.apps) == ("near", [])
    says(machine, shop, "head -c 1700000 /dev/zero > /data/files/b")
    loop = Loop(place, told.platform)
    loop.turn()
    media.refresh_from_db()
    assert (media.data["level"], told.apps, media.data["restart"]) == ("full", ["shop"], False)
    assert "Read-only file system" in says(machine, shop, "echo x > /data/files/c; cat /data/files/c")
    assert says(machine, shop, "rm /data/files/a /data/files/b", dyno="run") == ""
    loop = Loop(place, told.platform)
    loop.turn()
    media.refresh_from_db()
    assert (media.data["level"], told.apps) == ("", ["shop", "shop"])
    assert says(machine, shop, "echo x > /data/files/c; cat /data/files/c") == "x\n"
    log = "".join(path.read_text() for path in (place / shop.log_folder).glob("*") if path.is_file())
    assert "is near its limit" in log
    assert "is read-only for web and worker dynos" in log
    assert "the app can write again" in log


def test_a_snapshot_brings_the_files_back_and_the_replaced_ones_can_be_brought_back(alice, machine, media, shop, place):
    told = Told()
    loop = Loop(place, told.platform)
    says(machine, shop, "echo one > /data/files/a; ln -s /etc/passwd /data/files/link; mkdir -m 700 /data/files/d")
    row = snapshots.ask(actor=alice, addon=media, home=place, reason="before")
    with pytest.raises(ConflictError, match="already being taken"):
        snapshots.ask(actor=alice, addon=media, home=place)
    turned(loop, lambda: facts.snapshot(media, row.name).state == "succeeded")
    assert facts.snapshot(media, row.name).size > 0
    says(machine, shop, "echo two > /data/files/a; rm -r /data/files/d")
    asked = restores.ask(actor=alice, addon=media, snapshot=facts.snapshot(media, row.name), home=place)
    turned(loop, lambda: facts.restore(media, asked.name).state == "done")
    assert told.apps == ["shop"]
    assert (
        says(machine, shop, "cat /data/files/a; ls /data/files; readlink /data/files/link")
        == "one\na\nd\nlink\n/etc/passwd\n"
    )
    saved = facts.restore(media, asked.name).saved
    again = restores.ask(actor=alice, addon=media, snapshot=saved, home=place)
    turned(loop, lambda: facts.restore(media, again.name).state == "done")
    assert says(machine, shop, "cat /data/files/a; ls /data/files") == "two\na\nlink\n"
    assert [state.kind for state in machine.engine.list() if state.kind == "janitor"] == []


def test_a_copy_that_was_cut_short_starts_again_with_nothing_of_it(alice, machine, media, shop, place):
    says(machine, shop, "echo one > /data/files/a")
    row = snapshots.ask(actor=alice, addon=media, home=place)
    Snapshot.objects.filter(pk=row.pk).update(state="running")
    left = names.volume(shop.id.hex, row.file)
    says(machine, shop, "echo left > /x/left", mounts=(Mount(target="/x", source=left, mode="rw"),))
    turned(Loop(place, Told().platform), lambda: facts.snapshot(media, row.name).state == "succeeded")
    assert says(machine, shop, "ls /x", mounts=(Mount(target="/x", source=left),)) == "a\n"


def test_a_file_that_cannot_be_read_fails_the_snapshot_and_says_why(alice, machine, media, shop, place):
    says(machine, shop, "echo one > /data/files/a; chmod 0 /data/files/a")
    row = snapshots.ask(actor=alice, addon=media, home=place)
    turned(Loop(place, Told().platform), lambda: facts.snapshot(media, row.name).state == "failed")
    assert "/from/./a" in facts.snapshot(media, row.name).failure
    with pytest.raises(ConflictError, match="it is failed"):
        restores.ask(actor=alice, addon=media, snapshot=facts.snapshot(media, row.name), home=place)


def test_the_oldest_snapshots_go_with_their_files(alice, machine, media, shop, place, monkeypatch):
    monkeypatch.setattr(snapshots, "KEPT", 1)
    loop = Loop(place, Told().platform)
    rows = []
    for _ in range(2):
        rows.append(snapshots.ask(actor=alice, addon=media, home=place))
        turned(loop, lambda: facts.snapshot(media, rows[-1].name).state == "succeeded")
    turned(Loop(place, Told().platform), lambda: not Snapshot.objects.filter(pk=rows[0].pk, state="succeeded").exists())
    turned(loop, lambda: not Snapshot.objects.filter(pk=rows[0].pk).exists())
    with pytest.raises(NotFoundError):
        facts.snapshot(media, rows[0].name)
    folders = {path.name for path in (place / "volumes" / shop.id.hex).iterdir()}
    assert folders == {media.data["key"], rows[1].file}


def test_a_removed_volume_leaves_no_file(alice, machine, media, shop, place):
    says(machine, shop, "echo hello > /data/files/a")
    row = snapshots.ask(actor=alice, addon=media, home=place)
    turned(Loop(place, Told().platform), lambda: facts.snapshot(media, row.name).state == "succeeded")
    for _ in range(2):
        actions.deprovision(addon=media, home=place)
    assert not (place / "volumes" / shop.id.hex).exists()
