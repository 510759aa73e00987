"""Reads a tar archive from standard input and writes git's import stream to standard output. Standard library only, a
process of its own.

Nothing is unpacked: names and contents are data all the way. The process bounds its own memory and processor time,
since an archive of
a few kilobytes may stand for any amount of either.
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
HINT = "make it with: git archive --format=tar.gz HEAD"
FORBIDDEN = {".git", "git~1"}
"""Names, in lower case, that lead into a repository on one file system or another."""


class RefusedError(Exception):
    """The archive is at fault."""

    def __init__(self, why: str, hint: str = HINT) -> None:
        super().__init__(why)
        self.hint = hint


class Reader:
    """One archive: each file becomes a blob as it is met; the commit follows when all names are known."""

    def __init__(self, job: dict, out) -> None:
        self.job, self.out = job, out
        self.files: dict[str, tuple[str, int]] = {}
        self.folders: set[str] = set()
        self.seen = self.size = self.marks = 0

    def run(self, archive: tarfile.TarFile) -> str:
        """The whole stream. What ``git archive`` wrote about the commit, or an empty text."""
        for member in archive:
            self.take(archive, member)
        if not self.files:
            raise RefusedError("there are no files in it.")
        self.commit()
        claimed = archive.pax_headers.get("comment", "")
        return claimed if MARKED.match(claimed) else ""

    def take(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        """One entry."""
        self.seen += 1
        if self.seen > self.job["entries"]:
            raise RefusedError(f"there are more than {self.job['entries']:,} files and folders in it.")
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
            kind = (
                "a sparse file" if member.issparse() else "a device, a pipe or something else that no commit can hold"
            )
            raise RefusedError(f"{name!r} is {kind}.")

    def file(self, archive: tarfile.TarFile, member: tarfile.TarInfo, name: str) -> None:
        """A regular file, with its right to be run as its only mode."""
        if member.size > self.job["file_bytes"]:
            raise RefusedError(
                f"{name!r} has {member.size / 1e6:,.0f} MB; a file may have {self.job['file_bytes'] / 1e6:,.0f} MB."
            )
        self.size += member.size
        if self.size > self.job["bytes"]:
            raise RefusedError(f"its files are together more than {self.job['bytes'] / 1e6:,.0f} MB.")
        content = archive.extractfile(member)
        assert content is not None, "it is a regular file"
        mark = self.begin(member.size)
        left = member.size
        while left:
            data = content.read(min(PIECE, left))
            if not data:
                raise RefusedError("it ends in the middle of a file.")
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
        """A hard link is the file that it names, which has to have come before."""
        found = self.files.get(target)
        if found is None or found[0] == "120000":
            raise RefusedError(f"{name!r} is a hard link to {target!r}, which is no file before it.")
        return found

    def put(self, name: str, mode: str, mark: int) -> None:
        """Note the entry; nothing may be both a folder and something else, so that nothing is written through a
        link.
        """
        parents = [name[:place] for place, char in enumerate(name) if char == "/"]
        if name in self.folders or any(parent in self.files for parent in parents):
            raise RefusedError(
                f"{name!r} is inside of something that is not a folder, or is a folder and something else."
            )
        self.folders.update(parents)
        self.files[name] = (mode, mark)

    def commit(self) -> None:
        """The commit, without the one folder that all entries share."""
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
        raise RefusedError(f"{name!r} leads out of the archive.")
    if any(part.lower().rstrip(". ") in FORBIDDEN for part in parts):
        raise RefusedError(f"{name!r} is inside of a repository's own folder.", "leave .git out of the archive")
    if len(raw) > 1000 or any(len(part.encode()) > 255 for part in parts):
        raise RefusedError(f"the file name {name[:80]!r} is too long: 255 bytes for each part, 1000 for the whole.")
    return "/".join(parts)


def link_target(name: str, target: str) -> bytes:
    """Where a symbolic link leads; any place, as in a push: it is followed in the app's sandbox alone."""
    raw = target.encode("utf-8", "surrogateescape")
    if not raw or b"\0" in raw or len(raw) > LINK_TARGET:
        raise RefusedError(f"the symbolic link {name!r} leads nowhere that can be said.")
    if name.rpartition("/")[2].lower() in (".gitmodules", ".gitattributes", ".gitignore", ".mailmap"):
        raise RefusedError(f"{name!r} must be a file, not a link.")
    return raw


def quoted(name: str) -> bytes:
    """A path as git's import stream takes any path."""
    return b'"' + name.encode().replace(b"\\", b"\\\\").replace(b'"', b'\\"') + b'"'


def main() -> int:
    """Exit code 0 with {claimed}, or 3 with {why, hint}, on standard error."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        with tarfile.open(fileobj=sys.stdin.buffer, mode="r|*", encoding="utf-8", errors="surrogateescape") as archive:
            claimed = Reader(json.loads(sys.argv[1]), sys.stdout.buffer).run(archive)
    except RefusedError as error:
        return refuse(str(error), error.hint)
    except BrokenPipeError:  # git has ended; it says why itself
        return 4
    except MemoryError:
        return refuse("reading it needs more memory than an archive may cost.", HINT)
    except (
        Exception
    ) as error:  # tarfile's answers to hostile archives are many: zlib.error, RecursionError, KeyError ...
        return refuse(f"it cannot be read as a tar archive ({type(error).__name__}).", HINT)
    sys.stderr.write(json.dumps({"claimed": claimed}))
    return 0


def refuse(why: str, hint: str) -> int:
    """Say why."""
    sys.stderr.write(json.dumps({"why": why, "hint": hint}))
    return 3


if __name__ == "__main__":
    sys.exit(main())
