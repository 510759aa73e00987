"""One lock file per component, so that at most one process of each is running and can be found without a pid file.

The component inherits the locked descriptor of ``run/<name>.lock``; the kernel releases the lock when it ends.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from greenroom.basics.processes import Identity, identity


def file_of(home: Path, name: str) -> Path:
    """The lock file of a component."""
    return home / "run" / f"{name}.lock"


def take(home: Path, name: str) -> int | None:
    """A locked descriptor, to be inherited by the component; None when another process has the lock. Raises OSError."""
    fd = os.open(file_of(home, name), os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        return None
    except OSError:
        os.close(fd)
        raise
    return fd


def holders(home: Path, name: str) -> list[Identity]:
    """The processes that hold the lock, oldest first; only those whose descriptors this user may read."""
    path = file_of(home, name)
    try:
        wanted = path.stat()
    except OSError:
        return []
    found = []
    for number in filter(str.isdigit, os.listdir("/proc")):
        if _holds(number, path.name, (wanted.st_dev, wanted.st_ino)) and (who := identity(int(number))):
            found.append(who)
    return sorted(found, key=lambda who: (who.started, who.pid))


def _holds(number: str, name: str, inode: tuple[int, int]) -> bool:
    """Whether the process has the lock file open and locked."""
    folder = f"/proc/{number}/fd"
    with contextlib.suppress(OSError):
        for fd in os.listdir(folder):
            with contextlib.suppress(OSError):
                if not os.readlink(f"{folder}/{fd}").endswith(name):
                    continue
                status = os.stat(f"{folder}/{fd}")
                if (status.st_dev, status.st_ino) == inode and b"FLOCK" in Path(
                    f"/proc/{number}/fdinfo/{fd}"
                ).read_bytes():
                    return True
    return False
