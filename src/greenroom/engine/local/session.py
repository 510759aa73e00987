"""The consecutive clients of an attached dyno: the first starts it, and a client that lost its connection may
reconnect.

A lost connection (the web process died) does not end the dyno: it continues, and its output is kept for the client's
return. When a client leaves, the dyno gets a hangup, unless it is exempt (a migrate). After the dyno's end the output
is kept until the client confirms it all, since the web process may not have forwarded everything that it read.
"""

from __future__ import annotations

from _socket import socket

from greenroom.engine.local import attach, signals
from greenroom.engine.local.loop import IN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from greenroom.engine.local.kept_dyno import KeptDyno
    from greenroom.engine.local.loop import Timer

FIRST_SECONDS, BACK_SECONDS = 60.0, 90.0
"""Seconds to wait for the first client, and for the return of a lost one."""
LINGER_SECONDS = 30.0
"""Seconds to keep the output of an ended dyno for a client that has not confirmed it all."""
HISTORY = 4_194_304
"""Bytes of output to keep for a returning client; the dyno is paused before bytes that it may request are discarded."""
IN_FLIGHT = 2_097_152
"""Maximum bytes on the way to the client: the buffers of this socket, of the web process and of its (bounded) TLS
connection.
"""
SPARE = 262_144
"""Bytes that may still be read after the dyno has been paused."""
RESUME = "resume.sock"
WORD = 8
LEAVES = b"\xff" * WORD
COMPLETE = b"\xff" * (WORD - 1) + b"\xfe"
"""Sent to ``resume.sock`` by a client with all output, instead of the number of output bytes received."""
GONE = b"\xff" * WORD
"""The answer to a request for discarded output, instead of the number of input bytes received."""


class Session:
    """The current client of an attached dyno, or none."""

    def __init__(self, shim: KeptDyno) -> None:
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
        """Accept no more clients."""
        self._first.close()
        self._again.close()

    @property
    def absent(self) -> bool:
        """Whether a lost client may return for output that it has not received."""
        return self._away is not None

    def send(self, data: bytes) -> bool:
        """Send output. False: wait for ``KeptDyno.resume_output``."""
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
        """Whether more output fits without discarding bytes that the client may still request. ``_base``: offset where
        this client began.
        """
        taken = max(0, self._client.sent - IN_FLIGHT) if self._client else 0
        return self.printed - self._base - taken < HISTORY - SPARE

    def forget_stdin(self) -> None:
        """Discard further input, since the process has ended."""
        if self._client:
            self._client.forget_stdin()

    def finish(self, done: Callable[[], None]) -> None:
        """Send the remaining output and close. Calls ``done`` when no client needs the output any more."""
        self._over, self._done = True, done
        self._first.close()
        if self._client is None or self._abandoned:
            self._release()
        else:
            self._client.finish()

    def _release(self) -> None:
        """Close the session: the client has everything, or will not return."""
        if self._away:
            self._away.cancel()
        self.close()
        if self._client:
            self._client.replace()
        self._done()

    # -- connections ---------------------------------------------------------------------------------------------------

    def _came(self, sock: socket) -> None:
        self._waiting.cancel()
        stdin = self._shim.launch()
        if stdin is None:
            sock.close()
            return
        self._client = attach.Client(self._loop, sock, stdin, tty=self._shim.order["tty"], gone=self._lost)

    def _nobody_came(self) -> None:
        self._shim.unattended(f"Error R13 (Attach error) -> No client connected within {self._patience:g} seconds")

    def _lost(self) -> None:
        if self._over:
            self._away = self._loop.at(LINGER_SECONDS, self._release)
        elif not self._abandoned:
            self._away = self._loop.at(BACK_SECONDS, self._gone)
            if self._has_room():
                self._shim.resume_output()

    def _returns(self, sock: socket) -> None:
        """Serve a connection to ``resume.sock``, which sends one word: the number of output bytes received, that the
        output is complete, or that the client leaves.
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
        """Handle a client that has left for good."""
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
        self._shim.abandoned(hang_up=bool(self._shim.order["hang_up"]), signal=signals.HUP)
        self.forget_stdin()  # after the hangup: a process that reads must not see the end of its input first
