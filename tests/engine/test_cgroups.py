"""Control groups of version 2 on a drawn host (this kernel has version 1), and what happens where there are none."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.engine.contract import Limits
from greenroom.engine.local import cgroups
from tests.engine.machine import IS_ROOT

needs_root = pytest.mark.skipif(not IS_ROOT, reason="needs root")


def _mountinfo(tmp_path: Path, *lines: str) -> str:
    file = tmp_path / "mountinfo"
    file.write_text("".join(f"22 27 0:21 / {line}\n" for line in lines))
    return str(file)


@needs_root
def test_version_2_gets_its_limits(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    mount.mkdir()
    (mount / "cgroup.controllers").write_text("cpuset cpu io memory pids\n")
    groups = cgroups.find("/home/x", _mountinfo(tmp_path, f"{mount} rw - cgroup2 cgroup2 rw"))
    assert groups.version == 2
    assert set((mount / "cgroup.subtree_control").read_text().split()) == {"+cpu", "+memory", "+pids"}
    path = Path(groups.entrances("web.1")[0]).parent
    path.mkdir(parents=True)
    (path / "memory.swap.max").touch()
    groups.create("web.1", Limits(memory_mb=512, pids=100, cpu=0.5))
    written = {file.name: file.read_text() for file in path.iterdir()}
    assert written == {"memory.max": "536870912", "memory.swap.max": "0", "pids.max": "100", "cpu.max": "50000 100000"}
    assert len(groups.entrances("web.1")) == 1
    assert groups.oom_file("web.1").endswith("/web.1/memory.events")


@needs_root
@pytest.mark.parametrize("controllers", ["", "cpu io"])
def test_a_host_without_the_controllers_says_which_are_missing(tmp_path: Path, controllers: str) -> None:
    (tmp_path / "cgroup.controllers").write_text(controllers)
    with pytest.raises(cgroups.UnavailableError, match="memory, pids"):
        cgroups.find("/home/x", _mountinfo(tmp_path, f"{tmp_path} rw - cgroup2 cgroup2 rw"))


@needs_root
def test_a_host_without_any_says_so(tmp_path: Path) -> None:
    with pytest.raises(cgroups.UnavailableError, match="no control groups"):
        cgroups.find("/home/x", _mountinfo(tmp_path, "/ rw - ext4 /dev/vda rw"))


@needs_root
def test_version_1_is_found_by_its_options(tmp_path: Path) -> None:
    lines = [f"{tmp_path}/{name} rw - cgroup cgroup rw,{name}" for name in ("memory", "pids", "cpu,cpuacct", "freezer")]
    groups = cgroups.find("/home/x", _mountinfo(tmp_path, *lines))
    assert groups.version == 1
    assert len(groups.entrances("web.1")) == 3
