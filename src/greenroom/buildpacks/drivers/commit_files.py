"""Reads single files of a commit's tar without unpacking it.

The tar may come from a build dyno (after bin/pre_compile), so every size and count is capped and nothing is extracted.
"""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Iterable
from pathlib import Path

from greenroom.buildpacks.errors import BuildError

MAX_ENTRIES = 200_000
MAX_READ = 4 * 1024 * 1024
MAX_BYTES = 1024**3
MAX_LINKS = 20
MAX_HEADER = 1024 * 1024


class _Member(tarfile.TarInfo):
    """An entry whose extended headers are small: tarfile reads each of them whole, of any size."""

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        extended = (
            tarfile.GNUTYPE_LONGNAME,
            tarfile.GNUTYPE_LONGLINK,
            tarfile.XHDTYPE,
            tarfile.XGLTYPE,
            tarfile.SOLARIS_XHDTYPE,
        )
        if self.type in extended and self.size > MAX_HEADER:
            raise tarfile.ReadError(f"an extended header has {self.size} bytes, {MAX_HEADER} are allowed")
        return super()._proc_member(archive)  # type: ignore[misc]


class Source:
    """The files of one tar, below ``root`` (a folder of the repository, empty: all of it)."""

    def __init__(self, path: Path, root: str = "") -> None:
        self.path = path
        self.root = root
        self._members: dict[str, tarfile.TarInfo] = {}
        self._open(path, f"{root}/" if root else "")

    def _open(self, path: Path, prefix: str) -> None:
        total = 0
        try:
            self._archive = tarfile.open(path, "r:", tarinfo=_Member)  # noqa: SIM115 -- kept open for reads
            for count, member in enumerate(self._archive):
                total += member.size
                if count > MAX_ENTRIES or total > MAX_BYTES:
                    raise BuildError(
                        "checkout::too-large",
                        f"The commit has more than {MAX_ENTRIES} files or {MAX_BYTES // 1024**2} MB. Heroku's limit"
                        " of 1 GB applies.",
                        hint="keep large files outside the repository",
                    )
                name = member.name.removeprefix("./").rstrip("/")
                if name.startswith(prefix) and name != self.root:
                    self._members[name[len(prefix) :]] = member
        except (tarfile.TarError, ValueError, OverflowError) as error:
            raise BuildError("checkout", f"The files of the commit cannot be read: {error}.") from error

    def leave_out(self, names: Iterable[str]) -> None:
        """Ignore these files, as if they were not committed."""
        for name in names:
            self._members.pop(name, None)

    def close(self) -> None:
        """Close the file."""
        self._archive.close()

    def __contains__(self, name: str) -> bool:
        target = self.target(name)
        return target in self._members or (target != "" and self._is_folder(target))

    def target(self, name: str) -> str:
        """The target of a name after following the tree's links as in the dyno; '' if it is outside of the tree, or in
        a loop.
        """
        wanted, links = name.split("/"), 0
        done: list[str] = []
        while wanted:
            part = wanted.pop(0)
            member = self._members.get("/".join([*done, part]))
            if member is None or not member.issym():
                done.append(part)
                continue
            links += 1
            to = (
                member.linkname.removeprefix("/app/")
                if member.linkname.startswith("/app/")
                else posixpath.join("/".join(done), member.linkname)
            )
            to = posixpath.normpath(to)
            if links > MAX_LINKS or to.startswith(("/", "..")):
                return ""
            done, wanted = [], [*(part for part in to.split("/") if part != "."), *wanted]
        return "/".join(done)

    def files(self) -> list[str]:
        """All files and links, sorted."""
        return sorted(name for name, member in self._members.items() if not member.isdir())

    def root_names(self) -> list[str]:
        """The entries of the root folder; folders end with ``/``."""
        folders = {name.split("/", 1)[0] for name in self._members if "/" in name}
        folders |= {name for name, member in self._members.items() if "/" not in name and member.isdir()}
        links = [name for name, member in self._members.items() if "/" not in name and member.issym()]
        folders |= {name for name in links if (to := self.target(name)) and self._is_folder(to)}
        files = {name for name, member in self._members.items() if "/" not in name and not member.isdir()} - folders
        return sorted({f"{name}/" for name in folders} | files)

    def _is_folder(self, name: str) -> bool:
        member = self._members.get(name)
        return member.isdir() if member else any(other.startswith(f"{name}/") for other in self._members)

    def read(self, name: str) -> bytes | None:
        """The content of a file, following links within the tree; None if it does not exist. BuildError when it is too
        large.
        """
        member = self._members.get(self.target(name))
        if member is None or not member.isreg():
            return None
        if member.size > MAX_READ:
            raise BuildError("checkout::too-large", f"{name} is larger than {MAX_READ // 1024**2} MB.")
        file = self._archive.extractfile(member)
        return file.read() if file else None
