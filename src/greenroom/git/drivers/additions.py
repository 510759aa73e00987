"""Finds the parts of a commit that its git objects do not contain: files in Git LFS, and submodules.

Which files are in Git LFS follows from the attributes of the commit, as for git-lfs itself.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from greenroom.basics.errors import UserError
from greenroom.git.drivers import repository, runner
from greenroom.git.rules import DEFAULT_LIMITS, Limits, lfs, submodules

SMALL_FILE = 100_000
MAX_ATTRIBUTES = 100
"""Files ``.gitattributes`` that are read; any others are ignored."""
SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class Additions:
    """pointers: the files in Git LFS. gitlinks: (path, commit) of the submodules. modules: the text of .gitmodules.

    size: bytes of the commit's own files.
    """

    pointers: tuple[lfs.Pointer, ...] = ()
    gitlinks: tuple[tuple[str, str], ...] = ()
    modules: str = ""
    size: int = 0

    def __bool__(self) -> bool:
        return bool(self.pointers or self.gitlinks)


def look(repo: Path, sha: str, quarantine: Path | None = None, limits: Limits = DEFAULT_LIMITS) -> Additions:
    """The additions of a commit. UserError above a limit, PlatformError if git fails."""
    seen = _Seen()
    words = ["ls-tree", "-r", "-l", "-z", "--full-tree"]
    try:
        with runner.records(repo, words, args=[sha], quarantine=quarantine, seconds=limits.tree_seconds) as entries:
            for number, entry in enumerate(entries):
                if number > limits.tree_entries:
                    raise UserError(f"The commit has more than {limits.tree_entries:,} files.")
                seen.take(entry)
    except runner.TooSlowError as error:
        raise UserError("Reading the tree of the commit took too long.", hint="push again") from error
    return Additions(
        pointers=tuple(_pointers(repo, sha, quarantine, seen)),
        gitlinks=tuple(seen.gitlinks),
        modules=_text(repo, seen.modules, quarantine) if seen.gitlinks and seen.modules else "",
        size=seen.size,
    )


def uses_lfs(repo: Path, attributes: Iterable[str], quarantine: Path | None) -> bool:
    """Whether one of these attribute files (by object ids) names the filter of Git LFS."""
    ask = "".join(f"{name}\n" for name in attributes).encode()
    most = MAX_ATTRIBUTES * (SMALL_FILE + 100)
    return bool(ask) and b"filter=lfs" in runner.output(
        repo, ["cat-file", "--batch"], stdin=ask, quarantine=quarantine, limit=most
    )


class _Seen:
    """Collects the entries of a tree."""

    def __init__(self) -> None:
        self.size = 0
        self.modules = ""
        self.attributes: list[str] = []
        self.gitlinks: list[tuple[str, str]] = []
        self.candidates: dict[bytes, tuple[str, bool]] = {}

    def take(self, entry: bytes) -> None:
        head, _, path = entry.partition(b"\t")
        mode, kind, name, length = head.split()
        if kind == b"commit":
            self.gitlinks.append((path.decode("utf-8", "surrogateescape"), name.decode()))
            if len(self.gitlinks) > submodules.MOST:
                raise UserError(f"The commit has more than {submodules.MOST} submodules.")
        if kind != b"blob":
            return
        size = int(length)
        self.size += size
        if path == b".gitmodules" and size <= SMALL_FILE:
            self.modules = name.decode()
        if is_attributes(path, size) and len(self.attributes) < MAX_ATTRIBUTES:
            self.attributes.append(name.decode())
        if lfs.SMALLEST <= size <= lfs.LARGEST and mode != b"120000":
            self.candidates[path] = (name.decode(), mode == b"100755")


def is_attributes(path: bytes, size: int) -> bool:
    """Whether it is a ``.gitattributes`` file, in any folder."""
    return path.rpartition(b"/")[2] == b".gitattributes" and size <= SMALL_FILE


def _text(repo: Path, name: str, quarantine: Path | None) -> str:
    words = ["cat-file", "blob"]
    return runner.output(repo, words, args=[name], quarantine=quarantine, limit=SMALL_FILE).decode("utf-8", "replace")


def _pointers(repo: Path, sha: str, quarantine: Path | None, seen: _Seen) -> Iterator[lfs.Pointer]:
    if not seen.candidates or not uses_lfs(repo, seen.attributes, quarantine):
        return
    paths = list(_filtered(repo, sha, quarantine, seen.candidates))
    if len(paths) > lfs.MAX_POINTERS:
        raise UserError(f"The commit has more than {lfs.MAX_POINTERS:,} files in Git LFS.")
    if not paths:
        return
    ask = "".join(f"{seen.candidates[path][0]}\n" for path in paths).encode()
    most = len(paths) * (lfs.LARGEST + 100)
    out = runner.output(repo, ["cat-file", "--batch"], stdin=ask, quarantine=quarantine, limit=most, timeout=SECONDS)
    place = 0
    for path in paths:
        start = out.index(b"\n", place) + 1
        size = int(out[place:start].split()[2])
        place = start + size + 1
        if found := lfs.pointed(out[start : start + size]):
            yield lfs.Pointer(path=path, oid=found[0], size=found[1], executable=seen.candidates[path][1])


def _filtered(repo: Path, sha: str, quarantine: Path | None, paths: Iterable[bytes]) -> Iterator[bytes]:
    """The paths whose attribute ``filter`` is ``lfs`` in the commit. Uses an empty repository with the same objects,
    whose own attributes override none.
    """
    with tempfile.TemporaryDirectory(prefix="greenroom-attributes-") as folder:
        draft = Path(folder)
        repository.sketch(draft)
        env = {
            "GIT_OBJECT_DIRECTORY": str(quarantine or repo / "objects"),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": runner.quoted_path(str(repo / "objects")),
            "GIT_INDEX_FILE": str(draft / "index"),
        }
        runner.expected(runner.run_with(draft, ["read-tree", sha], env=env, stdin=b"", timeout=SECONDS), "read-tree")
        words = ["check-attr", "--cached", "--stdin", "-z", "filter"]
        ask = b"".join(path + b"\0" for path in paths)
        done = runner.run_with(draft, words, env=env, stdin=ask, timeout=SECONDS, limit=len(ask) * 2 + 16_000_000)
        fields = runner.expected(done, "check-attr").split(b"\0")
    for place in range(0, len(fields) - 2, 3):
        if fields[place + 2] == b"lfs":
            yield fields[place]
