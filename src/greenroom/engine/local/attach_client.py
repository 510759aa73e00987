"""The control plane's side of an attached dyno: connects to the sockets that its shim keeps, and speaks their words.

The other side is ``session``.
"""

from __future__ import annotations

import contextlib
import os

from greenroom.basics import unixsock
from greenroom.engine.contract import Attachment
from greenroom.engine.errors import NotReadyError, NotWaitingError, OutputGoneError
from greenroom.engine.local import attach, session, state_reader

SECONDS = 5.0
"""How long a shim may take to answer."""


def first(home: str, dyno_id: str) -> Attachment:
    """The dyno's first client: its process is started now."""
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
            f"The dyno {dyno_id} waits for nobody.", hint="a dyno takes one client; it may have ended"
        ) from error


def again(home: str, dyno_id: str, seen: int) -> Attachment:
    """A client that was lost: says what it has seen, and hears how much of its input has come."""
    try:
        sock = unixsock.connect(_door(home, dyno_id), timeout=SECONDS)
    except (FileNotFoundError, ConnectionRefusedError) as error:
        raise NotWaitingError(f"The dyno {dyno_id} waits for nobody.", hint="it has ended") from error
    try:
        sock.sendall(seen.to_bytes(session.WORD, "big"))
        taken = sock.recv(session.WORD)
        if len(taken) != session.WORD:
            raise ConnectionResetError("the dyno closed its door meanwhile")  # if it has ended, the next try tells
        if taken == session.GONE:
            raise OutputGoneError(f"Output of the dyno {dyno_id} that the client has not seen is not kept any more.")
    except BaseException:
        sock.close()
        raise
    sock.settimeout(None)
    return Attachment(sock=sock, received=int.from_bytes(taken, "big"))


def leave(home: str, dyno_id: str, *, complete: bool) -> None:
    """The client leaves for good; nothing when the dyno has ended or is unknown."""
    with contextlib.suppress(OSError), unixsock.connect(_door(home, dyno_id), timeout=SECONDS) as sock:
        sock.sendall(session.COMPLETE if complete else session.LEAVES)


def _door(home: str, dyno_id: str) -> str:
    return os.path.join(state_reader.folder(home, dyno_id), session.RESUME)
