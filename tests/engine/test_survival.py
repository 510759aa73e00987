"""Tests of kill -9 of the supervisor, of a shim, and of everything in between; nothing is left after forgetting."""

from __future__ import annotations

import concurrent.futures
import hashlib
import os
import time
import uuid
from pathlib import Path

import pytest

from greenroom.engine.contract import Mount
from greenroom.engine.errors import EngineError
from greenroom.engine.local.client import LocalEngine
from tests.engine.machine import MODES, Machine, until_nobody, with_word
from tests.engine.test_life import POLITE, SERVER


def test_dynos_live_on_when_the_supervisor_is_killed_and_the_next_one_adopts_them(own_machine: Machine) -> None:
    web = own_machine.start(python=SERVER, kind="web", port=5000, socket="run/sockets/web.sock")
    run = own_machine.start(python=POLITE)
    before = own_machine.until_listening(web.id), own_machine.until_running(run.id)
    own_machine.kill_supervisor()
    assert (own_machine.engine.describe(web.id), own_machine.engine.describe(run.id)) == before
    own_machine.begin()
    assert (own_machine.engine.describe(web.id), own_machine.engine.describe(run.id)) == before
    own_machine.engine.signal(run.id, "KILL")
    assert own_machine.until_exited(run.id).exit_code == 137
    own_machine.engine.forget(web.id)
    assert own_machine.engine.describe(web.id) is None


def test_an_end_while_no_supervisor_runs_is_written_down(own_machine: Machine) -> None:
    state = own_machine.start("/bin/sh", "-c", "sleep 0.3; exit 5")
    own_machine.kill_supervisor()
    state = own_machine.until_exited(state.id)
    assert (state.phase, state.exit_code) == ("exited", 5)


def test_a_request_waits_for_a_supervisor_that_is_being_restarted(own_machine: Machine) -> None:
    own_machine.kill_supervisor()
    with concurrent.futures.ThreadPoolExecutor() as pool:
        started = pool.submit(own_machine.start, "/bin/true")
        time.sleep(0.3)
        own_machine.begin()
        assert started.result(timeout=20).id


def test_without_a_supervisor_the_error_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(EngineError) as caught:
        LocalEngine(tmp_path, retry=0.1).signal("web.1", "TERM")
    assert "supervisor" in caught.value.message
    assert "greenroom up" in caught.value.hint


def test_a_second_supervisor_for_the_same_home_refuses_to_start(own_machine: Machine) -> None:
    first = own_machine.supervisor
    assert first
    with pytest.raises(AssertionError):
        own_machine.begin()
    assert own_machine.supervisor
    assert own_machine.supervisor.wait(10) == 1
    own_machine.supervisor = first


def test_when_a_shim_is_killed_nothing_of_its_dyno_survives_and_it_is_lost(machine: Machine) -> None:
    word = f"6{uuid.uuid4().int % 10**8}"
    state = machine.start("/bin/sh", "-c", f"trap '' TERM HUP; setsid sleep {word} & sleep {word} & wait")
    machine.until_running(state.id)
    while len(with_word(word)) < 3:
        time.sleep(0.01)
    machine.kill_shim(state.id)
    until_nobody(word)
    state = machine.until_exited(state.id)
    assert (state.phase, state.exit_code, state.listening) == ("lost", None, False)
    machine.engine.signal(state.id, "TERM")
    machine.engine.forget(state.id)
    assert machine.engine.describe(state.id) is None


def test_a_lost_dynos_socket_goes_with_it_and_a_successors_stays(machine: Machine) -> None:
    path = Path(machine.home, "run/sockets/shared.sock")
    first, second = (machine.spec(python=SERVER, kind="web", port=5000, socket="run/sockets/shared.sock") for _ in "12")
    machine.engine.start(first)
    machine.until_listening(first.id)
    machine.kill_shim(first.id)
    machine.until_exited(first.id)
    assert path.exists()
    machine.engine.start(second)
    machine.until_listening(second.id)
    machine.engine.forget(first.id)
    assert path.exists()
    machine.kill_shim(second.id)
    machine.until_exited(second.id)
    machine.engine.forget(second.id)
    assert not path.exists()


def test_another_process_with_the_shims_number_is_not_taken_for_it(machine: Machine) -> None:
    state = machine.start("/bin/sleep", "60")
    machine.until_running(state.id)
    file = machine.folder(state.id) / "state.json"
    text = file.read_text()
    started = text.partition('"pid_started": ')[2].partition(",")[0]
    file.write_text(text.replace(f'"pid_started": {started}', '"pid_started": 1'))
    assert machine.engine.describe(state.id).phase == "lost"  # type: ignore[union-attr]
    machine.engine.signal(state.id, "KILL")
    file.write_text(text)
    assert machine.engine.describe(state.id).phase == "running"  # type: ignore[union-attr]
    machine.engine.forget(state.id)


def test_a_start_that_was_cut_short_can_be_repeated(machine: Machine) -> None:
    spec = machine.spec("/bin/true")
    folder = machine.folder(spec.id)
    folder.mkdir()
    (folder / "rest").write_text("of an earlier try")
    machine.own(str(folder))
    assert machine.until_exited(machine.engine.start(spec).id).exit_code == 0


def test_many_start_at_once(machine: Machine) -> None:
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        states = list(pool.map(lambda number: machine.run("/bin/sh", "-c", f"exit {number}"), range(24)))
    assert sorted(state.exit_code or 0 for state in states) == list(range(24))
    for state in states:
        machine.engine.forget(state.id)


def _traces(machine: Machine) -> dict[str, object]:
    assert machine.supervisor
    name = hashlib.sha256(machine.home.encode()).hexdigest()[:12]
    groups = [str(path) for path in Path("/sys/fs/cgroup").glob(f"*/greenroom/{name}/*") if path.is_dir()]
    return {
        "descriptors": len(os.listdir(f"/proc/{machine.supervisor.pid}/fd")),
        "threads": len(os.listdir(f"/proc/{machine.supervisor.pid}/task")),
        "groups": sorted(groups),
        "mounts": Path("/proc/mounts").read_text().count("\n"),
        "dynos": os.listdir(f"{machine.home}/run/dynos"),
        "scratch": os.listdir(f"{machine.home}/run/scratch"),
        "trash": os.listdir(f"{machine.home}/run/trash"),
        "sockets": os.listdir(f"{machine.home}/run/sockets"),
        "children": Path(f"/proc/{machine.supervisor.pid}/task/{machine.supervisor.pid}/children").read_text(),
    }


def test_a_supervisor_that_is_asked_to_end_leaves_dynos_alone_and_cleans_up(own_machine: Machine) -> None:
    supervisor = own_machine.supervisor
    assert supervisor
    state = own_machine.until_running(own_machine.start("/bin/sleep", "60").id)
    supervisor.terminate()
    assert supervisor.wait(10) == 0
    assert own_machine.engine.describe(state.id) == state
    assert not Path(own_machine.home, "run/supervisor.sock").exists()
    own_machine.begin()
    own_machine.engine.forget(state.id)
    supervisor = own_machine.supervisor
    supervisor.terminate()
    supervisor.wait(10)
    name = hashlib.sha256(own_machine.home.encode()).hexdigest()[:12]
    assert not list(Path("/sys/fs/cgroup").glob(f"*/greenroom/{name}"))
    own_machine.begin()


@pytest.mark.parametrize("mode", MODES)
def test_fifty_dynos_leave_no_trace_once_forgotten(request: pytest.FixtureRequest, mode: str) -> None:
    machine = Machine(mode)
    request.addfinalizer(machine.close)
    mounts = (*machine.slug_mount("leak", a="a"), Mount(target="/out", source="scratch:out", mode="rw"))
    commands = [("/bin/true",), ("/bin/sleep", "60"), ("/bin/sh", "-c", "sleep 50 & echo x > /out/x")]

    def cycle(number: int) -> None:
        state = machine.start(
            *commands[number % 3], mounts=mounts, port=5000 * (number % 2), socket="run/sockets/x.sock" * (number % 2)
        )
        if number % 4:
            machine.until_running(state.id)
        machine.engine.forget(state.id)

    for number in range(3):
        cycle(number)
    time.sleep(0.3)
    before = _traces(machine)
    for number in range(50):
        cycle(number)
    deadline = time.monotonic() + 5
    while (after := _traces(machine)) != before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert after == before
