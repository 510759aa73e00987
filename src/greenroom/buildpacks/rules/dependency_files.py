"""Parses a commit's dependency files, for each package manager: the files, the key of the result, and where it may be
built.

Reads files by name; independent of the host and of interpreters.
"""

from __future__ import annotations

import hashlib
import json
import tomllib
from dataclasses import dataclass, field
from typing import Any, Protocol

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.package_managers import Manager
from greenroom.buildpacks.rules.requirements import read_requirements
from greenroom.buildpacks.rules.storable import fault

TOOLS = ("pipenv", "poetry")
"""Package managers that run in the app's own sandbox; uv replaces pip and runs uv projects."""


class Files(Protocol):
    """The files of a commit or of a slug."""

    def read(self, name: str) -> bytes | None:
        """A file's content; None if it does not exist."""


@dataclass(frozen=True, kw_only=True)
class Install:
    """The packages to install.

    files:   the dependency files, path -> text. main: the one for the package manager.
    digest:  of the requirements; unaffected by changes without an effect.
    locked:  every version and hash is fixed, so the digest identifies the environment.
    local:   something is built from the tree or a repository: in the app's own sandbox, with the tree there.
    tree:    the tree itself is an input, so that another commit may give another environment.
    moving:  a branch of a repository or a file at a URL is an input: resolved at each build.
    options: of requirements files: indexes etc., also for the installation of the resolved packages.
    indexes: the package indexes of a uv.lock.
    """

    manager: str
    main: str
    files: dict[str, str] = field(default_factory=dict)
    digest: str = ""
    locked: bool = False
    local: bool = False
    tree: bool = False
    moving: bool = False
    options: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()


def install_of(source: Files, manager: Manager) -> Install:
    """The packages that the package manager's files require. BuildError ``install-dependencies::NAME`` for a missing or
    invalid file.
    """
    makers = {"pip": _pip, "uv": _uv, "pipenv": _pipenv, "poetry": _poetry}
    return makers[manager.name](source, manager.file)


def _pip(source: Files, main: str) -> Install:
    found = read_requirements(source.read, main, strict=True)
    paths = [line for line in found.local if not _is_repository(line)]
    return Install(
        manager="pip",
        main=main,
        files=found.files,
        digest=found.digest,
        locked=found.hashed,
        local=bool(found.local) or found.links,
        tree=bool(paths) or found.links,
        moving=found.moving,
        options=found.options,
    )


def _is_repository(line: str) -> bool:
    return any(mark in line for mark in ("git+", "hg+", "svn+", "bzr+", "http://", "https://"))


def _digest(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _both(source: Files, manager: str, project: str, main: str, remedy: str) -> dict[str, str]:
    """The texts of a lock file and of its source file; Heroku's tools refuse a lock without it."""
    found = {}
    for name in (project, main):
        data = source.read(name)
        if data is None:
            raise BuildError(
                f"install-dependencies::{manager}",
                f"{main} was found without {name}, from which it is generated.",
                hint=f"git add -f {name}",
            )
        try:
            found[name] = data.decode()
        except UnicodeDecodeError as error:
            raise BuildError(f"install-dependencies::{manager}", f"{name} is not UTF-8 text.", hint=remedy) from error
    return found


def _toml(text: str, name: str, manager: str, remedy: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (
        ValueError,
        RecursionError,
    ) as error:  # more than 4,300 digits raise a ValueError that is not a TOMLDecodeError
        raise BuildError(f"install-dependencies::{manager}", f"{name} is not TOML: {error}.", hint=remedy) from error


def _table(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The table at the keys; empty if it is missing or not a table: the package manager itself reports that."""
    found: Any = value
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def _packages(lock: dict[str, Any], manager: str) -> list[dict[str, Any]]:
    found = lock.get("package", [])
    if not isinstance(found, list) or not all(isinstance(entry, dict) for entry in found):
        reason, text = (
            f"install-dependencies::{manager}",
            f"{manager}.lock is invalid: `package` is not a list of tables.",
        )
        raise BuildError(reason, text, hint=f"{manager} lock && git add {manager}.lock")
    return found


# -- uv
# ------------------------------------------------------------------------------------------------------------------

PROJECT_KEYS = ("name", "version", "dynamic", "requires-python", "dependencies", "optional-dependencies")


def _uv(source: Files, main: str) -> Install:
    files = _both(source, "uv", "pyproject.toml", main, "uv lock")
    lock, project = (_toml(files[name], name, "uv", "uv lock") for name in (main, "pyproject.toml"))
    local = _builds_from_tree(lock, project)
    wanted = {key: value for key, value in _table(project, "project").items() if key in PROJECT_KEYS}
    rest = [project.get(key) for key in ("dependency-groups", "build-system")] + [_table(project, "tool", "uv")]
    indexes = tuple(
        sorted({str(_table(package, "source").get("registry", "")) for package in _packages(lock, "uv")} - {""})
    )
    if found := fault(indexes):
        raise BuildError(
            "install-dependencies::uv", f"{main}, registry of a package: {found[1]}.", hint="uv lock && git add uv.lock"
        )
    return Install(
        manager="uv",
        main=main,
        files=files,
        digest=_digest(lock, wanted, rest),
        locked=True,
        local=local,
        tree=local,
        indexes=indexes,
    )


def _builds_from_tree(lock: dict[str, Any], project: dict[str, Any]) -> bool:
    """Whether the lock contains the project itself as a package, a path, a workspace or a repository."""
    plain = all(set(_table(package, "source")) <= {"registry", "virtual", "url"} for package in _packages(lock, "uv"))
    return not plain or bool(_table(project, "tool", "uv").get("workspace"))


# -- pipenv
# --------------------------------------------------------------------------------------------------------------


def _pipenv(source: Files, main: str) -> Install:
    """Pipfile.lock: the packages of ``default``. Pipfile is included: pipenv refuses a lock made from another one."""
    files = _both(source, "pipenv", "Pipfile", main, "pipenv lock")
    lock, project = (
        _pipfile_lock(files[main], "install-dependencies::pipenv"),
        _toml(files["Pipfile"], "Pipfile", "pipenv", "pipenv lock"),
    )
    entries = [entry for entry in _table(lock, "default").values() if isinstance(entry, dict)]
    tree = any({"path", "file"} & set(entry) and "://" not in str(entry.get("file", "")) for entry in entries)
    local = tree or any({"path", "file", "git", "hg", "svn", "bzr"} & set(entry) for entry in entries)
    return Install(
        manager="pipenv",
        main=main,
        files=files,
        digest=_digest(lock.get("_meta"), lock.get("default"), project),
        locked=True,
        local=local,
        tree=tree,
    )


def _pipfile_lock(text: str, reason: str) -> dict[str, Any]:
    problem = "the top level is not an object"
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        problem, value = str(error), None
    if found := fault(value):
        raise BuildError(reason, f"Pipfile.lock, {found[0]}: {found[1]}.", hint="pipenv lock && git add Pipfile.lock")
    if not isinstance(value, dict):
        raise BuildError(
            reason,
            f"Pipfile.lock is invalid: {problem}.",
            hint="pipenv lock && git add Pipfile.lock",
        )
    return value


def pipfile_python(data: bytes) -> str:
    """The Python that Pipfile.lock requires: ``python_full_version``, else ``python_version``; empty if it has neither.

    BuildError ``pipfile-lock::invalid-json`` for an invalid file.
    """
    meta = _pipfile_lock(data.decode("utf-8", "replace"), "pipfile-lock::invalid-json").get("_meta")
    requires = meta.get("requires") if isinstance(meta, dict) else None
    if not isinstance(requires, dict):
        return ""
    return str(requires.get("python_full_version") or requires.get("python_version") or "")


# -- poetry
# --------------------------------------------------------------------------------------------------------------


def _poetry(source: Files, main: str) -> Install:
    """poetry.lock: the group ``main``, and the project itself unless it has ``package-mode = false``."""
    files = _both(source, "poetry", "pyproject.toml", main, "poetry lock")
    lock, project = (_toml(files[name], name, "poetry", "poetry lock") for name in (main, "pyproject.toml"))
    kinds = {str(_table(package, "source").get("type", "")) for package in _packages(lock, "poetry")}
    itself = _table(project, "tool", "poetry").get("package-mode", True) is not False
    tree = itself or bool(kinds & {"directory", "file"})
    wanted = [project.get(key) for key in ("project", "dependency-groups", "build-system")] + [
        _table(project, "tool", "poetry")
    ]
    return Install(
        manager="poetry",
        main=main,
        files=files,
        digest=_digest(lock, wanted),
        locked=True,
        local=tree or "git" in kinds,
        tree=tree,
    )
