"""Makes stored trees appear to be owned by the dyno: idmapped mounts over them, in a mount namespace of this shim and
its dyno only.

Owner and content on disk do not change: writes go to the upper layer of the overlay. Needs root, Linux 5.19 and a file
system with idmapped mounts (ext4, xfs, btrfs, tmpfs from 6.3). Without them the dyno can replace files, but not modify
them.
"""

from __future__ import annotations

import ctypes
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_OPEN_TREE_CLONE, _AT_FDCWD, _AT_EMPTY_PATH, _MOVE_MOUNT_F_EMPTY_PATH = 1, -100, 0x1000, 4
_MOUNT_ATTR_IDMAP = 0x00100000
_MS_REC, _MS_SLAVE = 0x4000, 0x80000
_libc = ctypes.CDLL(None, use_errno=True)


def adopt(trees: list[tuple[str, int, int]], uid: int) -> str:
    """Mount each ``(path, owner, group)`` over itself as owned by ``uid``, for this process and its children only.

    Returns why the host does not support it, or an empty text; ``overlay_folders`` is the fallback, for folders only.
    Call it single-threaded, as root.
    """
    try:
        if trees:
            _adopt(trees, uid)
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _adopt(trees: Iterable[tuple[str, int, int]], uid: int) -> None:
    _check(_libc.unshare(_CLONE_NEWNS))
    _check(_libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_SLAVE), None))
    maps: dict[tuple[int, int], int] = {}
    try:
        for path, owner, group in trees:
            if (owner, group) not in maps:
                maps[owner, group] = _user_namespace(owner, group, uid)
            _cover(path, maps[owner, group])
    finally:
        for fd in maps.values():
            os.close(fd)


def lacking(folder: str) -> str:
    """Why trees of ``folder`` cannot be idmapped; empty if they can. Call it single-threaded, as root."""
    near, far = os.pipe()
    pid = os.fork()
    if pid == 0:
        status = os.stat(folder)
        os.write(far, adopt([(folder, status.st_uid, status.st_gid)], 65534).encode())
        os._exit(0)
    os.close(far)
    with os.fdopen(near, "rb") as answer:
        why = answer.read(1000).decode()
    _reap(pid)
    return why


def _reap(pid: int) -> None:
    try:  # noqa: SIM105 (contextlib is heavy)
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass  # a supervisor reaps all children


def _cover(path: str, namespace: int) -> None:
    tree = _call(_OPEN_TREE, _AT_FDCWD, os.fsencode(path), _OPEN_TREE_CLONE | os.O_CLOEXEC)
    try:
        attributes = struct.pack("=QQQQ", _MOUNT_ATTR_IDMAP, 0, 0, namespace)
        _call(_MOUNT_SETATTR, tree, b"", _AT_EMPTY_PATH, attributes, len(attributes))
        _call(_MOVE_MOUNT, tree, b"", _AT_FDCWD, os.fsencode(path), _MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)


def _user_namespace(owner: int, group: int, uid: int) -> int:
    """A descriptor of an empty user namespace in which ``owner`` and ``group`` are ``uid``."""
    ready, told = os.pipe()
    hold, release = os.pipe()
    pid = os.fork()
    if pid == 0:
        _libc.unshare(_CLONE_NEWUSER)
        os.write(told, b"+")
        os.close(release)
        os.read(hold, 1)
        os._exit(0)
    try:
        os.read(ready, 1)
        for name, text in (("uid_map", f"{owner} {uid} 1"), ("gid_map", f"{group} {uid} 1")):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write(text)
        return os.open(f"/proc/{pid}/ns/user", os.O_RDONLY | os.O_CLOEXEC)
    finally:
        for fd in (ready, told, hold, release):
            os.close(fd)
        _reap(pid)


def _call(number: int, *values: int | bytes) -> int:
    words = [ctypes.c_char_p(value) if isinstance(value, bytes) else ctypes.c_long(value) for value in values]
    return _check(_libc.syscall(ctypes.c_long(number), *words))


def _check(result: int) -> int:
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result
