"""The local engine's client for the rooms: reads the run folders directly and sends changes to the supervisor.

Waits for a restarting supervisor. All requests are idempotent, so a lost answer is harmless.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from greenroom.basics import unixsock
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
from greenroom.engine.errors import EngineAwayError, EngineError
from greenroom.engine.local import attach_client, capacity, output, plan, protocol, state_reader

RETRY_SECONDS = 10.0
ANSWER_SECONDS = 60.0


class LocalEngine:
    """An Engine on this host. ``home``: Greenroom's home folder."""

    def __init__(self, home: str | os.PathLike[str], *, retry: float = RETRY_SECONDS) -> None:
        self.home, self._retry = os.path.realpath(home), retry

    def start(self, spec: DynoSpec) -> DynoState:
        """See the contract."""
        return DynoState(**self._ask({"verb": "start", "spec": protocol.spec_to_wire(spec)}))

    def describe(self, dyno_id: str) -> DynoState | None:
        """See the contract; takes two small reads and no request."""
        return state_reader.describe(self.home, names.check_id(dyno_id))

    def list(self) -> list[DynoState]:
        """See the contract."""
        return [it for dyno_id in state_reader.all_ids(self.home) if (it := state_reader.describe(self.home, dyno_id))]

    def signal(self, dyno_id: str, name: Signal) -> None:
        """See the contract."""
        self._ask({"verb": "signal", "id": names.check_id(dyno_id), "name": name})

    def forget(self, dyno_id: str) -> None:
        """See the contract."""
        self._ask({"verb": "forget", "id": names.check_id(dyno_id)})

    def discard(self, artefact: str) -> None:
        """See the contract."""
        self._ask({"verb": "discard", "artefact": artefact})

    def usage(self, volume: str) -> Usage:
        """See the contract."""
        names.measured(volume)
        return Usage(**self._ask({"verb": "usage", "artefact": volume}))

    def result(self, dyno_id: str, name: str, *, limit: int = RESULT_LIMIT) -> bytes | None:
        """See the contract."""
        return left_files.read_file(self._scratch(dyno_id), name, limit)

    @contextlib.contextmanager
    def tree(self, dyno_id: str, name: str) -> Iterator[Path | None]:
        """See the contract; returns the dyno's own folder, so a rename is cheap."""
        folder = Path(self._scratch(dyno_id), names.artefact(names.scratch(name))[1])
        yield folder if folder.is_dir() and not folder.is_symlink() else None

    def output(self, dyno_id: str, offset: int, *, limit: int = OUTPUT_PIECE) -> Output:
        """See the contract."""
        state = self.describe(dyno_id)  # before reading, so that the read includes all output up to the end
        data, size = left_files.read_piece(
            os.path.join(state_reader.folder(self.home, dyno_id), output.FILE), offset, limit
        )
        return Output(data=data, size=size, more=state is not None and not state.ended)

    def attach(self, dyno_id: str, *, seen: int | None = None) -> Attachment:
        """See the contract."""
        names.check_id(dyno_id)
        if seen is None:
            return attach_client.first(self.home, dyno_id)
        return attach_client.again(self.home, dyno_id, seen)

    def detach(self, dyno_id: str, *, complete: bool) -> None:
        """See the contract."""
        attach_client.leave(self.home, names.check_id(dyno_id), complete=complete)

    def endpoint(self, dyno_id: str) -> str:
        """See the contract."""
        return plan.endpoint(names.check_id(dyno_id))

    def connect(self, service: str, *, timeout: float) -> socket.socket:
        """See the contract."""
        return unixsock.connect(Path(self.home) / artefacts.socket(service, 0), timeout=timeout)

    def capacity(self) -> Capacity:
        """See the contract; measured at each call, since a container's limits may change while it runs."""
        return capacity.measured()

    def about(self) -> dict[str, Any]:
        """The supervisor's status: pid, root, mode, cgroups, bwrap. Raises EngineAwayError if it does not answer."""
        answer: dict[str, Any] = self._ask({"verb": "ping"})
        return answer

    def _scratch(self, dyno_id: str) -> str:
        return os.path.join(self.home, plan.SCRATCH, names.check_id(dyno_id))

    def _ask(self, request: dict[str, Any]) -> Any:
        line = protocol.encode(request)
        deadline = time.monotonic() + self._retry
        while True:
            try:
                answer = self._exchange(line)
                break
            except OSError as error:
                if time.monotonic() > deadline or isinstance(error, PermissionError):
                    raise EngineAwayError(
                        f"the supervisor at {os.path.join(self.home, protocol.SOCKET)} does not answer:"
                        f" {error.strerror or error}",
                        hint="check it with `greenroom doctor`; start it with `greenroom up`",
                    ) from None
            time.sleep(0.05)
        if answer.get("ok"):
            return answer.get("result")
        said = answer.get("error") or {}
        raise EngineError(
            said.get("message", "the supervisor failed"), hint=said.get("hint", ""), id=said.get("id", "")
        )

    def _exchange(self, line: bytes) -> dict[str, Any]:
        with contextlib.closing(
            unixsock.connect(os.path.join(self.home, protocol.SOCKET), timeout=ANSWER_SECONDS)
        ) as sock:
            sock.sendall(line)
            with sock.makefile("rb") as answers:
                answer = answers.readline(protocol.LONGEST_LINE + 1)
        if not answer.endswith(b"\n"):
            raise ConnectionError("the connection was cut")
        return protocol.decode(answer)
