"""Hands listening sockets over to the next web process, so that connections wait in them while none runs.

The owner offers them at ``run/handover.sock``; each web process that starts takes copies from there, or binds its own.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from greenroom.basics import unixsock

SOCKET = "run/handover.sock"
MOST = 16
SECONDS = 5.0
PIDFD_GETFD = 438
"""The number of this system call, the same on all architectures."""
LISTEN = "0A"


def of_process(pid: int, ports: Sequence[int]) -> list[socket.socket]:
    """Copies of the TCP sockets on which a process listens, for these ports. They listen as long as one copy is open.
    Needs root, or the right to trace the process; OSError.
    """
    inodes = _listening(ports)
    handle, found = os.pidfd_open(pid), []
    try:
        for name in os.listdir(f"/proc/{pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                if os.readlink(f"/proc/{pid}/fd/{name}") in inodes:
                    found.append(socket.socket(fileno=_copy(handle, int(name))))
    except BaseException:
        close(found)
        raise
    finally:
        os.close(handle)
    return found


def _copy(handle: int, number: int) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    copy = libc.syscall(PIDFD_GETFD, handle, number, 0)
    if copy < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return int(copy)


def _listening(ports: Sequence[int]) -> set[str]:
    """``socket:[INODE]`` of the listening TCP sockets of these ports."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == LISTEN and int(fields[1].rpartition(":")[2], 16) in ports:
                    found.add(f"socket:[{fields[9]}]")
    return found


def close(sockets: Sequence[socket.socket]) -> None:
    """Close copies. The port is free when the last one is closed."""
    for sock in sockets:
        sock.close()


@contextlib.contextmanager
def offered(home: Path, sockets: Sequence[socket.socket], owner: tuple[int, int] | None = None) -> Iterator[None]:
    """Offer the sockets to web processes for the duration of the block. owner: the user that web runs as."""
    path = home / SOCKET
    listener = unixsock.bind(path, mode=0o600)
    if owner:
        os.chown(path, *owner)
    thread = threading.Thread(target=_serve, args=(listener, list(sockets)), daemon=True)
    thread.start()
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            listener.shutdown(socket.SHUT_RDWR)
        thread.join(SECONDS)
        listener.close()


def _serve(listener: socket.socket, sockets: list[socket.socket]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, contextlib.suppress(OSError):
            client.settimeout(SECONDS)
            socket.send_fds(client, [b"%d" % len(sockets)], [sock.fileno() for sock in sockets])


def is_offered(home: Path) -> bool:
    """Whether a process holds the ports of web for its next start."""
    with contextlib.suppress(OSError):
        unixsock.connect(home / SOCKET, timeout=SECONDS).close()
        return True
    return False


def take(home: Path) -> dict[int, socket.socket]:
    """port -> a listening socket, of those that are offered; empty if none are."""
    try:
        with unixsock.connect(home / SOCKET, timeout=SECONDS) as sock:
            _, numbers, _, _ = socket.recv_fds(sock, 16, MOST)
    except OSError:
        return {}
    found = [socket.socket(fileno=number) for number in numbers]
    return {sock.getsockname()[1]: sock for sock in found}
