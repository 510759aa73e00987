"""One dyno: runs its command with its own folders and network, and records its state.

Process 1 of the dyno's pid namespace: when it ends, all processes of the dyno end. ``python -m tests.engine.toy.keeper
FOLDER``.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pickle
import signal
import socket
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from greenroom.basics import logfile, unixsock
from greenroom.engine import artefacts, names
from greenroom.engine.contract import DynoSpec, Forward
from tests.engine.toy import root_folder
from tests.engine.toy.client import Client

SIOCSIFFLAGS, UP = 0x8914, 0x41
LAST_WORDS = 4000
LOOK = 0.01


class Keeper:
    """The dyno from its order to its end."""

    def __init__(self, folder: Path) -> None:
        home, self.spec = pickle.loads((folder / "order").read_bytes())  # noqa: S301 -- the engine's own file
        (folder / "order").unlink()
        self.folder, self.home = folder, Path(home)
        self.spec: DynoSpec
        self.state = json.loads((folder / "state").read_text())
        self.lock = threading.RLock()
        self.why = self.detail = ""
        self.heard = self.began = time.monotonic()
        self.words, self.rest = b"", b""
        self.inode = self.streams = 0
        self.deadlines: dict[str, tuple[float, str]] = {}
        self.kill_at = self.stop_at = 0.0
        self.process: subprocess.Popen[bytes] | None = None
        self.stdin = -1
        self.client = Client(self)
        self.go = threading.Event()
        self.log = logfile.Log(str(self.home / self.spec.log)) if self.spec.log else None

    def run(self) -> None:
        """Run until all processes have ended and no client may reconnect."""
        raise_network()
        self.root = root_folder.make(self.folder, self.home, self.spec)
        for forward in self.spec.forwards:
            serve(socket.create_server(("127.0.0.1", forward.port)), lambda it=forward: self._outside(it))
        self.client.listen()
        if self.spec.attach and not self.go.wait(60):
            self._end(127, "start", "no client came")
            return
        self.begin()
        self._end(*self._watch())
        self.client.finish()

    def change(self, **values: object) -> None:
        """Write the state."""
        with self.lock:
            self.state |= values
            (self.folder / "state.new").write_text(json.dumps(self.state))
            (self.folder / "state.new").replace(self.folder / "state")

    def begin(self) -> None:
        """Start the command."""
        spec = self.spec
        if spec.tty:
            self.output, far = os.openpty()
            fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", spec.rows, spec.columns, 0, 0))
            near, self.stdin = far, self.output
        else:
            self.output, far = os.pipe()
            near = self._standard_input()
        try:
            self.process = subprocess.Popen(
                spec.command, env=dict(spec.env), stdin=near, stdout=far, stderr=far, preexec_fn=self._enter
            )
            self.change(phase="running", started_at=time.time())
        except (OSError, subprocess.SubprocessError) as error:
            self.why, self.detail = "start", str(error)
        os.close(far)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _standard_input(self) -> int:
        if self.spec.attach:
            near, self.stdin = os.pipe()
            return near
        fd = os.memfd_create("stdin")
        os.write(fd, self.spec.stdin)
        os.lseek(fd, 0, os.SEEK_SET)
        return fd

    def _enter(self) -> None:
        for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):  # a shell's background job ignores them
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        if self.spec.tty:
            fcntl.ioctl(0, termios.TIOCSCTTY, 0)
        os.chroot(self.root)
        os.chdir(self.spec.cwd if os.path.isdir(self.spec.cwd) else "/")

    def _outside(self, forward: Forward) -> socket.socket:
        kind, address = names.target(forward.service)
        if kind == names.TCP:
            host, _, port = address.rpartition(":")
            return socket.create_connection((host.strip("[]"), int(port)))
        return unixsock.connect(self.home / artefacts.socket(forward.service, forward.port))

    # -- what it prints ------------------------------------------------------------------------------------------------

    def _read(self) -> None:
        with contextlib.ExitStack() as stack:
            said = stack.enter_context((self.folder / "said").open("wb", buffering=0)) if self.spec.output else None
            while True:
                try:
                    data = os.read(self.output, 65536)
                except OSError:
                    break  # the terminal is closed at the other end
                if not data:
                    break
                self.heard, self.words = time.monotonic(), (self.words + data)[-LAST_WORDS:]
                if said:
                    said.write(data)
                self._note(data)
                self.client.send(data)
            self._note(b"\n" if self.rest else b"")

    def _note(self, data: bytes) -> None:
        *lines, self.rest = (self.rest + data).split(b"\n")
        if self.log and lines and not self.spec.attach:
            self.log.append([(time.time(), "app", self.spec.process, line) for line in lines])

    # -- signals and deadlines -----------------------------------------------------------------------------------------

    def told(self, name: str) -> None:
        """Handle a signal from the engine."""
        self.why = self.why or "signal"
        if self.process is None:
            self._end(127, "signal", "ended before it was started")
            os._exit(0)
        if name == "DRAIN":
            threading.Thread(target=self._drain, daemon=True).start()
        elif name == "STOP":
            self._stop()
        elif name == "KILL":
            kill_all(signal.SIGKILL)
        else:
            self.process.send_signal(getattr(signal, f"SIG{name}"))

    def hang_up(self) -> None:
        """The client has left permanently."""
        if self.process and self.process.poll() is None and self.spec.hang_up:
            self.why, self.detail = self.why or "signal", "the client disconnected"
            kill_all(signal.SIGHUP)
            self.kill_at = time.monotonic() + self.spec.limits.grace

    def _drain(self) -> None:
        until = time.monotonic() + self.spec.limits.drain
        while self.state.get("active", 0) > self.streams and time.monotonic() < until:
            time.sleep(LOOK)
        self._stop()

    def _stop(self) -> None:
        kill_all(signal.SIGTERM)
        self.kill_at = self.kill_at or time.monotonic() + self.spec.limits.grace

    def _watch(self) -> tuple[int, str, str]:
        """Wait until the command has ended: exit code, reason, detail."""
        if self.process is None:
            return 127, self.why, self.detail
        while (code := self.process.poll()) is None:
            time.sleep(LOOK)
            self._look(time.monotonic())
        kill_all(signal.SIGKILL)
        self.reader.join(2)
        return (code if code >= 0 else 128 - code), self.why or "exit", self.detail

    def _look(self, now: float) -> None:
        limits, listening = self.spec.limits, bool(self.state.get("listening"))
        if self.spec.port and not listening and has_listener(self.spec.port):
            self._listening()
        for why, passed in (
            ("timeout", limits.timeout and now - self.began > limits.timeout),
            ("silence", limits.silence and now - self.heard > limits.silence),
            ("boot", self.spec.port and limits.boot and not listening and now - self.began > limits.boot),
        ):
            if passed and not self.why:
                self.why, self.detail = why, f"the deadline {why} has passed"
                kill_all(signal.SIGKILL)
        if self.kill_at and now > self.kill_at:
            kill_all(signal.SIGKILL)

    def _listening(self) -> None:
        if path := self._socket():
            path.parent.mkdir(exist_ok=True)
            path.unlink(missing_ok=True)
            listener = unixsock.bind(path, mode=0o666)
            self.inode = path.stat().st_ino
            serve(listener, lambda: socket.create_connection(("127.0.0.1", self.spec.port)), self._count)
        self.change(listening=True)

    def _socket(self) -> Path | None:
        if self.spec.service:
            return self.home / artefacts.socket(self.spec.service, self.spec.port)
        return self.home / self.spec.socket if self.spec.socket else None

    def _count(self, more: int, streams: int) -> None:
        with self.lock:
            self.streams += streams
            self.change(active=int(self.state.get("active", 0)) + more)

    def _end(self, code: int, reason: str, detail: str) -> None:
        path = self._socket()
        if path and path.exists() and path.stat().st_ino == self.inode:
            path.unlink()
        words = self.words.decode("utf-8", "replace")
        values = {"phase": "exited", "listening": False, "active": 0, "exit_code": code, "reason": reason}
        self.change(**values, detail=detail, exited_at=time.time(), last_words=words)


def kill_all(number: int) -> None:
    """Signal every process of the dyno but this one."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(-1, number)


def raise_network() -> None:
    """Bring up the loopback device of the dyno's own network."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, struct.pack("16sH14s", b"lo", UP, b""))


def has_listener(port: int) -> bool:
    """Whether a process of this network listens there."""
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return any(int(line.split()[1].rpartition(":")[2], 16) == port and line.split()[3] == "0A" for line in lines)


def serve(listener: socket.socket, dial, count=lambda more, streams: None) -> None:
    """Forward each connection to the target of ``dial``. count: gets changes of the open ones, and of the streams."""

    def one(client: socket.socket) -> None:
        streams = []

        def first(data: bytes) -> None:
            if data.startswith(b"HTTP/1.1 101 ") or b"\r\nContent-Type: text/event-stream\r\n" in data:
                streams.append(data)
                count(0, 1)

        count(1, 0)
        with contextlib.suppress(OSError), client, dial() as other:
            back = threading.Thread(target=pump, args=(other, client, first), daemon=True)
            back.start()
            pump(client, other)
            back.join()
        count(-1, -len(streams))

    def accept() -> None:
        while True:
            client, _ = listener.accept()
            threading.Thread(target=one, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def pump(source: socket.socket, target: socket.socket, first=lambda data: None) -> None:
    """Copy until the end of the source. first: gets the first piece."""
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            first(data)
            first = lambda data: None  # noqa: E731
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)


if __name__ == "__main__":
    os.umask(0o022)
    Keeper(Path(sys.argv[1])).run()
    os._exit(0)
