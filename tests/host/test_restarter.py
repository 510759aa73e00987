"""At most one of each component runs, on a full disk too; a failed start leaves nothing new behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest

from greenroom_cli.host import locks, processes, restarter, unlisted_processes, up
from greenroom_cli.host.down import take_down
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation
from tests.host.conftest import fill

Usage = namedtuple("Usage", "total used free")


class Clock:
    """A clock controlled by the test, in seconds."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def watching(home, *components, clock=None):
    """A Restarter, its messages, and a function that runs one check and turn."""
    said: list[str] = []
    found = restarter.Restarter(home, components, said.append, clock or Clock())

    def turn() -> None:
        for handle in found.look():
            os.close(handle)
        found.turn()

    return found, said, turn


def kill(who) -> None:
    processes.end([who], signal.SIGKILL, 5)
    processes.reap()


def test_a_component_that_runs_is_not_started_a_second_time(place, sleeper):
    who = processes.start(place, sleeper("worker"))
    processes.pid_file(place, "worker").unlink()
    assert locks.holders(place, "worker") == [who]
    assert processes.known(place, "worker") == who
    with pytest.raises(HostError, match=f"is already running as pid {who.pid}"):
        processes.start(place, sleeper("worker"))


def test_a_lock_goes_with_its_component(place, sleeper):
    first = processes.start(place, sleeper("worker"))
    kill(first)
    assert locks.holders(place, "worker") == []
    assert processes.known(place, "worker") is None
    assert processes.start(place, sleeper("worker")) != first


def test_a_component_that_dies_while_the_disk_is_full_runs_once_more_and_not_again_and_again(small_disk, sleeper):
    processes.start(small_disk, sleeper("worker"))
    found, said, turn = watching(small_disk, sleeper("worker"))
    turn()
    filler = fill(small_disk)
    kill(found.running["worker"])
    for _ in range(20):
        turn()
    assert len(locks.holders(small_disk, "worker")) == 1
    assert processes.known(small_disk, "worker") == found.running["worker"]
    assert len([line for line in said if "restarted as pid" in line]) == 1
    assert not list((small_disk / "run").glob(f"*.{os.getpid()}"))
    filler.unlink()
    turn()
    assert processes.details(small_disk, "worker")["pid"] == found.running["worker"].pid


def test_pauses_grow_although_no_pid_file_can_be_written(place, sleeper, monkeypatch):
    monkeypatch.setattr(processes, "remember", lambda *words: False)
    clock = Clock()
    component = sleeper("worker", "raise SystemExit(1)")
    found, said, turn = watching(place, component, clock=clock)
    for _ in range(600):
        turn()
        if "worker" in found.running:
            kill(found.running["worker"])
        clock.now += 0.5
    assert 5 <= found.restarts["worker"] <= 11, said
    assert found.pause["worker"] == restarter.LONGEST


def test_a_component_that_cannot_be_started_is_tried_with_growing_pauses_and_the_host_lives(place, sleeper):
    clock = Clock()

    def full() -> None:
        raise OSError(28, "No space left on device")

    component = sleeper("worker")
    object.__setattr__(component, "before", full)
    _, said, turn = watching(place, component, clock=clock)
    for _ in range(400):
        turn()
        clock.now += 0.5
    tries = [line for line in said if "does not start" in line]
    assert 4 <= len(tries) <= 9
    assert not unlisted_processes.components(place)


def test_what_waits_is_started_at_once_when_the_disk_has_room_again(place, sleeper, monkeypatch):
    free = [0]
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 0, free[0]))
    found, said, turn = watching(place, sleeper("worker"))
    found.due["worker"] = 10.0**9
    turn()
    assert "worker" not in found.running
    free[0] = 10**9
    turn()
    assert "worker" in found.running
    assert "disk space is available again" in said


@pytest.mark.neighbours
def test_a_line_that_cannot_be_written_harms_nothing():
    code = f"from greenroom_cli.host.watch import say\n{'say(1);' * 3}\nprint('alive')"
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=full, text=True, check=False
        )
    assert (result.returncode, result.stdout) == (0, "alive\n")


def test_an_up_that_fails_ends_what_it_has_started_and_nothing_else(place, sleeper):
    serving = processes.start(place, sleeper("caddy"))
    never = sleeper("worker", "print('no room')", ready=lambda: False, patience=0.5)
    with pytest.raises(HostError, match="worker does not start"):
        up._start(place, Installation(), [sleeper("caddy"), sleeper("supervisor"), never])
    assert processes.known(place, "caddy") == serving
    assert processes.known(place, "supervisor") is None
    assert processes.known(place, "worker") is None


def test_a_component_that_ends_before_it_is_looked_at_is_told_with_its_log(place, sleeper, monkeypatch):
    monkeypatch.setattr(processes.postgres_cgroup, "enter", lambda *_: time.sleep(0.3))
    with pytest.raises(HostError, match=r"(?s)worker does not start.*no room"):
        up._start(place, Installation(), [sleeper("worker", "print('no room')", patience=0.5)])


def test_an_up_from_nothing_that_fails_leaves_nothing(place, sleeper):
    never = sleeper("worker", "print('no room')", ready=lambda: False, patience=0.5)
    with pytest.raises(HostError, match="no room"):
        up._start(place, Installation(), [sleeper("caddy"), never])
    assert processes.known(place, "caddy") is None


def pretend(home: Path, fake: Path, module: str, first: str = "", *, around: tuple[str, ...] = ()) -> subprocess.Popen:
    """A process with a component's command line that only sleeps; the caller ends it. first: code to run; around: a
    program to start it in.
    """
    for folder in (fake / "greenroom", fake / "greenroom" / "project"):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    (fake / "greenroom" / "project" / f"{module.rpartition('.')[2]}.py").write_text(
        f"{first}\nimport time; print('on', flush=True); time.sleep(600)"
    )
    env = {"PYTHONPATH": str(fake), "GREENROOM_HOME": str(home)}
    process = subprocess.Popen([*around, sys.executable, "-m", module], env=env, cwd=fake, stdout=subprocess.PIPE)
    assert process.stdout
    assert process.stdout.readline() == b"on\n"
    return process


@pytest.mark.neighbours
def test_down_finds_components_that_no_pid_file_names_and_leaves_those_of_other_homes(place, tmp_path):
    own = [pretend(place, tmp_path / "fake", "greenroom.project.worker") for _ in range(3)]
    foreign = pretend(tmp_path / "other", tmp_path / "fake", "greenroom.project.worker")
    try:
        assert {who.pid for who in unlisted_processes.components(place)["worker"]} == {process.pid for process in own}
        assert take_down(place, lambda text: None)
        for process in own:
            process.wait(10)
        assert foreign.poll() is None
    finally:
        for process in [*own, foreign]:
            process.kill()
            process.wait()


@pytest.mark.neighbours
@pytest.mark.parametrize(
    "first",
    ["import os; os.setuid(65534)", "import ctypes, os; os.setuid(65534); ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)"],
    ids=["undumpable", "dumpable"],
)
def test_the_command_line_of_another_user_makes_no_component(place, tmp_path, first):
    if os.geteuid() != 0:
        pytest.skip("needs root: it becomes another user")
    tenant = pretend(place, tmp_path / "fake", "greenroom.project.worker", first)
    try:
        assert unlisted_processes.components(place) == {}
        up._be_the_only_one(place)
    finally:
        tenant.kill()
        tenant.wait()


@pytest.mark.neighbours
def test_the_command_line_of_a_sandboxed_process_makes_no_component_in_development_mode(place, tmp_path):
    around = ("unshare", "--pid", "--fork", "--kill-child", "--map-root-user")
    if subprocess.run([*around, "true"], check=False).returncode:
        pytest.skip("nobody may make a pid namespace here")
    tenant = pretend(place, tmp_path / "fake", "greenroom.project.worker", around=around)
    try:
        assert unlisted_processes.components(place) == {}
    finally:
        tenant.kill()
        tenant.wait()


def test_up_ends_components_that_nobody_watches(place, tmp_path, sleeper):
    stray = pretend(place, tmp_path / "fake", "greenroom.project.worker")
    known = processes.start(place, sleeper("worker"))
    up._end_strays(place, "worker", [known, *unlisted_processes.components(place)["worker"]])
    stray.wait(10)
    assert processes.known(place, "worker") == known


def test_down_on_a_disk_that_became_read_only_ends_everything(small_disk, sleeper, tmp_path):
    who = processes.start(small_disk, sleeper("worker"))
    same = tmp_path / "read-only"
    same.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(same)], check=True)
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", str(same)], check=True)
        with pytest.raises(OSError, match="Read-only"):
            (same / "run" / "worker.pid").unlink()
        assert take_down(same, lambda text: None)
    finally:
        subprocess.run(["umount", "-l", str(same)], check=True)
    assert not processes.is_alive(who)


def test_a_second_host_of_one_home_is_refused(place):
    up._be_the_only_one(place)
    with pytest.raises(HostError, match="Another process is starting"):
        up._be_the_only_one(place)
