"""Unpacks the trees for a scan: regular files within limits, and the tree's metadata (``.checkignore``, root, Python
version).

It skips links, devices, unsafe paths and huge files, and runs and imports nothing.
"""

from __future__ import annotations

import hashlib
import os
import re
import tarfile
from collections.abc import Callable
from dataclasses import dataclass, field

from . import ignores
from .scanners.kind import ScanError

SETTINGS = (".checkignore", ".python-version", "greenroom.toml")
ROOT = re.compile(r"""^\s*root\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
MAX_FILES, MAX_BYTES, MAX_FILE, MAX_PLAIN = 60_000, 400 * 1024 * 1024, 4 * 1024 * 1024, 1024 * 1024
CODING = re.compile(rb"[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")
ENCODING = re.compile(r"(?:iso|latin|l[1-9]\Z|cp\d|windows|koi8|mac|euc|gb|big5|shift|sjis|ascii)")
TARGETS = range(7, 15)


@dataclass(frozen=True)
class Plain:
    """A small file of an archive: the digest of its content, and its location for reading it again."""

    digest: bytes
    member: tarfile.TarInfo


@dataclass
class Tree:
    """One unpacked archive. files: path -> text of each Python file; ignore: patterns of its .checkignore; root: the
    app's folder in it; plain: all regular files of up to 1 MB, if requested.
    """

    folder: str
    archive: str = ""
    files: dict[str, str] = field(default_factory=dict)
    ignore: list[str] = field(default_factory=list)
    target: str = ""
    root: str = ""
    left_out: int = 0
    plain: dict[str, Plain] = field(default_factory=dict)


def is_python(path: str) -> bool:
    """Whether ruff reads the file."""
    return path.endswith((".py", ".pyi"))


def unpack(archive: str, folder: str, wanted: Callable[[str], bool] = is_python, *, plain: bool = False) -> Tree:
    """Write the archive's files that are ``wanted`` below ``folder``. plain: also record the digest of each small file.
    Raises ScanError, tarfile.TarError.
    """
    tree = Tree(folder, archive)
    total = 0
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            path = member.name[2:] if member.name.startswith("./") else member.name
            if not member.isreg() or path.startswith("/") or ".." in path.split("/"):
                continue
            taken = path in SETTINGS or wanted(path)
            if taken and member.size > MAX_FILE:
                tree.left_out += 1
                continue
            noted = plain and member.size <= MAX_PLAIN
            content = _read(tar, member) if taken or noted else b""
            if noted:
                tree.plain[path] = Plain(hashlib.sha256(content).digest(), member)
            if taken:
                total += member.size
                if total > MAX_BYTES or len(tree.files) >= MAX_FILES:
                    raise ScanError(f"the tree is too large: more than {MAX_FILES} files or {MAX_BYTES >> 20} MB")
                _take(tree, path, content)
    return tree


def _read(tar: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = tar.extractfile(member)
    return source.read() if source else b""


def _take(tree: Tree, path: str, content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    if path == ".checkignore":
        tree.ignore = ignores.read(text)
    elif path == ".python-version":
        tree.target = target_version(text)
    elif path == "greenroom.toml":
        found = ROOT.search(text)
        tree.root = found.group(1).strip("./") if found else ""
    else:
        place = os.path.join(tree.folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        own = declared(content) if is_python(path) else None
        with open(place, "wb") as file:
            file.write(content if own is None else own.encode())
        tree.files[path] = text if own is None else own


def declared(content: bytes) -> str | None:
    """The text of a Python file with an encoding declaration (PEP 263), which ruff cannot read. None for UTF-8, or if
    the declaration is wrong.
    """
    head = content[:1000].splitlines()[:2]
    found = CODING.match(head[0]) if head else None
    if found is None and len(head) > 1 and (not head[0].strip() or head[0].lstrip().startswith(b"#")):
        found = CODING.match(head[1])
    name = found.group(1).decode("ascii").lower() if found else ""
    if not ENCODING.match(name):
        return None
    try:
        return content.decode(name)
    except (LookupError, ValueError):
        return None


def target_version(text: str) -> str:
    """ruff's name for the version in .python-version: ``3.12.4`` is ``py312``; empty if ruff does not support it."""
    found = re.match(r"\s*3\.(\d+)", text)
    return f"py3{found.group(1)}" if found and int(found.group(1)) in TARGETS else ""
