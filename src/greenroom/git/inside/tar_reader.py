"""Converts a tar archive on stdin to a git fast-import stream on stdout, in its own process, with the standard library.

Nothing is unpacked to disk. The process limits its own memory and CPU time, because a small archive can expand to any
size.
"""

from __future__ import annotations

import json
import re
import resource
import sys
import tarfile

MEMORY, CPU_SECONDS = 800_000_000, 60
PIECE = 1 << 20
LINK_TARGET = 4096
MARKED = re.compile(r"[0-9a-f]{40}\Z")
CONTROL = re.compile(rb"[\x00-\x1f\x7f]")
HINT = "create it with: git archive --format=tar.gz HEAD"
FORBIDDEN = {".git", "git~1"}
"""Names, in lower case, that are equivalent to ``.git`` on some file system."""


class RefusedError(Exception):
    """The archive is invalid."""

    def __init__(self, why: str, hint: str = HINT) -> None:
        super().__init__(why)
        self.hint = hint


class Reader:
    """Converts an archive: writes a blob for each file, then the commit."""

    def __init__(self, job: dict, out) -> None:
        self.job, self.out = job, out
        self.files: dict[str, tuple[str, int]] = {}
        self.folders: set[str] = set()
        self.seen = self.size = self.marks = 0

    def run(self, archive: tarfile.TarFile) -> str:
        """Write the complete stream; returns the commit id that ``git archive`` wrote into the archive, or ''."""
        for member in archive:
            self.take(archive, member)
        if not self.files:
            raise RefusedError("it contains no files.")
        self.commit()
        claimed = archive.pax_headers.get("comment", "")
        return claimed if MARKED.match(claimed) else ""

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """Convert an entry."""
        self.seen += 1
        if self.seen > self.job["entries"]:
            raise RefusedError(f"it contains more than {self.job['entries']:,} files and folders.")
        name = clean(member.name)
        if not name:
            return
        if member.isdir():
            return
        if member.issym():
            self.put(name, "120000", self.blob(link_target(name, member.linkname)))
        elif member.islnk():
            self.put(name, *self.linked(name, clean(member.linkname)))
        elif member.isreg() and not member.issparse():
            self.file(archive, member, name)
        else:
            kind = "a sparse file" if member.issparse() else "a device, a pipe or another special file"
            raise RefusedError(f"{name!r} is {kind}.")

    def file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        """Convert a regular file; of its mode, only the executable bit is kept."""
        if member.size > self.job["file_bytes"]:
            raise RefusedError(
                f"{name!r} has {member.size / 1e6:,.0f} MB; the limit is {self.job['file_bytes'] / 1e6:,.0f} MB."
            )
        self.size += member.size
        if self.size > self.job["bytes"]:
            raise RefusedError(f"its files exceed {self.job['bytes'] / 1e6:,.0f} MB in total.")
        content = archive.extractfile(member)
        assert content is not None, "it is a regular file"
        mark = self.begin(member.size)
        left = member.size
        while left:
            data = content.read(min(PIECE, left))
            if not data:
                raise RefusedError("it is truncated.")
            self.out.write(data)
            left -= len(data)
        self.out.write(b"\n")
        self.put(name, "100755" if member.mode & 0o100 else "100644", mark)

    def blob(self, data: bytes) -> int:
        """A small blob."""
        mark = self.begin(len(data))
        self.out.write(data + b"\n")
        return mark

    def begin(self, size: int) -> int:
        """The head of a blob; its mark."""
        self.marks += 1
        self.out.write(b"blob\nmark :%d\ndata %d\n" % (self.marks, size))
        return self.marks

    def linked(self, name: str, target: str) -> tuple[str, int]:
        """(mode, mark) of a hard link's target, which must precede it in the archive."""
        found = self.files.get(target)
        if found is None or found[0] == "120000":
            raise RefusedError(f"{name!r} is a hard link to {target!r}, which does not precede it in the archive.")
        return found

    def put(self, name: str, mode: str, mark: int) -> None:
        """Register an entry. A path must not be both a folder and a file, so that no path goes through a link."""
        parents = [name[:place] for place, char in enumerate(name) if char == "/"]
        if name in self.folders or any(parent in self.files for parent in parents):
            raise RefusedError(f"{name!r} conflicts with another entry: one of them is a folder, the other is not.")
        self.folders.update(parents)
        self.files[name] = (mode, mark)

    def commit(self) -> None:
        """Write the commit, without a single top-level folder."""
        job, message = self.job, (self.job["message"] + "\n").encode()
        who = f"{job['name']} <{job['email']}> {job['at']} +0000\n".encode()
        head = b"commit refs/heads/import\nauthor " + who + b"committer " + who + b"data %d\n" % len(message) + message
        self.out.write(head)
        if job["parent"]:
            self.out.write(b"from %s\ndeleteall\n" % job["parent"].encode())
        tops = {name.partition("/")[0] for name in self.files}
        skip = len(next(iter(tops))) + 1 if len(tops) == 1 and all("/" in name for name in self.files) else 0
        for name, (mode, mark) in self.files.items():
            self.out.write(b"M %s :%d %s\n" % (mode.encode(), mark, quoted(name[skip:])))
        self.out.write(b"\ndone\n")
        self.out.flush()


def clean(name: str) -> str:
    """The path as git has it; empty for the top folder. RefusedError for what leaves the archive or no file can be
    called.
    """
    raw = name.encode("utf-8", "surrogateescape")
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        raise RefusedError(f"the file name {raw!r} is not UTF-8.") from error
    if CONTROL.search(raw):
        raise RefusedError(f"the file name {name!r} contains control characters.")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if name.startswith("/") or ".." in parts:
        raise RefusedError(f"{name!r} points outside of the archive.")
    if any(part.lower().rstrip(". ") in FORBIDDEN for part in parts):
        raise RefusedError(f"{name!r} is in a .git folder.", "leave .git out of the archive")
    if len(raw) > 1000 or any(len(part.encode()) > 255 for part in parts):
        raise RefusedError(f"the file name {name[:80]!r} is too long: 255 bytes for each part, 1000 for the whole.")
    return "/".join(parts)


def link_target(name: str, target: str) -> bytes:
    """The target of a symbolic link. Any target is allowed, as in a push: it is only followed in the app's sandbox."""
    raw = target.encode("utf-8", "surrogateescape")
    if not raw or b"\0" in raw or len(raw) > LINK_TARGET:
        raise RefusedError(f"the symbolic link {name!r} has an invalid target.")
    if name.rpartition("/")[2].lower() in (".gitmodules", ".gitattributes", ".gitignore", ".mailmap"):
        raise RefusedError(f"{name!r} must be a file, not a link.")
    return raw


def quoted(name: str) -> bytes:
    """A path quoted for git fast-import."""
    return b'"' + name.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def main() -> int:
    """Exit code 0 with {claimed}, or 3 with {why, hint}, on stderr."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*", encoding="utf-8", errors="surrogateescape") as archive:
            claimed = Reader(json.loads(sys.argv[1]), sys.stdout.buffer).run(archive)
    except RefusedError as error:
        return refuse(str(error), error.hint)
    except BrokenPipeError:  # git has ended and reports the reason itself
        return 4
    except MemoryError:
        return refuse("reading it exceeds the memory limit.", HINT)
    except (
        Exception
    ) as error:  # tarfile raises many types for hostile archives: zlib.error, RecursionError, KeyError ...
        return refuse(f"it is not a valid tar archive ({type(error).__name__}).", HINT)
    sys.stderr.write(json.dumps({"claimed": claimed}))
    return 0


def refuse(why: str, hint: str) -> int:
    """Write the reason to stderr."""
    sys.stderr.write(json.dumps({"why": why, "hint": hint}))
    return 3


if __name__ == "__main__":
    sys.exit(main())
