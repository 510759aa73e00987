"""The engines under contract test: the local one as root and as an ordinary user, the in-memory double, and the sketch
of a second engine.

Optional features are named in PROCESSES, LIMITS and ISOLATION; the contract requires everything else.
"""

from __future__ import annotations

import contextlib
import dataclasses
import itertools
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom.engine import artefacts
from greenroom.engine.contract import Attachment, DynoSpec, DynoState, Engine, Limits, Mount
from greenroom.engine.memory import MemoryEngine, Outcome
from tests.engine.machine import ALICE, IS_ROOT, MODES, PYTHON, Machine
from tests.engine.toy.engine import ToyEngine

PROCESSES, LIMITS, ISOLATION = "processes", "limits", "isolation"
"""Real processes (the in-memory double has none); memory limits; files and processes of the host are hidden."""

SERVE = (PYTHON, "-c", "import socket, time; s = socket.create_server(('127.0.0.1', 5000)); time.sleep(60)")
SLEEP = ("/bin/sleep", "60")
DEAF = (PYTHON, "-u", "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); print(1); time.sleep(60)")
SAYS = ("/bin/sh", "-c", "echo one; echo \"ModuleNotFoundError: No module named 'shop'\" >&2; exit 1")
CAT = ("/bin/cat",)
OUT = Mount(target="/greenroom/out", source="scratch:out", mode="rw")
LEFT = (
    "/bin/sh",
    "-c",
    "cd /greenroom/out && mkdir deep && echo '{}' > result.json && echo below > deep/file && ln -s result.json link"
    " && ln -s deep linked && mkfifo pipe && head -c 2000 /dev/zero > big",
)


def leave(folder: Path) -> None:
    """Create the files that LEFT creates."""
    (folder / "deep").mkdir()
    (folder / "result.json").write_text("{}\n")
    (folder / "deep" / "file").write_text("below\n")
    (folder / "link").symlink_to("result.json")
    (folder / "linked").symlink_to("deep")
    os.mkfifo(folder / "pipe")
    (folder / "big").write_bytes(bytes(2000))


def cat(sock: socket.socket) -> int:
    """Behave like CAT."""
    while data := sock.recv(65536):
        sock.sendall(data)
    return 0


OUTCOMES = {
    ("/bin/true",): Outcome(exit_code=0),
    ("/bin/sh", "-c", "exit 3"): Outcome(exit_code=3),
    SAYS: Outcome(exit_code=1, output=b"one\nModuleNotFoundError: No module named 'shop'\n"),
    SERVE: Outcome(),
    SLEEP: Outcome(listens=False),
    DEAF: Outcome(ignores_term=True),
    CAT: Outcome(talks=cat),
    LEFT: Outcome(exit_code=0),
}


class Rig:
    """An engine, and specs that work the same way on each."""

    def __init__(
        self,
        engine: Engine,
        home: Path,
        *,
        offers: frozenset[str],
        pass_grace: Callable[[], None] = lambda: None,
        lose: Callable[[DynoState], None] | None = None,
        own: Callable[[str], None] = lambda path: None,
    ) -> None:
        self.engine, self.home, self.offers, self.pass_grace, self.own = engine, home, offers, pass_grace, own
        self.lose = lose or (lambda state: os.kill(state.pid, signal.SIGKILL))
        self._ids = itertools.count()

    def needs(self, *names: str) -> None:
        """Skip the test for an engine that does not offer this."""
        if lacking := set(names) - self.offers:
            pytest.skip(f"not offered: {', '.join(lacking)}")

    def spec(self, *command: str, **values: object) -> DynoSpec:
        number = next(self._ids)
        spec = DynoSpec(id=f"c{number}", kind="run", owner="alice", uid=ALICE, process=f"run.{number}", command=command)
        return dataclasses.replace(spec, **{"limits": Limits(grace=0.3), **values})  # type: ignore[arg-type]

    def made(self, name: str, **files: str) -> tuple[str, Path]:
        """Create an artefact as a room does; returns its name and its path. files: by name; ``""``: it is one file."""
        path = self.home / artefacts.path(name)
        (path.parent if "" in files else path).mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            (path / file if file else path).write_text(text)
        self.own(str(path.parent))
        return name, path

    def start(self, *command: str, **values: object) -> DynoState:
        return self.engine.start(self.spec(*command, **values))

    def printed(self, *command: str, **values: object) -> str:
        """The complete output of a command."""
        state = self.until_exited(self.start(*command, output=True, **values).id)
        text = self.engine.output(state.id, 0).data.decode()
        self.engine.forget(state.id)
        return text

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

    def attach(self, dyno_id: str, *, seen: int | None = None) -> Attachment:
        """Attach as soon as the dyno accepts its client."""
        from greenroom.engine.errors import NotReadyError

        deadline = time.monotonic() + 20
        while True:
            try:
                found = self.engine.attach(dyno_id, seen=seen)
                found.sock.settimeout(20)
                return found
            except NotReadyError:
                assert time.monotonic() < deadline
                time.sleep(0.01)


def _memory() -> Rig:
    def script(spec: DynoSpec) -> Outcome:
        if spec.command == LEFT:
            leave(engine.scratch(spec.id, "out"))
        return OUTCOMES[spec.command]

    engine = MemoryEngine(script)
    nowhere = Path("/nonexistent")
    return Rig(
        engine, nowhere, offers=frozenset(), pass_grace=engine.pass_grace, lose=lambda state: engine.lose(state.id)
    )


def _toy(home: Path) -> Rig:
    for name in ("slugs", "logs", "run"):
        (home / name).mkdir()
    return Rig(ToyEngine(home), home, offers=frozenset({PROCESSES}), pass_grace=lambda: time.sleep(0.5))


@contextlib.contextmanager
def _local(mode: str) -> Iterator[Rig]:
    machine = Machine(mode)
    everything = frozenset({PROCESSES, LIMITS, ISOLATION})
    yield Rig(
        machine.engine,
        Path(machine.home),
        offers=everything,
        pass_grace=lambda: time.sleep(0.5),
        own=machine.own,
    )
    machine.close()


@pytest.fixture(scope="module", params=[*MODES, "memory", *(["toy"] if IS_ROOT else [])])
def rig(request: pytest.FixtureRequest) -> Iterator[Rig]:
    """Each engine in turn."""
    if request.param == "memory":
        yield _memory()
    elif request.param == "toy":
        home = Path(tempfile.mkdtemp(prefix="gr-toy-", dir="/tmp"))
        rig = _toy(home)
        yield rig
        for state in rig.engine.list():
            rig.engine.forget(state.id)
        shutil.rmtree(home, ignore_errors=True)
    else:
        with _local(request.param) as rig:
            yield rig
