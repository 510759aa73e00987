"""SIGTERM reaches every process of a dyno, and each gets the grace period: behind shells, pipes and scripts, and with
gunicorn's own shutdown.
"""

from __future__ import annotations

import os
import uuid

import pytest

from greenroom.engine.contract import DynoState, Mount
from tests.engine.machine import PYTHON, Machine, until_nobody

WORKER = """
import os, signal, sys, time
name = sys.argv[1]
def say(text):
    os.write(1, f"{name} {text}\\n".encode())
def stop(*_):
    say("got SIGTERM")
    time.sleep(0.5)
    say("finished")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
say("up")
while True:
    time.sleep(0.05)
"""
DIES = "import sys, time; print(sys.argv[1], 'up', flush=True); time.sleep(60)"
W = f"{PYTHON} w.py"


def _start(machine: Machine, command: str, *names: str, grace: float = 20.0, **files: str) -> DynoState:
    """A dyno with a Procfile command, once all its processes are up."""
    slug = machine.slug(f"stop{uuid.uuid4().hex[:8]}", w__py=WORKER, d__py=DIES, **files)
    for name in files:
        os.chmod(machine.at(slug) / name.replace("__", "."), 0o755)
    state = machine.start(
        "/bin/bash", "-c", command, mounts=(Mount(target="/app", source=slug, mode="overlay"),), limits={"grace": grace}
    )
    machine.until(state.id, lambda _: all(f"{name} up" in _said(machine, state) for name in names))
    return state


def _said(machine: Machine, state: DynoState) -> str:
    return "\n".join(machine.log(process=state.process))


def _stopped(machine: Machine, state: DynoState) -> tuple[DynoState, str]:
    machine.engine.signal(state.id, "STOP")
    ended = machine.until_exited(state.id, 40)
    return ended, _said(machine, state)


@pytest.mark.parametrize(
    ("command", "names"),
    [
        (f"{W} worker & {W} beat & wait", ("worker", "beat")),
        (f"{W} piped 2>&1 | cat", ("piped",)),
        (f'{W} piped | cat | while read line; do echo "$line"; done', ("piped",)),
        ("./run.sh", ("script",)),
        (f"bash -c '(bash -c \"{W} deep; true\"; true) & wait; true'; true", ("deep",)),
        (f"cd . && {W} chain", ("chain",)),
        (f"{W} first; {W} never", ("first",)),
        (f"trap 'echo trapped' TERM; {W} under; true", ("under",)),
        (f"while true; do {W} loop; sleep 0.1; done", ("loop",)),
        (f"({W} orphan &) ; {W} main", ("orphan", "main")),
    ],
)
def test_each_process_behind_a_shell_gets_sigterm_and_time_to_finish(
    machine: Machine, command: str, names: tuple[str, ...]
) -> None:
    state = _start(machine, command, *names, run__sh=f"#!/bin/sh\n{W} script\n")
    _, said = _stopped(machine, state)
    for name in names:
        assert said.count(f"{name} got SIGTERM") == 1, said
        assert said.count(f"{name} finished") == 1, said
        assert said.count(f"{name} up") == 1, said
    assert "never up" not in said
    assert "Stopping all processes with SIGTERM" in said
    assert "SIGKILL" not in said


def test_a_shell_whose_children_were_stopped_ends_with_143_as_on_heroku(machine: Machine) -> None:
    state = _start(machine, f"{W} worker & {W} beat & wait", "worker", "beat")
    ended, _ = _stopped(machine, state)
    assert (ended.exit_code, ended.reason) == (143, "signal")


def test_a_process_that_does_not_catch_sigterm_ends_at_once_also_behind_a_shell(machine: Machine) -> None:
    state = _start(machine, f"{PYTHON} d.py a & {PYTHON} d.py b | cat & wait", "a", "b")
    _, said = _stopped(machine, state)
    assert "SIGKILL" not in said


def test_children_of_a_process_that_catches_sigterm_are_its_own_affair(machine: Machine) -> None:
    parent = (
        f"import signal, subprocess, sys, time\nchild = subprocess.Popen(['{PYTHON}', 'w.py',"
        " 'child'])\nsignal.signal(signal.SIGTERM, lambda *_: (time.sleep(0.5), print('master first', flush=True),"
        " child.terminate(), child.wait(), sys.exit(0)))\nwhile True: time.sleep(0.05)\n"
    )
    state = _start(machine, f"{PYTHON} master.py", "child", master__py=parent)
    ended, said = _stopped(machine, state)
    assert said.index("master first") < said.index("child got SIGTERM") < said.index("child finished")
    assert ended.exit_code == 0


def test_who_has_lost_its_parent_gets_sigterm_and_time_too(machine: Machine) -> None:
    parent = (
        "import signal, subprocess, sys, time\n"
        f"subprocess.Popen(['{PYTHON}', 'w.py', 'child'])\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "while True: time.sleep(0.05)\n"
    )
    state = _start(machine, f"{PYTHON} master.py", "child", master__py=parent)
    ended, said = _stopped(machine, state)
    assert "child finished" in said
    assert ended.exit_code == 7, "the exit code is the main process's"


def test_a_parent_that_does_not_catch_sigterm_is_not_the_end_of_its_children(machine: Machine) -> None:
    parent = f"import subprocess\nsubprocess.run(['{PYTHON}', 'w.py', 'child'])\nimport time; time.sleep(60)\n"
    state = _start(machine, f"{PYTHON} careless.py", "child", careless__py=parent)
    ended, said = _stopped(machine, state)
    assert "child finished" in said
    assert ended.exit_code == 143


def test_whoever_is_deaf_behind_a_shell_is_killed_after_the_grace(machine: Machine) -> None:
    word = f"7{uuid.uuid4().int % 10**8}"
    state = _start(machine, f"(trap '' TERM; sleep {word}) & {W} polite & wait", "polite", grace=1.0)
    ended, said = _stopped(machine, state)
    assert "polite finished" in said
    assert "Error R12 (Exit timeout)" in said
    assert ended.exit_code == 137
    until_nobody(word)
