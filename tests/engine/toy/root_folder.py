"""The folders that a dyno sees, mounted in the keeper's own mount namespace."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from greenroom.engine import artefacts
from greenroom.engine.contract import DynoSpec, Mount

HOST = ("usr", "bin", "sbin", "lib", "lib64", "etc", "dev")


def make(folder: Path, home: Path, spec: DynoSpec) -> Path:
    """The dyno's root folder."""
    root = folder / "root"
    root.mkdir()
    _mount("--make-rprivate", "/")
    _mount("-t", "tmpfs", "tmpfs", root)
    for name in HOST:
        if os.path.islink(f"/{name}"):
            (root / name).symlink_to(os.readlink(f"/{name}"))
        elif os.path.isdir(f"/{name}"):
            _bind(Path("/", name), root / name)
    for name in ("proc", "tmp", "app", "greenroom"):
        (root / name).mkdir(mode=0o777)
    (root / "tmp").chmod(0o1777)
    _mount("-t", "proc", "proc", root / "proc")
    for number, mount in enumerate(sorted(spec.mounts, key=lambda it: it.target.count("/"))):
        _one(folder, home, root, mount, number)
    return root


def _one(folder: Path, home: Path, root: Path, mount: Mount, number: int) -> None:
    target = root / mount.target.lstrip("/")
    if mount.mode != "overlay":
        source = _source(folder, home, mount.source, write=mount.mode == "rw")
        _bind(source, target)
        if mount.mode == "ro":
            _mount("-o", "remount,bind,ro", target)
        return
    layers = [_source(folder, home, text) for text in mount.lower or (mount.source,)]
    upper = _source(folder, home, mount.upper, write=True) if mount.upper else folder / f"upper{number}"
    work = folder / f"work{number}"
    for path in (upper, work, target):
        path.mkdir(parents=True, exist_ok=True)
    lower = ":".join(map(str, reversed(layers)))
    _mount("-t", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", "overlay", target)


def _source(folder: Path, home: Path, text: str, *, write: bool = False) -> Path:
    kind, _, name = text.partition(":")
    path = folder / "left" / name if kind == "scratch" else home / artefacts.path(text)
    if write or kind in ("scratch", "volume"):
        path.mkdir(parents=True, exist_ok=True)
    return path


def _bind(source: Path, target: Path) -> None:
    if source.is_dir():
        target.mkdir(parents=True, exist_ok=True)
    else:
        target.parent.mkdir(parents=True, exist_ok=True)
        target.touch()
    _mount("--rbind", source, target)


def _mount(*words: object) -> None:
    subprocess.run(["mount", *map(str, words)], check=True, capture_output=True)
