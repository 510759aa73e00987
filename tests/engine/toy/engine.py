"""The control plane's side: starts one keeper for each dyno, and reads the files that it writes. Root only, on one
machine.

``<home>/toy/<id>/`` contains ``order`` (removed when it is read), ``state``, ``said``, ``left/NAME``, and sockets.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from greenroom.basics import unixsock
from greenroom.basics.processes import Identity, identity, is_alive, wait_gone
from greenroom.engine import artefacts, left_files, names
from greenroom.engine.contract import (
    OUTPUT_PIECE,
    RESULT_LIMIT,
    Attachment,
    Capacity,
    DynoSpec,
    DynoState,
    Output,
    Signal,
    Usage,
)
from greenroom.engine.errors import EngineError, NotReadyError, NotWaitingError, OutputGoneError
from greenroom.engine.host_part import NoHostPart, Say

NAMES = ("TERM", "INT", "HUP", "KILL", "STOP", "DRAIN")
UNSHARE = ("unshare", "--mount", "--pid", "--fork", "--kill-child=KILL")
SOURCE = Path(__file__).resolve().parents[3]
OFFERS: frozenset[str] = frozenset()
"""The features offered of those that the contract suite calls optional: no limits, isolation or egress."""


def make_engine(home: Path) -> ToyEngine:
    """For GREENROOM_ENGINE."""
    return ToyEngine(home)


def make_host_part() -> ToyHostPart:
    """For ``greenroom up``, ``down`` and ``doctor``."""
    return ToyHostPart()


class ToyHostPart(NoHostPart):
    """A HostPart without a program; each keeper stops its own dyno."""

    folders = ("toy",)

    def dynos(self, home: Path) -> dict[str, Identity]:
        """See HostPart."""
        engine = ToyEngine(home)
        found = {state.id: engine._keeper(engine._folder(state.id)) for state in engine.list()}
        return {name: who for name, who in found.items() if who and is_alive(who)}

    def end_dynos(self, home: Path, say: Say) -> bool:
        """See HostPart."""
        engine, living = ToyEngine(home), self.dynos(home)
        for name in living:
            engine.forget(name)
        return bool(living)


class ToyEngine:
    """An Engine."""

    def __init__(self, home: str | os.PathLike[str]) -> None:
        self.home = Path(home).resolve()
        self.top = self.home / "toy"

    def start(self, spec: DynoSpec) -> DynoState:
        """See the contract."""
        folder = self._folder(spec.id)
        if known := self.describe(spec.id):
            return known
        self._check(spec)
        (folder / "left").mkdir(parents=True)
        (folder / "order").touch(0o600)
        (folder / "order").write_bytes(pickle.dumps((str(self.home), spec)))
        first = {name: getattr(spec, name) for name in ("id", "kind", "owner", "process")}
        self._write(folder, first | {"phase": "starting", "started_at": time.time()})
        closed = not spec.egress or spec.allowed is not None
        own_network = ("--net",) if spec.port or spec.forwards or closed else ()
        argv = (*UNSHARE, *own_network, sys.executable, "-m", "tests.engine.toy.keeper", str(folder))
        env = {"PYTHONPATH": f"{SOURCE}/src:{SOURCE}", "PATH": os.environ["PATH"]}
        with (folder / "trouble").open("wb") as trouble:
            child = subprocess.Popen(
                argv, env=env, stdin=subprocess.DEVNULL, stdout=trouble, stderr=trouble, start_new_session=True
            )
        who = identity(child.pid)
        assert who
        (folder / "keeper").write_text(json.dumps([who.pid, who.started]))
        return self.describe(spec.id) or DynoState(**first, phase="lost")

    def _check(self, spec: DynoSpec) -> None:
        artefacts.check(spec)
        for name in (name for it in spec.mounts for name in it.lower or (it.source,)):
            made = name.startswith(("scratch:", "cache:", "volume:"))
            if not made and not (self.home / artefacts.path(name)).exists():
                raise EngineError(f"dyno {spec.id}: the source {name!r} does not exist", id="invalid_params")

    def describe(self, dyno_id: str) -> DynoState | None:
        """See the contract. If the keeper has vanished, the whole process tree is certainly gone."""
        folder = self._folder(dyno_id)
        values = self._read(folder)
        if values is None:
            return None
        who = self._keeper(folder)
        if values["phase"] != "exited" and who and not is_alive(who):
            values = self._read(folder) or values
            if values["phase"] != "exited":
                values |= {"phase": "lost", "reason": "lost", "listening": False, "host_pid": 0}
        if values["phase"] == "running" and who:
            values["host_pid"] = who.pid
        return DynoState(**values, pid=who.pid if who else 0)

    def list(self) -> list[DynoState]:
        """See the contract."""
        found = sorted(path.name for path in self.top.iterdir()) if self.top.is_dir() else []
        return [state for name in found if (state := self.describe(name))]

    def signal(self, dyno_id: str, name: Signal) -> None:
        """See the contract."""
        if name not in NAMES:
            raise EngineError(f"the signal {name!r} is not one of {', '.join(NAMES)}", id="invalid_params")
        state = self.describe(dyno_id)
        if state and not state.ended:
            with contextlib.suppress(OSError):
                self._tell(dyno_id, name)

    def forget(self, dyno_id: str) -> None:
        """See the contract."""
        folder = self._folder(dyno_id)
        who = self._keeper(folder)
        if who and is_alive(who):
            with contextlib.suppress(ProcessLookupError):
                os.kill(who.pid, 9)
            wait_gone([who], 10)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(who.pid if who else -1, os.WNOHANG)
        with contextlib.suppress(FileNotFoundError):
            (self.home / self.endpoint(dyno_id)).unlink()
        shutil.rmtree(folder, ignore_errors=True)

    def discard(self, artefact: str) -> None:
        """See the contract."""
        shutil.rmtree(self.home / artefacts.discarded(artefact), ignore_errors=True)

    def usage(self, volume: str) -> Usage:
        """See the contract."""
        files = [path for path in (self.home / "volumes" / names.measured(volume)).rglob("*") if path.is_file()]
        return Usage(bytes=sum(path.stat().st_blocks * 512 for path in files), files=len(files))

    def result(self, dyno_id: str, name: str, *, limit: int = RESULT_LIMIT) -> bytes | None:
        """See the contract."""
        return left_files.read_file(self._folder(dyno_id) / "left", name, limit)

    @contextlib.contextmanager
    def tree(self, dyno_id: str, name: str) -> Iterator[Path | None]:
        """See the contract. The caller gets a copy, as from a remote engine."""
        left, copy = self._folder(dyno_id) / "left" / name, self._folder(dyno_id) / f"copy-{time.monotonic_ns()}"
        if not left.is_dir():
            yield None
            return
        subprocess.run(["cp", "-a", str(left), str(copy)], check=True)
        try:
            yield copy
        finally:
            shutil.rmtree(copy, ignore_errors=True)

    def output(self, dyno_id: str, offset: int, *, limit: int = OUTPUT_PIECE) -> Output:
        """See the contract."""
        state = self.describe(dyno_id)
        data, size = left_files.read_piece(self._folder(dyno_id) / "said", offset, limit)
        return Output(data=data, size=size, more=state is not None and not state.ended)

    def attach(self, dyno_id: str, *, seen: int | None = None) -> Attachment:
        """See the contract."""
        try:
            sock = self._door(dyno_id, "FIRST" if seen is None else f"AGAIN {seen}")
            answer = sock.recv(16)
        except OSError as error:
            state = self.describe(dyno_id)
            if state and state.phase == "starting":
                raise NotReadyError(f"The dyno {dyno_id} is being started.") from error
            raise NotWaitingError(f"The dyno {dyno_id} does not wait for a client.") from error
        if not answer.startswith(b"+"):
            sock.close()
            if answer.startswith(b"gone"):
                raise OutputGoneError("What the client has not seen is gone.")
            raise NotWaitingError(f"The dyno {dyno_id} does not wait for a client.")
        return Attachment(sock=sock, received=int(answer[1:]))

    def detach(self, dyno_id: str, *, complete: bool) -> None:
        """See the contract."""
        with contextlib.suppress(OSError):
            self._tell(dyno_id, "COMPLETE" if complete else "LEAVES")

    def endpoint(self, dyno_id: str) -> str:
        """See the contract."""
        return f"toy-doors/{self._folder(dyno_id).name}"

    def connect(self, service: str, *, timeout: float) -> socket.socket:
        """See the contract."""
        return unixsock.connect(self.home / artefacts.socket(service, 0), timeout=timeout)

    def capacity(self) -> Capacity:
        """See the contract."""
        return Capacity(memory_mb=4096, cores=2)

    # -- the folder --------------------------------------------------------------------------------------------------

    def _folder(self, dyno_id: str) -> Path:
        return self.top / names.check_id(dyno_id)

    def _door(self, dyno_id: str, words: str) -> socket.socket:
        sock = unixsock.connect(self._folder(dyno_id) / "door", timeout=5.0)
        sock.sendall(words.ljust(32).encode())
        return sock

    def _tell(self, dyno_id: str, words: str) -> None:
        with self._door(dyno_id, words) as sock:
            sock.recv(1)

    @staticmethod
    def _keeper(folder: Path) -> Identity | None:
        try:
            return Identity(*json.loads((folder / "keeper").read_text()))
        except (OSError, ValueError):
            return None

    @staticmethod
    def _read(folder: Path) -> dict | None:
        try:
            return json.loads((folder / "state").read_text())
        except (OSError, ValueError):
            return None

    @staticmethod
    def _write(folder: Path, values: dict) -> None:
        (folder / "state.new").write_text(json.dumps(values))
        (folder / "state.new").replace(folder / "state")
