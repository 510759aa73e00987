"""An in-memory engine that runs nothing: a script sets the outcome of each dyno. For tests of rooms; passes the
engine's contract suite.

It obeys the contract in every state; the test controls the time.
"""

from __future__ import annotations

import contextlib
import dataclasses
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

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
from greenroom.engine.errors import EngineError, NotWaitingError

NUMBERS = {"HUP": 1, "INT": 2, "KILL": 9, "TERM": 15, "STOP": 15, "DRAIN": 15}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """The scripted outcome of a dyno.

    exit_code: None: it runs until it is signalled; else it ends at once with this code.
    listens:   whether a dyno with a port binds it at once.
    reason, detail: of its end.
    ignores_term: only KILL ends it.
    refuses: error text of ``start``.
    output:  its output.
    leaves:  files that it creates: ``{"out/result.json": b"{}"}``.
    talks:   for an attached dyno: called with its end of the client's connection; returns the exit code.
    """

    exit_code: int | None = None
    listens: bool = True
    reason: str = "exit"
    detail: str = ""
    ignores_term: bool = False
    refuses: str = ""
    output: bytes = b""
    leaves: Mapping[str, bytes] = dataclasses.field(default_factory=dict)
    talks: Callable[[socket.socket], int] | None = None


SERVES, SUCCEEDS, FAILS = Outcome(), Outcome(exit_code=0), Outcome(exit_code=1)


def default(spec: DynoSpec) -> Outcome:
    """Web, worker and service dynos run; all others succeed at once."""
    return SERVES if spec.kind in ("web", "worker", "service") or spec.attach else SUCCEEDS


class MemoryEngine:
    """An Engine. ``script`` returns the outcome of each spec; ``specs`` and ``signals`` record the requests."""

    def __init__(self, script: Callable[[DynoSpec], Outcome] = default) -> None:
        self.script = script
        self.specs: dict[str, DynoSpec] = {}
        self.signals: list[tuple[str, str]] = []
        self.discarded: list[str] = []
        self.usages: dict[str, Usage] = {}
        self._states: dict[str, DynoState] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._changed = threading.Condition(threading.RLock())
        self._next_pid = 1000
        self._printed: dict[str, bytes] = {}
        self._clients: dict[str, socket.socket] = {}
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def start(self, spec: DynoSpec) -> DynoState:
        """See the contract. Checks names, but not that artefacts exist."""
        artefacts.check(spec)
        with self._changed:
            known = self._states.get(spec.id)
            if known:
                return known
            outcome = self.script(spec)
            if outcome.refuses:
                raise EngineError(outcome.refuses)
            self._next_pid += 1
            self.specs[spec.id], self._outcomes[spec.id] = spec, outcome
            self._states[spec.id] = DynoState(
                id=spec.id,
                kind=spec.kind,
                owner=spec.owner,
                process=spec.process,
                phase="starting",
                pid=self._next_pid,
                started_at=time.time(),
            )
            if not spec.attach:
                self._begin(spec.id)
            return self._states[spec.id]

    def describe(self, dyno_id: str) -> DynoState | None:
        """See the contract."""
        return self._states.get(names.check_id(dyno_id))

    def list(self) -> list[DynoState]:
        """See the contract."""
        return [self._states[dyno_id] for dyno_id in sorted(self._states)]

    def signal(self, dyno_id: str, name: Signal) -> None:
        """See the contract. A dyno that ignores TERM ends by KILL, or by ``pass_grace`` after STOP.

        DRAIN waits until ``serve`` sets no open connections, or until ``pass_drain``.
        """
        if name not in NUMBERS:
            raise EngineError(f"the signal {name!r} is not one of {', '.join(NUMBERS)}", id="invalid_params")
        names.check_id(dyno_id)
        with self._changed:
            if not self._lives(dyno_id):
                return
            self.signals.append((dyno_id, name))
            if name == "DRAIN" and self._states[dyno_id].active:
                return
            if name == "KILL" or not self._outcomes[dyno_id].ignores_term:
                self.end(dyno_id, code=128 + NUMBERS[name], reason="signal")

    def forget(self, dyno_id: str) -> None:
        """See the contract."""
        names.check_id(dyno_id)
        with self._changed:
            self._states.pop(dyno_id, None)
            self._outcomes.pop(dyno_id, None)
            self._printed.pop(dyno_id, None)
            if client := self._clients.pop(dyno_id, None):
                client.close()
            if self._folder:
                shutil.rmtree(self._scratch / dyno_id, ignore_errors=True)
            self._changed.notify_all()

    def discard(self, artefact: str) -> None:
        """See the contract; only recorded here."""
        artefacts.discarded(artefact)
        self.discarded.append(artefact)

    def usage(self, volume: str) -> Usage:
        """See the contract; ``usages`` has the answers by name."""
        names.measured(volume)
        return self.usages.get(volume, Usage())

    def result(self, dyno_id: str, name: str, *, limit: int = RESULT_LIMIT) -> bytes | None:
        """See the contract."""
        return left_files.read_file(self._scratch / names.check_id(dyno_id), name, limit)

    @contextlib.contextmanager
    def tree(self, dyno_id: str, name: str) -> Iterator[Path | None]:
        """See the contract."""
        folder = self._scratch / names.check_id(dyno_id) / names.artefact(names.scratch(name))[1]
        yield folder if folder.is_dir() and not folder.is_symlink() else None

    def output(self, dyno_id: str, offset: int, *, limit: int = OUTPUT_PIECE) -> Output:
        """See the contract."""
        state, data = self.describe(dyno_id), self._printed.get(dyno_id, b"")
        piece = data[offset : offset + limit]
        return Output(data=piece, size=len(data), more=state is not None and not state.ended)

    def attach(self, dyno_id: str, *, seen: int | None = None) -> Attachment:
        """See the contract; a test has the other end of the socket, see ``client_of``."""
        with self._changed:
            spec, taken = self.specs.get(names.check_id(dyno_id)), dyno_id in self._clients
            if not (spec and spec.attach and self._lives(dyno_id)) or taken != (seen is not None):
                raise NotWaitingError(f"The dyno {dyno_id} does not wait for a client.")
            near, far = socket.socketpair()
            self._clients[dyno_id] = far
            if seen is None:
                self._begin(dyno_id)
                if talks := self._outcomes[dyno_id].talks:
                    threading.Thread(target=self._talk, args=(dyno_id, talks, far), daemon=True).start()
            return Attachment(sock=near)

    def detach(self, dyno_id: str, *, complete: bool) -> None:
        """See the contract."""
        names.check_id(dyno_id)
        with self._changed:
            if self._lives(dyno_id) and not complete and self.specs[dyno_id].hang_up:
                self.end(dyno_id, code=128 + NUMBERS["HUP"], reason="signal", detail="the client disconnected")

    def endpoint(self, dyno_id: str) -> str:
        """See the contract; no socket exists."""
        return f"run/sockets/{names.check_id(dyno_id)}"

    def connect(self, service: str, *, timeout: float) -> socket.socket:
        """See the contract; nothing serves."""
        raise ConnectionRefusedError(f"nothing serves {service}")

    def capacity(self) -> Capacity:
        """See the contract."""
        return Capacity(memory_mb=65_536, cores=8)

    # -- for tests -----------------------------------------------------------------------------------------------------

    def end(self, dyno_id: str, *, code: int = 0, reason: str = "exit", detail: str = "", last_words: str = "") -> None:
        """End the dyno now."""
        self._change(
            dyno_id,
            phase="exited",
            listening=False,
            active=0,
            host_pid=0,
            exit_code=code,
            reason=reason,
            detail=detail,
            last_words=last_words,
            exited_at=time.time(),
        )

    def lose(self, dyno_id: str, *, certain: bool = True) -> None:
        """Mark the dyno as lost; not certain: it may still run."""
        self._change(dyno_id, phase="lost", listening=False, active=0, host_pid=0, reason="lost", certain=certain)

    def bind(self, dyno_id: str) -> None:
        """Make its port answer."""
        self._change(dyno_id, listening=True)

    def serve(self, dyno_id: str, active: int) -> None:
        """Set the number of open connections."""
        self._change(dyno_id, active=active)
        if not active and (dyno_id, "DRAIN") in self.signals:
            self.signal(dyno_id, "STOP")

    def pass_drain(self) -> None:
        """Let the drain time expire: stops every draining dyno."""
        for dyno_id in {dyno_id for dyno_id, name in self.signals if name == "DRAIN" and self._lives(dyno_id)}:
            self.signal(dyno_id, "STOP")

    def pass_grace(self) -> None:
        """Let the grace of every stopped dyno expire: kills those that ignored TERM."""
        for dyno_id in {
            dyno_id for dyno_id, name in self.signals if name in ("STOP", "DRAIN") and self._lives(dyno_id)
        }:
            self.end(dyno_id, code=137, reason="signal")

    def print(self, dyno_id: str, data: bytes) -> None:
        """Add output of the dyno, for ``output``, even if its spec does not request it."""
        self._printed[dyno_id] = self._printed.get(dyno_id, b"") + data

    def scratch(self, dyno_id: str, name: str) -> Path:
        """The dyno's ``scratch:NAME``, created if needed, for results of a test."""
        folder = self._scratch / dyno_id / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def client_of(self, dyno_id: str) -> socket.socket:
        """The dyno's end of its client's connection."""
        return self._clients[dyno_id]

    @property
    def _scratch(self) -> Path:
        if self._folder is None:
            self._folder = tempfile.TemporaryDirectory(prefix="gr-memory-")
        return Path(self._folder.name)

    def _begin(self, dyno_id: str) -> None:
        outcome, spec = self._outcomes[dyno_id], self.specs[dyno_id]
        host_pid = self._states[dyno_id].pid + 100_000
        self._change(dyno_id, phase="running", host_pid=host_pid, listening=bool(spec.port) and outcome.listens)
        if spec.output:
            self.print(dyno_id, outcome.output)
        for name, data in outcome.leaves.items():
            folder, _, file = name.rpartition("/")
            (self.scratch(dyno_id, folder) / file).write_bytes(data)
        if outcome.exit_code is not None:
            words = outcome.output[-4000:].decode("utf-8", "replace")
            self.end(dyno_id, code=outcome.exit_code, reason=outcome.reason, detail=outcome.detail, last_words=words)

    def _talk(self, dyno_id: str, talks: Callable[[socket.socket], int], far: socket.socket) -> None:
        with far, contextlib.suppress(OSError):
            code = talks(far)
            with self._changed:
                if self._lives(dyno_id):
                    self.end(dyno_id, code=code)

    def _lives(self, dyno_id: str) -> bool:
        state = self._states.get(dyno_id)
        return state is not None and state.phase in ("starting", "running")

    def _change(self, dyno_id: str, **values: object) -> None:
        with self._changed:
            self._states[dyno_id] = dataclasses.replace(self._states[dyno_id], **values)  # type: ignore[arg-type]
            self._changed.notify_all()
