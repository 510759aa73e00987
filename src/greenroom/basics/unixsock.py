"""Unix sockets at paths of any length: the kernel's 107 bytes are got round by the folder's file descriptor.

It gives addresses, connections and listeners; who may connect is decided by the mode of the socket and of its folder.
"""

from __future__ import annotations

import errno
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket

LONGEST = 107
"""Bytes of a path that fit into sockaddr_un with its final zero (unix(7))."""


def address(path: str | os.PathLike[str]) -> tuple[str, int | None]:
    """An address for ``connect`` or ``bind``, and a file descriptor to close after that call (None: nothing to close).

    Raises OSError: the folder does not exist, or the name alone is longer than about 80 bytes.
    """
    text = os.fspath(path)
    if len(os.fsencode(text)) <= LONGEST:
        return text, None
    folder, name = os.path.split(text)
    fd = os.open(folder or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    short = f"/proc/self/fd/{fd}/{name}"
    if len(os.fsencode(short)) > LONGEST:
        os.close(fd)
        raise OSError(errno.ENAMETOOLONG, "the name of the socket is too long", text)
    return short, fd


def connect(path: str | os.PathLike[str], *, timeout: float | None = None) -> socket.socket:
    """A connected stream socket (blocking, with ``timeout`` seconds). Raises OSError."""
    import socket  # the shims use the address alone and go without this module

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    fd = None
    try:
        sock.settimeout(timeout)
        short, fd = address(path)
        sock.connect(short)
    except BaseException:
        sock.close()
        raise
    finally:
        if fd is not None:
            os.close(fd)
    return sock


def bind(path: str | os.PathLike[str], *, mode: int = 0o600, backlog: int = 1024) -> socket.socket:
    """A listening stream socket that takes the place of whatever was at ``path``, in one step and with ``mode`` from
    the start.

    Raises OSError.
    """
    import socket

    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        place(sock, path, mode, backlog)
    except BaseException:
        sock.close()
        raise
    return sock


def place(sock: socket.socket, path: str | os.PathLike[str], mode: int, backlog: int) -> None:
    """Bind under another name, set ``mode``, listen, then rename: nobody sees a socket with the wrong mode, or one that
    refuses. Raises OSError.
    """
    final = os.fspath(path)
    draft = f"{final}.{os.getpid()}~"
    short, fd = address(draft)
    try:
        try:
            sock.bind(short)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
            os.unlink(draft)  # left behind by a killed process that had our number
            sock.bind(short)
        os.chmod(draft, mode)
        sock.listen(backlog)
        os.rename(draft, final)
    finally:
        if fd is not None:
            os.close(fd)
