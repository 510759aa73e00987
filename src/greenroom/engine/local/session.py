"""The clients of an attached dyno, one after the other: the first starts it, and whoever has lost the connection comes
back to it.

A connection that breaks off (the web process died) is no end: the dyno goes on, its output is kept for a client that
returns. A client that
says that it leaves is hung up on, unless the dyno is one that nobody hangs up on (a migrate). After the dyno's end the
output is kept until the
client says that it has all of it: what the web process has taken, it may not have passed on.
"""

from __future__ import annotations

from _socket import socket

from greenroom.engine.local import attach, signals
from greenroom.engine.local.loop import IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.engine.local.loop import Timer
    from greenroom.engine.local.shim import Shim

FIRST_SECONDS, BACK_SECONDS = 60.0, 90.0
"""How long a dyno waits for its first client, and for one that was lost."""
LINGER_SECONDS = 30.0
"""How long the output of an ended dyno is kept for a client that has not said that it has all of it."""
HISTORY = 4_194_304
"""Bytes of output that are kept for a client that comes back; the dyno waits before any of them that it may ask for
goes.
"""
IN_FLIGHT = 2_097_152
"""Bytes between here and the client at most: the buffers of this socket, of the web process and of its (bounded) TLS
connection.
"""
SPARE = 262_144
"""What may still be read after the dyno has been told to wait."""
RESUME = "resume.sock"
WORD = 8
LEAVES = b"\xff" * WORD
COMPLETE = b"\xff" * (WORD - 1) + b"\xfe"
"""Said at ``resume.sock`` instead of the number of bytes of output that the client has seen."""
GONE = b"\xff" * WORD
"""Answered to a client that asks for output that is not kept any more, instead of the number of bytes of its input that
have come.
"""


class Session:
    """Whoever is at the other end of an attached dyno, or nobody."""

    def __init__(self, shim: Shim) -> None:
        self._shim, self._loop = shim, shim.loop
        self._client: attach.Client | None = None
        self._history = bytearray()
        self.printed = self._base = 0
        self._away: Timer | None = None
        self._abandoned = self._over = False
        self._done: Callable[[], None] = lambda: None
        folder = shim.order["folder"]
        self._first = attach.Door(self._loop, folder, self._came)
        self._again = attach.Door(self._loop, folder, self._returns, name=RESUME, once=False)
        self._patience = min(FIRST_SECONDS, shim.limits["timeout"] or FIRST_SECONDS)
        self._waiting = self._loop.at(self._patience, self._nobody_came)

    def close(self) -> None:
        """Nobody comes in any more."""
        self._first.close()
        self._again.close()

    @property
    def absent(self) -> bool:
        """Whether a lost client may come back for what it has not seen."""
        return self._away is not None

    def send(self, data: bytes) -> bool:
        """Output; False: it has to wait (for ``Shim.resume_output``)."""
        self._history += data
        del self._history[:-HISTORY]
        self.printed += len(data)
        if self._abandoned:
            return True
        if not (self._client and self._client.open):
            return self._has_room()
        if self._client.send(data):
            return True
        self._client.when_ready(self._shim.resume_output)
        return False

    def _has_room(self) -> bool:
        """Whether more may be printed, and what the client may still ask for stays in the history. ``_base``: where
        this client began.
        """
        taken = max(0, self._client.sent - IN_FLIGHT) if self._client else 0
        return self.printed - self._base - taken < HISTORY - SPARE

    def forget_stdin(self) -> None:
        """The process has ended."""
        if self._client:
            self._client.forget_stdin()

    def finish(self, done: Callable[[], None]) -> None:
        """All has been printed: send it and close. ``done`` is called when nobody needs it any more."""
        self._over, self._done = True, done
        self._first.close()
        if self._client is None or self._abandoned:
            self._release()
        else:
            self._client.finish()

    def _release(self) -> None:
        """The client has everything, or will not come for it."""
        if self._away:
            self._away.cancel()
        self.close()
        if self._client:
            self._client.replace()
        self._done()

    # -- coming and going ----------------------------------------------------------------------------------------------

    def _came(self, sock: socket) -> None:
        self._waiting.cancel()
        stdin = self._shim.launch()
        if stdin is None:
            sock.close()
            return
        self._client = attach.Client(self._loop, sock, stdin, tty=self._shim.order["tty"], gone=self._lost)

    def _nobody_came(self) -> None:
        self._shim.unattended(f"Error R13 (Attach error) -> No client came within {self._patience:g} seconds")

    def _lost(self) -> None:
        if self._over:
            self._away = self._loop.at(LINGER_SECONDS, self._release)
        elif not self._abandoned:
            self._away = self._loop.at(BACK_SECONDS, self._gone)
            if self._has_room():
                self._shim.resume_output()

    def _returns(self, sock: socket) -> None:
        """Somebody at ``resume.sock``: says in one word how much of the output it has seen, that it has all of it, or
        that it leaves.
        """
        fd = sock.fileno()
        timer = self._loop.at(5.0, lambda: self._drop(sock))

        def said(_: int) -> None:
            timer.cancel()
            try:
                word = sock.recv(WORD)
            except OSError:
                word = b""
            if word == LEAVES or (word == COMPLETE and self._over):
                self._drop(sock)
                self._gone()
            elif len(word) != WORD or word == COMPLETE or self._client is None or self._abandoned:
                self._drop(sock)
            else:
                self._loop.remove(fd)
                self._resume(sock, int.from_bytes(word, "big"))

        self._loop.add(fd, IN, said)

    def _drop(self, sock: socket) -> None:
        fd = sock.detach()
        if fd >= 0:
            self._loop.close(fd)

    def _resume(self, sock: socket, seen: int) -> None:
        before, missing = self._client, self.printed - seen
        assert before
        if missing > len(self._history):
            sock.send(GONE)
            self._drop(sock)
            self._gone()
            return
        before.replace()
        if self._away:
            self._away.cancel()
            self._away = None
        sock.send(before.received.to_bytes(WORD, "big"))
        self._client = attach.Client(self._loop, sock, -1, tty=self._shim.order["tty"], gone=self._lost)
        self._client.take_over(before)
        self._base = seen
        ready = self._client.send(bytes(self._history[-missing:]) if missing > 0 else b"")
        if self._over:
            self._client.finish()
            return
        if ready:
            self._shim.resume_output()
        else:
            self._client.when_ready(self._shim.resume_output)
        self._shim.finish_if_due()

    def _gone(self) -> None:
        """The client has left for good."""
        if self._over:
            self._release()
        if self._abandoned or self._over:
            return
        self._abandoned = True
        if self._away:
            self._away.cancel()
            self._away = None
        self.close()
        if self._client:
            self._client.replace()
            self._client.forget_stdin()
        self._shim.abandoned(hang_up=bool(self._shim.order["hang_up"]), signal=signals.HUP)
