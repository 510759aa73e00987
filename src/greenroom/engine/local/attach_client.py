"""The control plane's side of an attached dyno: connects to the shim's sockets and implements the protocol.

``session`` is the other side.
"""

from __future__ import annotations

import contextlib
import os

from greenroom.basics import unixsock
from greenroom.engine.contract import Attachment
from greenroom.engine.errors import NotReadyError, NotWaitingError, OutputGoneError
from greenroom.engine.local import attach, session, state_reader

SECONDS = 5.0
"""Seconds for a shim to answer."""


def first(home: str, dyno_id: str) -> Attachment:
    """Connect the dyno's first client, which starts its process."""
    folder = state_reader.folder(home, dyno_id)
    try:
        sock = unixsock.connect(os.path.join(folder, attach.NAME), timeout=SECONDS)
        sock.settimeout(None)
        return Attachment(sock=sock)
    except OSError as error:
        values = state_reader.raw(home, dyno_id)
        if (values is None and os.path.isdir(folder)) or (values and values.get("phase") == "starting"):
            raise NotReadyError(f"The dyno {dyno_id} is being started.") from error
        raise NotWaitingError(
            f"The dyno {dyno_id} does not wait for a client.", hint="a dyno accepts one client; it may have ended"
        ) from error


def again(home: str, dyno_id: str, seen: int) -> Attachment:
    """Reconnect a client: sends the number of output bytes that it has received, and returns how much of its input
    arrived.
    """
    try:
        sock = unixsock.connect(_door(home, dyno_id), timeout=SECONDS)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotWaitingError(f"The dyno {dyno_id} does not wait for a client.", hint="it has ended") from error
    try:
        sock.sendall(seen.to_bytes(session.WORD, "big"))
        taken = sock.recv(session.WORD)
        if len(taken) != session.WORD:
            raise ConnectionResetError("the dyno no longer accepts connections")  # the next attempt reports its end
        if taken == session.GONE:
            raise OutputGoneError(
                f"Output of the dyno {dyno_id} that the client has not received is no longer available."
            )
    except BaseException:
        sock.close()
        raise
    sock.settimeout(None)
    return Attachment(sock=sock, received=int.from_bytes(taken, "big"))


def leave(home: str, dyno_id: str, *, complete: bool) -> None:
    """Disconnect the client for good; no effect if the dyno has ended or is unknown."""
    with contextlib.suppress(OSError), unixsock.connect(_door(home, dyno_id), timeout=SECONDS) as sock:
        sock.sendall(session.COMPLETE if complete else session.LEAVES)


def _door(home: str, dyno_id: str) -> str:
    return os.path.join(state_reader.folder(home, dyno_id), session.RESUME)
