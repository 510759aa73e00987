"""Tests of cgroup v2 on a simulated host (this kernel has v1), and of hosts without cgroups."""

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


@needs_root
def test_a_server_of_the_platform_gets_a_group_that_is_no_dynos(tmp_path: Path) -> None:
    mount = tmp_path / "cgroup"
    mount.mkdir()
    (mount / "cgroup.controllers").write_text("cpu memory pids\n")
    groups = cgroups.find("/home/x", _mountinfo(tmp_path, f"{mount} rw - cgroup2 cgroup2 rw"))
    (entrance,) = groups.server("_postgres", 1 << 30)
    path = Path(entrance).parent
    assert (path / "memory.max").read_text() == str(1 << 30)
    assert int((path / "memory.high").read_text()) < 1 << 30
    assert groups.names() == []


@needs_root
def test_on_version_1_a_servers_limit_can_be_raised_and_lowered(tmp_path: Path) -> None:
    lines = [f"{tmp_path}/{name} rw - cgroup cgroup rw,{name}" for name in ("memory", "pids", "cpu,cpuacct")]
    groups = cgroups.find("/home/x", _mountinfo(tmp_path, *lines))
    for size in (1 << 30, 1 << 31, 1 << 29):
        (entrance,) = groups.server("_postgres", size)
        assert (Path(entrance).parent / "memory.limit_in_bytes").read_text() == str(size)


def test_web_comes_before_worker_before_build_and_an_app_gets_no_more_by_more_dynos() -> None:
    web, worker, one_off, build = (cgroups.cpu_weight(kind, 1) for kind in ("web", "worker", "run", "build"))
    assert web > worker == one_off > build == cgroups.cpu_weight("test", 1) == cgroups.cpu_weight("probe", 1)
    assert cgroups.cpu_weight("web", 4) * 4 == web


@needs_root
@pytest.mark.parametrize(("version", "name", "process"), [(1, "cpu.shares", 1024), (2, "cpu.weight", 100)])
def test_all_dynos_together_weigh_as_much_as_that_many_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: int, name: str, process: int
) -> None:
    monkeypatch.setattr(cgroups.os, "cpu_count", lambda: 2)
    one, two = (
        cgroups.Groups(home, dict.fromkeys(cgroups.CONTROLLERS, str(tmp_path)), version) for home in ("/one", "/two")
    )
    paths = {}
    for groups in (one, two):
        for dyno in ("a", "b", "c", cgroups.SHIMS):
            path = Path(groups._path("cpu", dyno))
            path.mkdir(parents=True)
            paths[groups, dyno] = path / name
    one.weigh({"a": ("web", "alice"), "b": ("web", "alice"), "c": ("build", "bob")})
    assert int((paths[one, "a"].parent.parent / name).read_text()) == 3 * process
    assert int((tmp_path / "greenroom" / name).read_text()) == 3 * process
    assert int(paths[one, "a"].read_text()) == int(paths[one, "b"].read_text()) == process // 2
    assert int(paths[one, "c"].read_text()) == process // 8
    two.weigh({"a": ("web", "carol")})
    assert int((paths[two, "a"].parent.parent / name).read_text()) == 2 * process, "a core's worth at least"
    assert int((tmp_path / "greenroom" / name).read_text()) == 5 * process
    one.weigh({"a": ("web", "alice")})
    assert int(paths[one, "a"].read_text()) == process, "its share comes back when the other has gone"
