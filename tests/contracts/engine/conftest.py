"""The engines that are held to the contract: the local one as root and as an ordinary user, and the double in
memory.
"""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator

import pytest

from greenroom.engine.contract import DynoSpec, DynoState, Engine, Limits
from greenroom.engine.memory import MemoryEngine, Outcome
from tests.engine.machine import ALICE, MODES, PYTHON, Machine

SERVE = (PYTHON, "-c", "import socket, time; s = socket.create_server(('127.0.0.1', 5000)); time.sleep(60)")
SLEEP = ("/bin/sleep", "60")
DEAF = (PYTHON, "-u", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)")
SAYS = ("/bin/sh", "-c", "echo one; echo \"ModuleNotFoundError: No module named 'shop'\" >&2; exit 1")
OUTCOMES = {
    ("/bin/true",): Outcome(exit_code=0),
    ("/bin/sh", "-c", "exit 3"): Outcome(exit_code=3),
    SAYS: Outcome(exit_code=1, output=b"one\nModuleNotFoundError: No module named 'shop'\n"),
    SERVE: Outcome(),
    SLEEP: Outcome(listens=False),
    DEAF: Outcome(ignores_term=True),
}


class Rig:
    """An engine, and specs that go the same way on each."""

    def __init__(self, engine: Engine, pass_grace: Callable[[], None] = lambda: None) -> None:
        self.engine, self.pass_grace = engine, pass_grace
        self._ids = itertools.count()

    def spec(self, *command: str, **values: object) -> DynoSpec:
        number = next(self._ids)
        spec = DynoSpec(id=f"c{number}", kind="run", owner="alice", uid=ALICE, process=f"run.{number}", command=command)
        return dataclasses.replace(spec, limits=Limits(grace=0.3), **values)  # type: ignore[arg-type]

    def start(self, *command: str, **values: object) -> DynoState:
        return self.engine.start(self.spec(*command, **values))

    def until(self, dyno_id: str, true: Callable[[DynoState], bool]) -> DynoState:
        deadline = time.monotonic() + 20
        while not (state := self.engine.describe(dyno_id)) or not true(state):
            assert time.monotonic() < deadline, state
            time.sleep(0.005)
        return state

    def until_running(self, dyno_id: str) -> DynoState:
        return self.until(dyno_id, lambda state: state.phase == "running")

    def until_exited(self, dyno_id: str) -> DynoState:
        return self.until(dyno_id, lambda state: state.phase == "exited")


@pytest.fixture(scope="module", params=[*MODES, "memory"])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Each engine in turn."""
    if request.param == "memory":
        engine = MemoryEngine(lambda spec: OUTCOMES[spec.command])
        yield Rig(engine, engine.pass_grace)
        return
    machine = Machine(request.param)
    yield Rig(machine.engine, lambda: time.sleep(0.5))
    machine.close()
