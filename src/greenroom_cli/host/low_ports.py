"""Starts a program as another user with the capability to open ports below 1024.

Run as root with ``UID GID PROGRAM ARGUMENTS...``: drops all capabilities except CAP_NET_BIND_SERVICE, changes the user
and executes the program.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_KEEPCAPS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE = 8, 47, 2
NET_BIND_SERVICE = 10
VERSION_3 = 0x20080522


def main(argv: list[str]) -> None:
    """Execute the program; does not return. Raises OSError when a system call fails."""
    uid, gid, program = int(argv[1]), int(argv[2]), argv[3:]
    libc = ctypes.CDLL(None, use_errno=True)
    _check(libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), "prctl")
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    bit = 1 << NET_BIND_SERVICE
    header = (ctypes.c_uint32 * 2)(VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)  # effective, permitted, inheritable; then their upper halves
    _check(libc.capset(header, sets), "capset")
    _check(libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, NET_BIND_SERVICE, 0, 0), "prctl")
    os.execv(program[0], program)  # noqa: S606 (argv, no shell)


def _check(result: int, call: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, f"{call}: {os.strerror(number)}")


if __name__ == "__main__":
    main(sys.argv)
