"""The keeper's socket: commands of the engine, and the client of an attached dyno."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from typing import TYPE_CHECKING

from greenroom.basics import unixsock

if TYPE_CHECKING:
    from tests.engine.toy.keeper import Keeper

BACK_SECONDS, LINGER_SECONDS = 90.0, 30.0


class Client:
    """The client of an attached dyno; all of the dyno's output is kept."""

    def __init__(self, keeper: Keeper) -> None:
        self.keeper = keeper
        self.lock = threading.Lock()
        self.sock: socket.socket | None = None
        self.history, self.received = b"", 0
        self.came = self.over = False
        self.complete = threading.Event()

    def listen(self) -> None:
        """Accept commands from now on."""
        listener = unixsock.bind(self.keeper.folder / "door", mode=0o600)
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            sock, _ = listener.accept()
            word, _, number = sock.recv(32).decode().strip().partition(" ")
            if word == "FIRST" and self.keeper.spec.attach and not self.came:
                self.came = True
                self._take(sock, 0)
                self.keeper.go.set()
            elif word == "AGAIN" and self.came:
                self._take(sock, int(number))
            else:
                self._obey(word)
                sock.close()

    def _obey(self, word: str) -> None:
        if word == "COMPLETE":
            self.complete.set()
        elif word == "LEAVES":
            self.complete.set()
            self.keeper.hang_up()
        elif word not in ("FIRST", "AGAIN"):
            self.keeper.told(word)

    def _take(self, sock: socket.socket, seen: int) -> None:
        with self.lock:
            before, self.sock = self.sock, sock
            if before:
                before.close()
            sock.sendall(f"+{self.received}".ljust(16).encode() + self.history[seen:])
            if self.over:
                sock.shutdown(socket.SHUT_WR)
        threading.Thread(target=self._listen, args=(sock,), daemon=True).start()

    def _listen(self, sock: socket.socket) -> None:
        """The client's input to the dyno. A client that only ends its input is still there; a lost one is not."""
        self.keeper.go.wait()
        try:
            while data := sock.recv(65536):
                self.received += len(data)
                while self.keeper.stdin < 0:
                    threading.Event().wait(0.01)
                os.write(self.keeper.stdin, data)
        except OSError:
            return
        poll = select.poll()
        poll.register(sock, select.POLLHUP)
        gone = any(events & select.POLLHUP for _, events in poll.poll(0))
        if not gone and not self.keeper.spec.tty and self.sock is sock:
            os.close(self.keeper.stdin)

    def send(self, data: bytes) -> None:
        """Send output to the client."""
        with self.lock:
            self.history += data
            if self.sock:
                with contextlib.suppress(OSError):
                    self.sock.sendall(data)

    def finish(self) -> None:
        """Called at the end of the output; waits until the client confirms that it has received all of it."""
        with self.lock:
            self.over = True
            if self.sock:
                with contextlib.suppress(OSError):
                    self.sock.shutdown(socket.SHUT_RDWR)
        if self.came:
            self.complete.wait(LINGER_SECONDS)
