"""An engine in memory: nothing is run, a script says how each dyno goes. For tests of rooms, held to the engine's
contract suite.

It obeys the contract in every state it shows; time passes when the test says so.
"""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from greenroom.engine.contract import DynoSpec, DynoState, Signal
from greenroom.engine.errors import EngineError

NUMBERS = {"HUP": 1, "INT": 2, "KILL": 9, "TERM": 15, "STOP": 15, "DRAIN": 15}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a dyno goes.

    exit_code: None: it runs until it is signalled; else it ends at once with this code.
    listens:   whether a dyno with a port binds it at once.
    reason, detail: of its end.
    ignores_term: it ends by KILL alone.
    refuses: the text with which ``start`` fails.
    output:  what an ``output`` file would contain; kept for ``output_of``.
    """

    exit_code: int | None = None
    listens: bool = True
    reason: str = "exit"
    detail: str = ""
    ignores_term: bool = False
    refuses: str = ""
    output: bytes = b""


SERVES, SUCCEEDS, FAILS = Outcome(), Outcome(exit_code=0), Outcome(exit_code=1)


def default(spec: DynoSpec) -> Outcome:
    """Web and worker dynos run, all others succeed at once."""
    return SERVES if spec.kind in ("web", "worker") or spec.attach else SUCCEEDS


class MemoryEngine:
    """An Engine. ``script`` gives each spec's outcome; ``specs`` and ``signals`` tell what was asked."""

    def __init__(self, script: Callable[[DynoSpec], Outcome] = default) -> None:
        self.script = script
        self.specs: dict[str, DynoSpec] = {}
        self.signals: list[tuple[str, str]] = []
        self.discarded: list[str] = []
        self._states: dict[str, DynoState] = {}
        self._outcomes: dict[str, Outcome] = {}
        self._changed = threading.Condition(threading.RLock())
        self._next_pid = 1000

    def start(self, spec: DynoSpec) -> DynoState:
        """See the contract."""
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
        return self._states.get(dyno_id)

    def list(self) -> list[DynoState]:
        """See the contract."""
        return [self._states[dyno_id] for dyno_id in sorted(self._states)]

    def signal(self, dyno_id: str, name: Signal) -> None:
        """See the contract; a dyno that ignores TERM ends by KILL, or by ``pass_grace`` after STOP.

        DRAIN waits until ``serve`` says that no connection is open, or ``pass_drain``.
        """
        if name not in NUMBERS:
            raise EngineError(f"the signal {name!r} is not one of {', '.join(NUMBERS)}", id="invalid_params")
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
        with self._changed:
            self._states.pop(dyno_id, None)
            self._outcomes.pop(dyno_id, None)
            self._changed.notify_all()

    def discard(self, folder: str) -> None:
        """See the contract; here it is only written down."""
        self.discarded.append(folder)

    def wait(
        self, ids: Iterable[str], timeout: float, seen_before: Mapping[str, DynoState | None] | None = None
    ) -> dict[str, DynoState | None]:
        """The local engine's: until the phase or ``listening`` of one of ``ids`` changes, at most ``timeout``
        seconds.
        """
        ids = list(ids)
        with self._changed:
            before = {dyno_id: self.describe(dyno_id) for dyno_id in ids} if seen_before is None else dict(seen_before)
            marks = {dyno_id: _mark(before.get(dyno_id)) for dyno_id in ids}
            self._changed.wait_for(lambda: any(_mark(self.describe(it)) != marks[it] for it in ids), timeout)
            return {dyno_id: self.describe(dyno_id) for dyno_id in ids}

    # -- what a test may do ------------------------------------------------------------------------------------------

    def end(self, dyno_id: str, *, code: int = 0, reason: str = "exit", detail: str = "", last_words: str = "") -> None:
        """The dyno ends now."""
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

    def lose(self, dyno_id: str) -> None:
        """Its shim is killed."""
        self._change(dyno_id, phase="lost", listening=False, active=0, host_pid=0, reason="lost")

    def bind(self, dyno_id: str) -> None:
        """Its port answers from now on."""
        self._change(dyno_id, listening=True)

    def serve(self, dyno_id: str, active: int) -> None:
        """So many connections are open."""
        self._change(dyno_id, active=active)
        if not active and (dyno_id, "DRAIN") in self.signals:
            self.signal(dyno_id, "STOP")

    def pass_drain(self) -> None:
        """The time for open connections is over: every dyno that drains is stopped."""
        for dyno_id in {dyno_id for dyno_id, name in self.signals if name == "DRAIN" and self._lives(dyno_id)}:
            self.signal(dyno_id, "STOP")

    def attach(self, dyno_id: str) -> None:
        """The client of an attached dyno comes."""
        with self._changed:
            self._begin(dyno_id)

    def pass_grace(self) -> None:
        """The grace of every stopped dyno is over: those that ignored TERM are killed."""
        for dyno_id in {
            dyno_id for dyno_id, name in self.signals if name in ("STOP", "DRAIN") and self._lives(dyno_id)
        }:
            self.end(dyno_id, code=137, reason="signal")

    def output_of(self, dyno_id: str) -> bytes:
        """What it would have printed."""
        return self._outcomes[dyno_id].output

    def _begin(self, dyno_id: str) -> None:
        outcome, spec = self._outcomes[dyno_id], self.specs[dyno_id]
        host_pid = self._states[dyno_id].pid + 100_000
        self._change(dyno_id, phase="running", host_pid=host_pid, listening=bool(spec.port) and outcome.listens)
        if outcome.exit_code is not None:
            words = outcome.output[-4000:].decode("utf-8", "replace")
            self.end(dyno_id, code=outcome.exit_code, reason=outcome.reason, detail=outcome.detail, last_words=words)

    def _lives(self, dyno_id: str) -> bool:
        state = self._states.get(dyno_id)
        return state is not None and state.phase in ("starting", "running")

    def _change(self, dyno_id: str, **values: object) -> None:
        with self._changed:
            self._states[dyno_id] = dataclasses.replace(self._states[dyno_id], **values)  # type: ignore[arg-type]
            self._changed.notify_all()


def _mark(state: DynoState | None) -> tuple[object, ...] | None:
    return (state.phase, state.listening) if state else None
