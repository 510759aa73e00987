"""Namespaces and privileges of a shim: its own network with ``lo`` up, and the drop of root privileges.

``enter_network`` moves only the calling thread; threads that were started before stay in the host's network.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
from _socket import AF_INET, SOCK_DGRAM, socket

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
_SIOCGIFFLAGS, _SIOCSIFFLAGS, _IFF_UP = 0x8913, 0x8914, 0x1
_PR_SET_NO_NEW_PRIVS = 38
_libc = ctypes.CDLL(None, use_errno=True)


def _call(name: str, *values: int) -> None:
    if getattr(_libc, name)(*[ctypes.c_ulong(value) for value in values]) != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def enter_user_namespace() -> None:
    """Become the owner of a new user namespace that keeps the caller's ids. Single-threaded processes only."""
    uid, gid = os.geteuid(), os.getegid()
    _call("unshare", CLONE_NEWUSER)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def enter_network() -> None:
    """Move the calling thread into a new network with only 127.0.0.1 and ::1. Raises OSError."""
    _call("unshare", CLONE_NEWNET)
    sock = socket(AF_INET, SOCK_DGRAM, 0)
    try:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(sock.fileno(), _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(sock.fileno(), _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))
    finally:
        sock.close()


def forgo_privileges() -> None:
    """Prevent all programs that this thread or its children start from gaining privileges (setuid, file
    capabilities).
    """
    _call("prctl", _PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def become(uid: int, gid: int) -> None:
    """Drop root permanently, in all threads."""
    os.setgroups([])
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def has_listener(port: int) -> str:
    """The loopback address with a listener on ``port`` in this thread's network; empty if there is none."""
    suffix = f":{port:04X}"
    for table, hosts in (("tcp", _HOSTS_4), ("tcp6", _HOSTS_6)):
        try:
            with open(f"/proc/thread-self/net/{table}", "rb", buffering=0) as file:
                lines = file.read(1_000_000).decode().split("\n")
        except OSError:
            continue
        for line in lines[1:]:
            fields = line.split()
            if len(fields) > 3 and fields[3] == "0A" and fields[1].endswith(suffix):
                host = hosts.get(fields[1][: -len(suffix)])
                if host:
                    return host
    return ""


_HOSTS_4 = {"0100007F": "127.0.0.1", "00000000": "127.0.0.1"}
_HOSTS_6 = {
    "0" * 32: "::1",
    "00000000000000000000000001000000": "::1",
    "0000000000000000FFFF00000100007F": "127.0.0.1",
}
