"""A dyno may write anywhere in /app, and /tmp is on disk: its files are deleted with it; the slug stays unchanged."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from greenroom.basics import disk
from greenroom.engine import names
from greenroom.engine.contract import PLATFORM, Kind, Mount
from greenroom.engine.local import deadlines, idmap
from greenroom.slugs.drivers import store
from tests.engine.machine import BOB, IS_ROOT, MODES, Machine

CHANGE = (
    "set -e; ls -ln core/a; echo b >> core/a; touch core/written; mkdir core/__pycache__; rm core/b; mv core/c d; chmod"
    " 700 core; rm -r gone; echo x > media/.gitkeep; ln -s core link; cat core/a; pwd"
)


@pytest.fixture
def slug(machine: Machine) -> str:
    """A slug as the platform stores it: owned by the platform, not writable by others."""
    made = names.slug("5" * 64)
    top = machine.at(made)
    if not top.exists():
        for name in ("core/a", "core/b", "core/c", "gone/x", "media/.gitkeep"):
            (top / name).parent.mkdir(parents=True, exist_ok=True)
            (top / name).write_text("a\n")
        subprocess.run(["chmod", "-R", "go-w", str(top)], check=True)
        owner = "64399:64399" if machine.is_root else f"{os.geteuid()}:{os.getegid()}"
        subprocess.run(["chown", "-R", owner, str(top)], check=True)
        machine.own(str(top))
    return made


@pytest.mark.parametrize("kind", ["web", "worker", "run", "release", "test"])
def test_every_committed_file_and_folder_is_the_dynos_to_change_and_the_slug_stays(
    machine: Machine, slug: str, kind: Kind
) -> None:
    before = store.measure(machine.at(slug), "env"), store.stamp(machine.at(slug))
    mounts = (Mount(target="/app", source=slug, mode="overlay"),)
    for owner, uid in (("alice", 7), ("bob", BOB)):
        said = machine.printed(
            "/bin/sh", "-c", CHANGE, mounts=mounts, kind=kind, owner=owner, uid=uid, log=f"logs/{owner}"
        )
        assert said.split()[2:4] == ["1000", "1000"], said
        assert said.endswith("a\nb\n/app\n")
    assert (store.measure(machine.at(slug), "env"), store.stamp(machine.at(slug))) == before


def test_the_platforms_dyno_may_change_an_apps_layer_in_its_own_upper_alone(machine: Machine, slug: str) -> None:
    layer = machine.slug("layer", lib__py="old")
    os.chmod(machine.at(layer), 0o755)
    mounts = (Mount(target="/app", lower=(slug, layer), mode="overlay", upper="scratch:kept"),)
    state = machine.run(
        "/bin/sh", "-c", "echo new > lib.py; echo new > core/a", mounts=mounts, owner=PLATFORM, log="", output=True
    )
    assert state.exit_code == 0, machine.output(state.id)
    kept = Path(machine.home, "run/scratch", state.id, "kept")
    assert (kept / "lib.py").read_text() == (kept / "core/a").read_text() == "new\n"
    assert (machine.at(layer) / "lib.py").read_text() == "old"


def test_a_layer_below_app_is_changed_like_the_rest(machine: Machine, slug: str) -> None:
    environment = machine.slug("environment", bin__x="1")
    mounts = (
        Mount(target="/app", source=slug, mode="overlay"),
        Mount(target="/app/media", lower=(environment,), mode="overlay"),
    )
    script = "touch media/new core/new; rm media/bin.x; ls media"
    assert machine.printed("/bin/sh", "-c", script, mounts=mounts) == "new\n"


def test_what_is_written_lies_on_disk_and_is_gone_when_the_dyno_is_forgotten(machine: Machine, slug: str) -> None:
    mounts = (Mount(target="/app", source=slug, mode="overlay"),)
    script = (
        "for f in /tmp/a /app/b /var/tmp/c; do head -c 100000000 /dev/zero > $f || exit 1; done; stat -c %a /tmp; echo"
        " done"
    )
    state = machine.run("/bin/sh", "-c", script, mounts=mounts, output=True, limits={"memory_mb": 64})
    assert machine.output(state.id) == "1777\ndone\n", state
    assert "R15" not in "\n".join(machine.log(process=state.process))
    top = Path(machine.home, "run/scratch", state.id)
    assert sum(path.lstat().st_size for path in top.rglob("*") if path.is_file()) >= 300_000_000
    machine.engine.forget(state.id)
    assert not top.exists()


def test_home_and_the_working_folder_are_disk_where_nothing_is_mounted(machine: Machine) -> None:
    script = "pwd; touch here /app/home; df -P /app . /tmp | tail -n +2 | grep -c tmpfs; rm here; ls -ld ."
    said = machine.printed("/bin/sh", "-c", script + "; true", cwd="/srv/work")
    assert said.startswith("/srv/work\n0\n")


def test_nobody_else_gets_into_the_folder_of_what_a_dyno_writes(root_machine: Machine) -> None:
    state = root_machine.start("/bin/sh", "-c", "echo secret > /tmp/x; sleep 60")
    top = Path(root_machine.home, "run/scratch", state.id, "_own")
    root_machine.until(state.id, lambda _: (top / "tmp/x").exists())
    assert top.stat().st_mode & 0o077 == 0
    root_machine.engine.forget(state.id)


@pytest.mark.skipif(not IS_ROOT, reason="needs root")
def test_a_host_that_cannot_map_says_why_and_dynos_start_all_the_same(tmp_path: Path) -> None:
    assert idmap.lacking(str(tmp_path)) == ""
    assert idmap.lacking("/proc") != ""


@pytest.mark.skipif(not IS_ROOT, reason="mounts a small disk")
@pytest.mark.parametrize("mode", MODES)
def test_a_dyno_that_fills_the_disk_ends_and_its_modest_neighbour_goes_on(mode: str) -> None:
    machine = Machine(mode, disk="80m")
    try:
        modest = machine.start("/bin/sh", "-c", "head -c 1000000 /dev/zero > /tmp/x; sleep 100")
        greedy = machine.start("/bin/sh", "-c", "head -c 100000000 /dev/zero > /tmp/x; sleep 100")
        greedy = machine.until_exited(greedy.id, 60)
        assert (greedy.reason, greedy.exit_code) == ("disk", 137), greedy
        assert "this dyno has written" in greedy.detail
        machine.engine.forget(greedy.id)
        state = machine.engine.describe(modest.id)
        assert state
        assert state.phase == "running"
        assert "this dyno has written" in "\n".join(machine.log(process=greedy.process))
    finally:
        machine.close()


def test_dynos_are_ended_only_when_half_of_the_reserve_is_gone() -> None:
    assert (deadlines.LOW * 2, deadlines.LOW_SHARE) == (disk.RESERVE, disk.SHARE * 2)
