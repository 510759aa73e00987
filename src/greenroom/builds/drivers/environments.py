"""Environments and resolved requirements on disk: their names, whether they are there, and how a finished one gets into
its place.

``envs/<key>`` is a whole environment or absent; ``cache/locks/<app>/<digest>.txt`` is what a requirements file was
resolved to.
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
"""Of an environment, and of uv's ``archive-v0``; not those of packages that a package brings along."""


def exists(home: Path, key: str) -> bool:
    """Whether the environment is there, whole. It counts as used from now on, so that nobody takes it for a
    leftover.
    """
    with store.IN_USE:
        found = bool(key) and (home / "envs" / key).is_dir()
        if found:
            with contextlib.suppress(OSError):
                os.utime(home / "envs" / f"{key}.json")
    return found


def lock_path(home: Path, app_hex: str, digest: str) -> Path:
    """Where the resolution of a requirements file of this digest is kept for the app."""
    return home / "cache" / "locks" / app_hex / f"{digest}.txt"


def stored_lock(home: Path, app_hex: str, digest: str) -> str:
    """What the requirements were resolved to before; empty if they never were."""
    try:
        return lock_path(home, app_hex, digest).read_text()
    except FileNotFoundError:
        return ""


def store_lock(home: Path, app_hex: str, digest: str, text: str) -> None:
    """Keep a resolution; whole or not at all."""
    path = lock_path(home, app_hex, digest)
    path.parent.mkdir(parents=True, exist_ok=True)
    atomic.write(path, text, mode=0o600)


def mark_needs_build(home: Path, app_hex: str, digest: str) -> None:
    """Remember that something these requirements ask for has no wheel."""
    path = lock_path(home, app_hex, digest).with_suffix(".build")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def needs_build(home: Path, app_hex: str, digest: str) -> bool:
    """Whether ``mark_needs_build`` was called."""
    return lock_path(home, app_hex, digest).with_suffix(".build").exists()


def lock_digest(text: str) -> str:
    """The digest of resolved requirements; the same for another order or spacing."""
    return read_requirements(lambda _: text.encode(), "lock").digest


def left_lock(engine: Engine, dyno_id: str) -> str:
    """The requirements that a dyno has resolved. PlatformError when there are none."""
    text = (engine.result(dyno_id, "out/lock.txt", limit=LOCK_LIMIT) or b"").decode("utf-8", "replace")
    if not text:
        raise PlatformError("The installer left no resolved requirements.", hint="push again")
    return text


def strange(home: Path, found: Mapping[str, str]) -> list[str]:
    """Of installed file sets (see ``sharing.file_sets``) those whose digest is not the one that was written down when
    the wheel was first installed.

    A set that is new is written down. Only the control plane writes there, so who changes a cache changes no digest.
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
    """The result that a dyno's script left; empty if there is none, or none that can be read."""
    try:
        value = json.loads(engine.result(dyno_id, "out/result.json") or b"{}")
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def repositories(result: dict[str, Any]) -> dict[str, str]:
    """``{package: commit}`` of what an installation took from repositories, as its script says."""
    found = result.get("repositories")
    return {str(name)[:200]: str(commit)[:64] for name, commit in found.items()} if isinstance(found, dict) else {}


def adopt(home: Path, engine: Engine, dyno_id: str, key: str, facts: dict[str, Any]) -> None:
    """Move the environment that a dyno made to ``envs/<key>``. Repeatable; a second maker's is dropped. PlatformError
    if it is not there.
    """
    envs = home / "envs"
    envs.mkdir(mode=0o711, exist_ok=True)
    target = envs / key
    if target.is_dir():
        return
    with engine.tree(dyno_id, "env") as made:
        if made is None:
            raise PlatformError(
                "The environment that was installed is not there.", hint="push again; if it persists: greenroom doctor"
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
                f"The environment could not be kept: {error.strerror}.", hint="greenroom doctor"
            ) from error


def adopt_layer(home: Path, engine: Engine, dyno_id: str, env_key: str, app_hex: str) -> str:
    """Keep what hooks wrote into the environment as a layer of its own; its key, or an empty one if they wrote nothing
    that counts.
    """
    with engine.tree(dyno_id, "env") as made:
        digest = store.layer_digest(made) if made else ""
    if not digest:
        return ""
    key = f"{env_key}-{hashlib.sha256(f'layer {digest} {app_hex}'.encode()).hexdigest()[:40]}"
    adopt(home, engine, dyno_id, key, {"layer": digest})
    return key


def _copy(made: Path, target: Path) -> None:
    """Where the control plane may read the dyno's files but not move them."""
    fresh = target.with_name(f".new-{secrets.token_hex(8)}")
    try:
        shutil.copytree(made, fresh, symlinks=True)
        with contextlib.suppress(FileExistsError):
            os.rename(fresh, target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _describe(path: Path, facts: dict[str, Any]) -> None:
    atomic.write(path, json.dumps(facts, sort_keys=True), mode=0o600)  # may hold the password of an index


def facts(home: Path, key: str) -> dict[str, Any]:
    """What was written down when the environment was made: lock, packages with sizes, tools, interpreter."""
    try:
        return json.loads((home / "envs" / f"{key}.json").read_text())
    except (FileNotFoundError, ValueError):
        return {}


def packages(home: Path, key: str, manager: str, main: str) -> dict[str, dict[str, Any]]:
    """``{name: {version, size, record, hashes}}`` of what is installed: sizes in bytes, hashes as the lock allows them.

    The names come from the dyno that installed: cut to what a package's name and version may be.
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
    """Files below ``folder`` whose bytes are not those that their package's RECORD names, or that are missing; relative
    to it, sorted.

    folder: an environment, or the unpacked wheels of the installer's cache. What the installer itself wrote there is
    not listed in hashes.
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
    """Whether a distribution is installed in the environment, by its metadata; nothing is run, and no link of an app's
    own environment followed.
    """
    for version in _folders(home / "envs" / key / "lib"):
        for site in _folders(version.path):
            if site.name == "site-packages":
                found = (entry.name for entry in _folders(site.path) if entry.name.endswith(".dist-info"))
                if any(entry.removesuffix(".dist-info").rsplit("-", 1)[0].lower() == name for entry in found):
                    return True
    return False


def _folders(path: Path | str) -> list[os.DirEntry[str]]:
    """The folders in a folder, links left out; none when it is a link itself."""
    if os.path.islink(path) or not os.path.isdir(path):
        return []
    with os.scandir(path) as entries:
        return [entry for entry in entries if entry.is_dir(follow_symlinks=False)]
