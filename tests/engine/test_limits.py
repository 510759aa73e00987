"""Tests of a dyno's limits: memory, processes, CPU, open files, and space in the log."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

from greenroom.basics import logfile
from greenroom.engine.local import output
from tests.engine.machine import Machine

GROW = "import time\nkept = []\nfor _ in range(200): kept.append(b'x' * 5_000_000); time.sleep(0.005)\ntime.sleep(30)"


def test_a_dyno_that_takes_too_much_memory_is_killed_and_the_log_says_so(machine: Machine) -> None:
    state = machine.run(python=GROW, limits={"memory_mb": 64})
    assert (state.exit_code, state.reason) == (137, "oom")
    assert any("Error R15 (Memory quota vastly exceeded)" in line for line in machine.log(process=state.process))


def test_a_dyno_above_its_quota_continues_and_the_log_says_so(machine: Machine) -> None:
    """As on Heroku: R14 from 100 % of the quota on, R15 at the limit, which is 200 % of it for an app's dynos."""
    script = "import time\nkept = bytearray(40_000_000)\ntime.sleep(5.5)\nprint('done')"
    state = machine.run(python=script, limits={"memory_mb": 128, "quota_mb": 32})
    assert (state.exit_code, state.reason) == (0, "exit")
    lines = machine.log(process=state.process)
    assert len([line for line in lines if "Error R14 (Memory quota exceeded)" in line]) == 1, lines
    percent = next(float(found[1]) for line in lines if (found := re.search(r"mem=\d+M\(([\d.]+)%\)", line)))
    assert 100 < percent < 400
    assert not any("R15" in line for line in lines)


def test_a_neighbour_feels_nothing_of_it(root_machine: Machine) -> None:
    neighbour = root_machine.start("/bin/sleep", "60", limits={"memory_mb": 64})
    assert root_machine.run(python=GROW, limits={"memory_mb": 64}).reason == "oom"
    assert root_machine.engine.describe(neighbour.id).phase == "running"  # type: ignore[union-attr]
    root_machine.engine.forget(neighbour.id)


def test_a_worker_process_killed_for_memory_is_told_while_the_dyno_goes_on(root_machine: Machine, monkeypatch) -> None:
    script = f"import os, time\nif os.fork() == 0:\n    exec({GROW!r})\nos.wait(); print('survived'); time.sleep(6)"
    state = root_machine.run(python=script, limits={"memory_mb": 64}, output=True)
    assert (state.exit_code, state.reason) == (0, "exit")
    assert "survived" in root_machine.output(state.id)
    assert any("Error R14 (Memory quota exceeded)" in line for line in root_machine.log(process=state.process))


def test_the_shim_is_not_counted_among_its_dynos_memory_and_processes(root_machine: Machine) -> None:
    state = root_machine.until_running(root_machine.start("/bin/sleep", "60").id)
    shim, main = (Path(f"/proc/{pid}/cgroup").read_text() for pid in (state.pid, state.host_pid))
    assert f"/{state.id}" in main
    assert f"/{state.id}" not in shim
    root_machine.engine.forget(state.id)


def test_a_fork_bomb_stays_within_its_limit_and_dies_at_once(machine: Machine) -> None:
    script = """
import os, time
count = 0
try:  # noqa: SIM105 (contextlib is heavy)
    while True:
        if os.fork() == 0: time.sleep(60); os._exit(0)
        count += 1
except OSError as error: print('refused after', count, error.errno, flush=True)
time.sleep(60)
"""
    state = machine.start(python=script, limits={"pids": 30}, output=True)
    machine.until(state.id, lambda _: machine.output(state.id).endswith("\n"), seconds=60)
    made = int(machine.output(state.id).split()[2])
    assert 20 <= made < 30
    before = time.monotonic()
    machine.engine.signal(state.id, "KILL")
    machine.until_exited(state.id)
    assert time.monotonic() - before < 2


def test_the_cpu_limit_holds(root_machine: Machine) -> None:
    burn = "import time\nend = time.time() + 1.5\nwhile time.time() < end: pass\nprint(time.process_time())"
    assert float(root_machine.printed(python=burn, limits={"cpu": 0.25})) < 0.8


def test_there_are_no_core_files_and_many_open_files(machine: Machine) -> None:
    text = machine.printed(
        python="import resource as r; print(r.getrlimit(r.RLIMIT_CORE), r.getrlimit(r.RLIMIT_NOFILE)[1])"
    )
    assert text.startswith("(0, 0) ")
    assert 1024 <= int(text.split()[-1]) <= 8192


def test_a_flood_is_cut_and_every_dropped_line_is_counted(machine: Machine) -> None:
    count = 200_000
    state = machine.run("/bin/sh", "-c", f"seq 1 {count}", log="logs/flood", process="run.flood")
    assert state.exit_code == 0
    lines = machine.log("flood")
    kept = [line for line in lines if line.startswith("app[")]
    dropped = sum(int(found[1]) for line in lines if (found := re.search(r"L10 .*: (\d+) messages dropped", line)))
    assert dropped > 0
    assert len(kept) + dropped == count
    assert len(kept) >= output.LINES_AT_ONCE


def test_dropped_lines_are_told_while_the_dyno_goes_on_in_silence(machine: Machine) -> None:
    state = machine.start("/bin/sh", "-c", "seq 1 100000; sleep 60", log="logs/silent")
    machine.until(state.id, lambda _: any("L10" in line for line in machine.log("silent")[-1:]))
    machine.engine.forget(state.id)


def test_a_thousand_lines_at_a_usual_pace_are_all_there(machine: Machine) -> None:
    machine.run("/bin/sh", "-c", "seq 1 1000; sleep 0.1; seq 1001 2000", log="logs/usual")
    numbers = [line.partition(": ")[2] for line in machine.log("usual") if line.startswith("app[")]
    assert numbers == [str(number) for number in range(1, 2001)]


def test_an_endless_line_does_not_grow_the_shim(machine: Machine) -> None:
    state = machine.start("/bin/sh", "-c", "head -c 300000000 /dev/zero | tr '\\0' x", log="logs/endless")
    most = 0
    while machine.engine.describe(state.id).phase != "exited":  # type: ignore[union-attr]
        text = Path(f"/proc/{state.pid}/statm").read_text() if os.path.exists(f"/proc/{state.pid}") else "0 0"
        most = max(most, int(text.split()[1]) * 4096)
        time.sleep(0.01)
    assert 0 < most < 40_000_000
    assert all(len(line) < logfile.LONGEST + 100 for line in machine.log("endless"))


def test_the_raw_output_is_cut_at_its_limit(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(output, "RAW_BYTES", 1000)
    it = output.Output(output.Journal("", ""), str(tmp_path / "output"))
    for _ in range(30):
        it.feed(b"y" * 100)
    it.end()
    data = (tmp_path / "output").read_bytes()
    assert data.startswith(b"y" * 1000 + b"\n[greenroom]")
    assert data.count(b"y" * 10) == 100


def test_a_dyno_that_prints_without_end_keeps_ten_megabytes_and_goes_on(machine: Machine) -> None:
    state = machine.run("/bin/sh", "-c", "head -c 30000000 /dev/zero; exit 5", output=True, log="", kind="build")
    state = machine.until_exited(state.id, 60)
    assert state.exit_code == 5
    kept = (machine.folder(state.id) / "output").read_bytes()
    assert len(kept) < 10_001_000
    assert b"truncated" in kept[-100:]


def test_printed_text_cannot_forge_a_line_of_the_router(machine: Machine) -> None:
    forged = "x\\r\\n2026-11-23T00:00:00.000000+00:00 heroku[router]: at=info\\x85\\xe2\\x80\\xa8 \\xff end"
    state = machine.run("/usr/bin/printf", forged, log="logs/forged")
    lines = machine.log("forged", state.process)
    assert lines[2:4] == [
        f"app[{state.process}]: x",
        f"app[{state.process}]: 2026-11-23T00:00:00.000000+00:00 heroku[router]: at=info\ufffd  \ufffd end",
    ]
