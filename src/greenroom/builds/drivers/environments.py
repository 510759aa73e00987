"""Environments and resolved requirements on disk: their names, whether they exist, and the atomic move of a finished
one to its path.

``envs/<key>`` is a complete environment or absent; ``cache/locks/<app>/<digest>.txt`` is the resolution of a
requirements file.
"""

from __future__ import annotations

import base64
import contextlib
import csv
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

from greenroom.basics import atomic
from greenroom.basics.errors import PlatformError
from greenroom.buildpacks.rules import lock_hashes
from greenroom.buildpacks.rules.requirements import read_requirements
from greenroom.engine.contract import RESULT_LIMIT, Engine
from greenroom.slugs.drivers import store

LOCK_LIMIT = 16 * RESULT_LIMIT
MAX_PACKAGES = 5000
PACKAGE = re.compile(r"[a-z0-9][a-z0-9-]{0,199}\Z")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]{0,99}\Z")
RECORDS = ("lib/python3.*/site-packages/*.dist-info/RECORD", "*/*.dist-info/RECORD")
"""Globs of RECORD files: in an environment, and in uv's ``archive-v0``; excludes those of vendored packages."""


def exists(home: Path, key: str) -> bool:
    """Whether the environment exists and is complete. Updates its time of use, which protects it from the retention
    sweep.
    """
    with store.IN_USE:
        found = bool(key) and (home / "envs" / key).is_dir()
        if found:
            with contextlib.suppress(OSError):
                os.utime(home / "envs" / f"{key}.json")
    return found


def lock_path(home: Path, app_hex: str, digest: str) -> Path:
    """Path of the app's resolution of a requirements file with this digest."""
    return home / "cache" / "locks" / app_hex / f"{digest}.txt"


def stored_lock(home: Path, app_hex: str, digest: str) -> str:
    """The stored resolution of the requirements; empty if there is none."""
    try:
        return lock_path(home, app_hex, digest).read_text()
    except FileNotFoundError:
        return ""


def store_lock(home: Path, app_hex: str, digest: str, text: str) -> None:
    """Store a resolution atomically."""
    path = lock_path(home, app_hex, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, text, mode=0o600)


def mark_needs_build(home: Path, app_hex: str, digest: str) -> None:
    """Record that a package of these requirements has no wheel."""
    path = lock_path(home, app_hex, digest).with_suffix(".build")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def needs_build(home: Path, app_hex: str, digest: str) -> bool:
    """Whether ``mark_needs_build`` was called."""
    return lock_path(home, app_hex, digest).with_suffix(".build").exists()


def lock_digest(text: str) -> str:
    """The digest of resolved requirements, independent of order and spacing."""
    return read_requirements(lambda _: text.encode(), "lock").digest


def left_lock(engine: Engine, dyno_id: str) -> str:
    """The requirements that a dyno has resolved. PlatformError if there are none."""
    text = (engine.result(dyno_id, "out/lock.txt", limit=LOCK_LIMIT) or b"").decode("utf-8", "replace")
    if not text:
        raise PlatformError("The installer left no resolved requirements.", hint="push again")
    return text


def strange(home: Path, found: Mapping[str, str]) -> list[str]:
    """Return the keys of installed file sets (see ``shared_packages.file_sets``) whose digest differs from the one
    recorded at the wheel's first installation.

    Records a new set. Only the control plane writes there, so a modified cache cannot change a recorded digest.
    """
    wrong = []
    for key, digest in sorted(found.items()):
        path = home / "cache" / "sets" / key[:2] / key
        try:
            known = path.read_text()
        except FileNotFoundError:
            path.parent.mkdir(parents=True, exist_ok=True)
            atomic.write(path, digest)
        else:
            wrong += [key] if known != digest else []
    return wrong


def result(engine: Engine, dyno_id: str) -> dict[str, Any]:
    """The result of a dyno's script; empty if it is missing or unreadable."""
    try:
        value = json.loads(engine.result(dyno_id, "out/result.json") or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def repositories(result: dict[str, Any]) -> dict[str, str]:
    """``{package: commit}`` of the packages installed from repositories, as reported by the install script."""
    found = result.get("repositories")
    return {str(name)[:200]: str(commit)[:64] for name, commit in found.items()} if isinstance(found, dict) else {}


def adopt(home: Path, engine: Engine, dyno_id: str, key: str, facts: dict[str, Any]) -> None:
    """Move the environment that a dyno created to ``envs/<key>``. Repeatable; on a race, the second one is discarded.
    PlatformError if it is missing.
    """
    envs = home / "envs"
    envs.mkdir(mode=0o711, exist_ok=True)
    target = envs / key
    if target.is_dir():
        return
    with engine.tree(dyno_id, "env") as made:
        if made is None:
            raise PlatformError(
                "The installed environment was not found.", hint="push again; if it persists: greenroom doctor"
            )
        _describe(envs / f"{key}.json", facts)
        _move(made, target)


def _move(made: Path, target: Path) -> None:
    try:
        os.rename(made, target)
    except PermissionError:
        _copy(made, target)
    except OSError as error:
        if not target.is_dir():
            raise PlatformError(
                f"The environment could not be stored: {error.strerror}.", hint="greenroom doctor"
            ) from error


def adopt_layer(home: Path, engine: Engine, dyno_id: str, env_key: str, app_hex: str) -> str:
    """Store the changes of hooks to the environment as a layer of its own. Returns its key; empty if there are no
    relevant changes.
    """
    with engine.tree(dyno_id, "env") as made:
        digest = store.layer_digest(made) if made else ""
    if not digest:
        return ""
    key = f"{env_key}-{hashlib.sha256(f'layer {digest} {app_hex}'.encode()).hexdigest()[:40]}"
    adopt(home, engine, dyno_id, key, {"layer": digest})
    return key


def _copy(made: Path, target: Path) -> None:
    """Copy the environment, if the control plane may read the dyno's files but not move them."""
    fresh = target.with_name(f".new-{secrets.token_hex(8)}")
    try:
        shutil.copytree(made, fresh, symlinks=True)
        with contextlib.suppress(FileExistsError):
            os.rename(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _describe(path: Path, facts: dict[str, Any]) -> None:
    atomic.write(path, json.dumps(facts, sort_keys=True), mode=0o600)  # may contain the password of an index


def facts(home: Path, key: str) -> dict[str, Any]:
    """The facts stored with the environment: lock, packages with sizes, tools, interpreter."""
    try:
        return json.loads((home / "envs" / f"{key}.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def packages(home: Path, key: str, manager: str, main: str) -> dict[str, dict[str, Any]]:
    """``{name: {version, size, record, hashes}}`` of the installed packages: sizes in bytes, hashes as the lock allows
    them.

    The names come from the install dyno: truncated to the limits of package names and versions.
    """
    known = facts(home, key)
    lock = known.get("lock", "")
    text = lock if isinstance(lock, str) else lock.get(main, "")
    allowed, found = lock_hashes.hashes("pip" if known.get("shared") else manager, text), {}
    for name, entry in sorted((known.get("packages") or {}).items())[:MAX_PACKAGES]:
        version, size, *record = entry if isinstance(entry, list) and len(entry) > 1 else ("", 0)
        plain = canonicalize_name(str(name))[:200]
        if PACKAGE.match(plain) and VERSION.match(str(version)):
            values = {
                "version": str(version),
                "size": size if isinstance(size, int) else 0,
                "record": str(record[0])[:64] if record else "",
            }
            found[plain] = {**values, "hashes": allowed.get((plain, str(version)), [])}
    return found


def damaged(folder: Path) -> list[str]:
    """Files below ``folder`` that are missing or differ from their package's RECORD; relative to it, sorted.

    folder: an environment, or the unpacked wheels of the installer's cache. RECORD has no hashes for files that the
    installer itself wrote.
    """
    found = []
    for record in (path for pattern in RECORDS for path in folder.glob(pattern)):
        site = record.parent.parent
        for name, digest, _ in csv.reader(record.read_text("utf-8").splitlines()):
            kind, _, wanted = digest.partition("=")
            path = site / name
            if kind == "sha256" and (not path.is_file() or _sha256(path) != wanted):
                found.append(os.path.relpath(path, folder))
    return sorted(found)


def _sha256(path: Path) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(path.read_bytes()).digest()).rstrip(b"=").decode()


def has_package(home: Path, key: str, name: str) -> bool:
    """Whether a distribution is installed in the environment, by its metadata. Runs nothing and follows no link of an
    app's own environment.
    """
    for version in _folders(home / "envs" / key / "lib"):
        for site in _folders(version.path):
            if site.name == "site-packages":
                found = (entry.name for entry in _folders(site.path) if entry.name.endswith(".dist-info"))
                if any(entry.removesuffix(".dist-info").rsplit("-", 1)[0].lower() == name for entry in found):
                    return True
    return False


def has_program(home: Path, key: str, name: str) -> bool:
    """Whether the environment has a program of this name. Follows no link."""
    programs = home / "envs" / key / "bin"
    return not programs.is_symlink() and os.path.lexists(programs / name)


def _folders(path: Path | str) -> list[os.DirEntry[str]]:
    """The subfolders of a folder, without links; none if it is a link itself."""
    if os.path.islink(path) or not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
