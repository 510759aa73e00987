"""The engine's folders: created with the right owners before a dyno starts, and deleted with all contents.

Runs as root on folders that tenants have filled: it never follows a link and needs only two descriptors at any depth.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import threading
import uuid
from typing import Any

from greenroom.basics import logfile
from greenroom.engine.contract import PLATFORM, DynoSpec
from greenroom.engine.errors import EngineError
from greenroom.engine.local import gateway, plan, sandbox
from greenroom.engine.local.plan import Place

_FLAGS = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def lay_out(place: Place) -> None:
    """Create the folders that all dynos share. Repeatable. Raises OSError."""
    for relative, mode in (("run", 0o1771), (plan.DYNOS, 0o751), (plan.SCRATCH, 0o751), (plan.TRASH, 0o700)):
        _folder(place, relative, owner=0, mode=mode)
    for folder in (plan.SOCKETS, plan.SERVICES):
        _folder(place, folder, owner=0, mode=0o3773)  # sticky: each app's shims rename only their own sockets
    sandbox.make_etc(place.path(plan.ETC), "" if place.proxy else gateway.RESOLVER)


def prepare(place: Place, spec: DynoSpec, order: dict[str, Any]) -> None:
    """Create the run folder, the scratch folders, the log folder and all other writable folders. Raises OSError."""
    uid = place.uid(spec)
    _folder(place, f"{plan.DYNOS}/{spec.id}", owner=uid, mode=0o2750)
    names = plan.scratch_names(spec)
    _folder(place, f"{plan.SCRATCH}/{spec.id}", owner=0, mode=0o771)
    _own_folders(place, spec, uid)
    for name in names:
        _folder(place, f"{plan.SCRATCH}/{spec.id}/{name}", owner=uid, mode=0o2770)
    for name in plan.kept_uppers(spec):
        _folder(
            place, os.path.relpath(plan.work_folder(place.path(plan.SCRATCH, spec.id, name)), place.home), uid, 0o700
        )
    for cache in plan.own_artefacts(spec):
        _folder(place, cache, owner=uid, mode=0o2775 if spec.owner == PLATFORM else 0o2770)
    if order["log"]:
        _log_folder(place, os.path.relpath(order["log"], place.home), uid)
    parent = os.path.relpath(os.path.dirname(order["socket"]), place.home) if order["socket"] else plan.SOCKETS
    if parent not in (plan.SOCKETS, plan.SERVICES) and not parent.startswith(plan.DYNOS):
        _folder(place, parent, owner=uid, mode=0o2771)


def _own_folders(place: Place, spec: DynoSpec, uid: int) -> None:
    """Create the dyno's disk, closed to other users, so that its contents may have the modes that the dyno needs."""
    _folder(place, f"{plan.SCRATCH}/{spec.id}/{plan.OWN}", owner=uid, mode=0o700)
    top = os.open(plan.own(place, spec), _FLAGS)
    try:
        for name in plan.own_folders(spec):
            mode = 0o1777 if name == sandbox.TMP else 0o755
            os.mkdir(name, 0o700, dir_fd=top)
            if place.root:
                os.chown(name, uid, uid, dir_fd=top, follow_symlinks=False)
            os.chmod(name, mode, dir_fd=top)
    finally:
        os.close(top)


def closed(path: str) -> str:
    """The first parent folder of ``path`` that only its owner may traverse; empty if there is none."""
    parts = os.path.realpath(path).split("/")
    for end in range(2, len(parts) + 1):
        above = "/".join(parts[:end])
        if os.path.isdir(above) and not os.stat(above).st_mode & 0o001:
            return above
    return ""


def _log_folder(place: Place, relative: str, uid: int) -> None:
    _folder(place, "logs", owner=0, mode=0o771)
    _folder(place, relative, owner=uid, mode=logfile.FOLDER_MODE)
    log = logfile.Log(place.path(relative))
    try:
        log.touch()
    finally:
        log.close()


def _folder(place: Place, relative: str, owner: int, mode: int) -> None:
    """Ensure that the folder and its parents exist; as root also its owner and mode. Raises OSError, EngineError."""
    try:
        fd, made = _open(place, relative)
    except FileNotFoundError:  # a parent was empty, and a discard removed it in between
        fd, made = _open(place, relative)
    try:
        if place.root:
            _own(place, fd, relative, owner, mode)
        elif made:
            os.fchmod(fd, 0o700)
    finally:
        os.close(fd)


def _open(place: Place, relative: str) -> tuple[int, bool]:
    """Descriptor of the folder, and whether it was made. Raises OSError."""
    parent = os.open(place.home, _FLAGS)
    try:
        *above, last = relative.split("/")
        for name in above:
            child = _enter(parent, name, 0o711)[0]
            os.close(parent)
            parent = child
        return _enter(parent, last, 0o700)
    finally:
        os.close(parent)


def _enter(parent: int, name: str, mode: int) -> tuple[int, bool]:
    try:
        return os.open(name, _FLAGS, dir_fd=parent), False
    except FileNotFoundError:
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=parent)
            fd = os.open(name, _FLAGS, dir_fd=parent)
            os.fchmod(fd, mode)
            return fd, True
        return os.open(name, _FLAGS, dir_fd=parent), False


def _own(place: Place, fd: int, relative: str, owner: int, mode: int) -> None:
    status = os.fstat(fd)
    if owner == 0:
        if status.st_uid == 0:
            os.fchown(fd, 0, place.group)
            os.fchmod(fd, mode)
        elif not status.st_mode & 0o001:
            os.fchmod(fd, stat.S_IMODE(status.st_mode) | 0o001)  # the control plane's own: apps' uids must traverse it
        return
    is_apps = place.first_uid - 1 <= status.st_uid < place.first_uid + 100_000
    if is_apps and status.st_uid != owner:
        raise EngineError(
            f"{relative} belongs to another app (uid {status.st_uid})", hint="use a folder of this app's own"
        )
    os.fchown(fd, owner, place.group)
    os.fchmod(fd, mode)


class Bin:
    """A trash folder: moves folders there at once, and deletes them in a background thread."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._work = threading.Event()
        threading.Thread(target=self._empty, daemon=True).start()
        self._work.set()

    def throw(self, relative: str) -> None:
        """Move the folder to the trash; no effect if it does not exist."""
        with contextlib.suppress(FileNotFoundError):
            os.rename(self._place.path(relative), self._place.path(plan.TRASH, uuid.uuid4().hex))
            self._work.set()

    def throw_last(self, relative: str) -> None:
        """Move the folder to the trash, and remove its parent if nothing else is in it."""
        self.throw(relative)
        try:
            os.rmdir(self._place.path(os.path.dirname(relative)))
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT):
                raise

    def _empty(self) -> None:
        trash = self._place.path(plan.TRASH)
        while True:
            self._work.wait()
            self._work.clear()
            with contextlib.suppress(OSError):
                for name in os.listdir(trash):
                    with contextlib.suppress(OSError):
                        purge(os.path.join(trash, name))


def purge(path: str) -> None:
    """Remove a folder with all contents, at any depth, without following links. Raises OSError."""
    here = os.open(path, _FLAGS)
    above: list[tuple[str, list[str], int]] = []  # parents: entry name, remaining entries, inode
    left = _unlink_files(here)
    try:
        while left or above:
            if left:
                name = left.pop()
                inode = os.fstat(here).st_ino
                here = _go(here, name)
                above.append((name, left, inode))
                left = _unlink_files(here)
            else:
                name, left, inode = above.pop()
                here = _go(here, "..")
                if os.fstat(here).st_ino != inode:
                    raise OSError(errno.EBUSY, "folders were moved during their removal", path)
                os.rmdir(name, dir_fd=here)
    finally:
        os.close(here)
    os.rmdir(path)


def _go(here: int, name: str) -> int:
    """Open the child or parent folder and close ``here``: one descriptor is enough at any depth."""
    try:
        there = os.open(name, _FLAGS, dir_fd=here)
    except PermissionError:  # never as root; in development mode a dyno may have closed its own folder
        os.chmod(name, 0o700, dir_fd=here)
        there = os.open(name, _FLAGS, dir_fd=here)
    os.fchmod(there, 0o700)
    os.close(here)
    return there


def _unlink_files(folder: int) -> list[str]:
    """Remove everything except folders; returns their names."""
    folders = []
    for name in os.listdir(folder):
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            folders.append(name)
    return folders
