"""Copies an untrusted tree into the store, and computes its digest over all names, kinds, modes and contents.

Never follows a link of the tree, and never trusts a name, size or mode that it has not read itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
import stat
import threading
from dataclasses import dataclass
from pathlib import Path

from greenroom.basics import atomic
from greenroom.basics.errors import AppError, PlatformError

MAX_FILES = 200_000
MAX_BYTES = 2 * 1024**3
MAX_DEPTH = 64
CHUNK = 1024 * 1024
OMIT = (".heroku/python", ".git")
"""Folders at the top that are no part of a slug: the environment is stored by itself, a repository not at all."""
TEXTS = ("Procfile", "app.json", "greenroom.toml")
TEXT_LIMIT = 256 * 1024
IN_USE = threading.Lock()
"""Held while something in the store is found and marked as used, or found unused and thrown away: one process does
both.
"""


@dataclass(frozen=True)
class Stored:
    """A tree in the store. files: path -> (``f`` file, ``x`` executable, ``l`` link, ``d`` folder; digest or target;
    bytes).
    """

    digest: str
    files: dict[str, tuple[str, str, int]]
    texts: dict[str, bytes]
    size: int
    new: bool


class _Copier:
    """One walk over one tree: opens every entry relative to its folder's descriptor, copies and hashes in one pass."""

    def __init__(self, target: Path | None, whiteouts: bool = False) -> None:
        self.target = target
        self.whiteouts = whiteouts
        self.files: dict[str, tuple[str, str, int]] = {}
        self.texts: dict[str, bytes] = {}
        self.size = 0

    def folder(self, descriptor: int, path: str, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise _refused(path, f"folders are nested more than {MAX_DEPTH} deep")
        for name in sorted(os.listdir(descriptor)):
            inner = f"{path}/{name}" if path else name
            if inner in OMIT:
                continue
            self.entry(descriptor, name, inner, depth)

    def entry(self, parent: int, name: str, path: str, depth: int) -> None:
        facts = os.lstat(name, dir_fd=parent)
        if len(self.files) >= MAX_FILES:
            raise _refused(path, f"the slug has more than {MAX_FILES} files")
        try:
            path.encode("utf-8")
        except UnicodeEncodeError as error:
            raise _refused(repr(path), "a name that is not UTF-8") from error
        if stat.S_ISLNK(facts.st_mode):
            self.link(parent, name, path)
        elif stat.S_ISDIR(facts.st_mode):
            self.subfolder(parent, name, path, depth)
        elif stat.S_ISREG(facts.st_mode):
            self.file(parent, name, path)
        elif self.whiteouts and stat.S_ISCHR(facts.st_mode) and facts.st_rdev == 0:
            self.files[path] = ("w", "", 0)
        else:
            raise _refused(
                path, "a slug may contain only files, folders and symbolic links; this is a device, pipe or socket"
            )

    def link(self, parent: int, name: str, path: str) -> None:
        target = os.readlink(name, dir_fd=parent)
        self.files[path] = ("l", target, 0)
        if self.target:
            os.symlink(target, self.target / path)

    def linked_texts(self) -> None:
        """A Procfile or app.json that is a link to a file of the tree."""
        for name in TEXTS:
            path, hops = name, 0
            while path in self.files and self.files[path][0] == "l" and hops < 8:
                path = os.path.normpath(os.path.join(os.path.dirname(path), self.files[path][1].removeprefix("/app/")))
                hops += 1
            if (
                hops
                and self.files.get(path, ("",))[0] in ("f", "x")
                and self.files[path][2] <= TEXT_LIMIT
                and self.target
            ):
                self.texts[name] = (self.target / path).read_bytes()

    def subfolder(self, parent: int, name: str, path: str, depth: int) -> None:
        self.files[path] = ("d", "", 0)
        if self.target:
            _folder(self.target / path)
        descriptor = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            self.folder(descriptor, path, depth + 1)
        finally:
            os.close(descriptor)

    def file(self, parent: int, name: str, path: str) -> None:
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=parent)
        with open(descriptor, "rb") as source:
            facts = os.fstat(descriptor)
            if not stat.S_ISREG(facts.st_mode):
                raise _refused(path, "it changed while it was read")
            kind = "x" if facts.st_mode & stat.S_IXUSR else "f"
            digest, size = self._copy(source, path, 0o755 if kind == "x" else 0o644)
        self.files[path] = (kind, digest, size)

    def _copy(self, source, path: str, mode: int) -> tuple[str, int]:
        digest, size = hashlib.sha256(), 0
        out = os.open(self.target / path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode) if self.target else -1
        try:
            if out >= 0:
                os.fchmod(out, mode)
            while chunk := source.read(CHUNK):
                size += len(chunk)
                self.size += len(chunk)
                if self.size > MAX_BYTES:
                    raise _refused(path, f"the slug is larger than {MAX_BYTES // 1024**2} MB")
                digest.update(chunk)
                if path in TEXTS and size <= TEXT_LIMIT:
                    self.texts[path] = self.texts.get(path, b"") + chunk
                if out >= 0:
                    _write(out, chunk)
        finally:
            if out >= 0:
                os.close(out)
        return digest.hexdigest(), size


def _folder(path: Path) -> None:
    """A folder of mode 0755 whatever the umask, which is the whole process's and so not ours to change."""
    path.mkdir()
    path.chmod(0o755)


def _write(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _refused(path: str, why: str) -> AppError:
    return AppError(
        f"The slug was refused at {path[:300]}: {why}.", hint="exclude files with .slugignore", id="slug_refused"
    )


def _digest(files: dict[str, tuple[str, str, int]], env_key: str) -> str:
    total = hashlib.sha256(b"greenroom-slug-1\0" + env_key.encode() + b"\0")
    for path in sorted(files):
        kind, content, _ = files[path]
        total.update(b"\0".join([kind.encode(), path.encode(), content.encode("utf-8", "surrogateescape")]) + b"\0\0")
    return total.hexdigest()


def _walk(tree: Path, target: Path | None, whiteouts: bool = False) -> _Copier:
    copier = _Copier(target, whiteouts)
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        copier.folder(descriptor, "", 0)
    finally:
        os.close(descriptor)
    if target:
        copier.linked_texts()
    if not any(path.startswith(".heroku/") for path in copier.files):
        copier.files.pop(".heroku", None)  # the empty folder in which the environment is mounted
    return copier


def keep(tree: Path, *, home: Path, env_key: str, manifest: dict | None = None) -> Stored:
    """Copy ``tree`` to ``slugs/<digest>/app`` unless that exists. Repeatable; a copy that was cut short is never taken
    for a slug.

    AppError when the tree holds what no slug may hold; PlatformError when the disk refuses.
    """
    slugs = home / "slugs"
    slugs.mkdir(mode=0o711, exist_ok=True)
    work = slugs / f".new-{secrets.token_hex(8)}"
    _folder(work)
    try:
        _folder(work / "app")
        copier = _walk(tree, work / "app")
        for folder in (work / "app" / ".heroku", work / "app" / ".heroku" / "python"):
            if not folder.is_dir():
                _folder(folder)
        digest = _digest(copier.files, env_key)
        facts = {**(manifest or {}), "digest": digest, "env_key": env_key, "files": copier.files}
        (work / "manifest.json").write_text(json.dumps(facts, sort_keys=True))
        new = _publish(work, slugs / digest, env_key)
    except OSError as error:
        raise PlatformError(f"Storing the slug failed: {error.strerror}.", hint="greenroom doctor") from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return Stored(digest=digest, files=copier.files, texts=copier.texts, size=copier.size, new=new)


def _publish(work: Path, final: Path, env_key: str) -> bool:
    """Move the finished copy into its place; False if another build was there first and what it made is still that."""
    with IN_USE:
        if final.exists():
            if _sound(final, env_key):
                os.utime(final)  # used again: nobody may take it for a leftover before its row is there
                return False
            os.rename(
                final, work.with_name(f"{work.name}-damaged")
            )  # dynos that run have it mounted; ``collection`` removes it later
        os.rename(work, final)
    return True


def _sound(final: Path, env_key: str) -> bool:
    try:
        return measure(final / "app", env_key) == final.name
    except (AppError, OSError):
        return False


def measure(tree: Path, env_key: str) -> str:
    """The digest of what stands at ``tree`` now."""
    return _digest(_walk(tree, None).files, env_key)


def stamp(tree: Path) -> str:
    """A digest of all names, kinds, sizes and times of change below ``tree``: another one after any change, without
    reading a file.

    Times of change (ctime) are the kernel's own: no program sets them back.
    """
    total = hashlib.sha256()
    for folder, folders, names in os.walk(tree):
        folders.sort()
        for name in sorted([*folders, *names]):
            path = os.path.join(folder, name)
            facts = os.lstat(path)
            total.update(
                repr((path, facts.st_mode, facts.st_ino, facts.st_size, facts.st_mtime_ns, facts.st_ctime_ns)).encode(
                    "utf-8", "surrogateescape"
                )
            )
    return total.hexdigest()


def layer_digest(tree: Path) -> str:
    """The digest of an overlay's upper folder; empty when it holds nothing but folders and bytecode."""
    if not tree.is_dir():
        return ""
    files = _walk(tree, None, whiteouts=True).files
    counting = [path for path, (kind, _, _) in files.items() if kind != "d" and "/__pycache__/" not in path]
    return _digest(files, "layer") if counting else ""


def keep_file(source: Path, target: Path, limit: int = MAX_BYTES) -> None:
    """Copy one file that a stranger's code wrote: no link is followed, ``limit`` bytes at most. Whole or not at all."""
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file, atomic.writing(target) as out:
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode) or facts.st_size > limit:
            raise _refused(target.name, "it is not a regular file, or too large")
        shutil.copyfileobj(file, out, CHUNK)


def read_file(tree: Path, name: str, limit: int = TEXT_LIMIT * 4) -> bytes | None:
    """A regular file of a tree, by its relative name; None if there is none, or a link on the way. AppError when it is
    too large.
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") for part in parts):
        return None
    descriptor = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for index, part in enumerate(parts):
            last = index == len(parts) - 1
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (0 if last else os.O_DIRECTORY)
            inner = os.open(part, flags, dir_fd=descriptor)
            os.close(descriptor)
            descriptor = inner
        facts = os.fstat(descriptor)
        if not stat.S_ISREG(facts.st_mode):
            return None
        if facts.st_size > limit:
            raise _refused(name, f"it is larger than {limit // 1024} KB")
        return os.read(descriptor, limit + 1)
    except OSError:
        return None
    finally:
        os.close(descriptor)
