"""Reads package.json and its lock file: the package manager, and what Heroku's Node.js buildpack will do. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import pins

LOCKS = {
    "npm-shrinkwrap.json": "npm",
    "package-lock.json": "npm",
    "yarn.lock": "yarn",
    "pnpm-lock.yaml": "pnpm",
}
"""Lock file -> package manager; the first one that exists counts for npm."""
MAKE = {
    "npm": "npm install && git add package-lock.json",
    "yarn": "yarn install && git add yarn.lock",
    "pnpm": "pnpm install && git add pnpm-lock.yaml",
}
PNPM_FORMAT = re.compile(rb"^lockfileVersion:\s{0,9}['\"]?(\d{1,3})", re.MULTILINE)
PNPM_BY_FORMAT = {6: "8", 9: "10"}
NAMED = re.compile(r"(npm|yarn|pnpm)@(\d{1,3})")
Read = Callable[[str], bytes | None]


@dataclass(frozen=True, kw_only=True)
class Packages:
    """The package manager (npm, yarn, pnpm), its lock file, and the key of its pin; warnings for the pusher."""

    manager: str
    lock: str
    tool: str
    engines: str
    warnings: tuple[str, ...] = ()


def read_package(data: bytes) -> dict[str, Any]:
    """The object in package.json, with the parts that are used validated. BuildError with the place of a fault."""
    try:
        value = json.loads(data.decode("utf-8-sig"))
    except json.JSONDecodeError as error:
        raise _bad(f"line {error.lineno}, column {error.colno}: this is not JSON: {error.msg}") from error
    except (ValueError, RecursionError) as error:
        raise _bad("this is not JSON in UTF-8") from error
    if not isinstance(value, dict):
        raise _bad("an object is expected")
    for key in ("engines", "scripts", "dependencies", "devDependencies"):
        entry = value.get(key)
        if entry is not None and not isinstance(entry, dict):
            raise _bad(f"{key}: an object is expected")
    for key, entry in (value.get("engines") or {}).items():
        if not isinstance(entry, str):
            raise _bad(f'engines.{key[:40]}: a range such as "22.x" is expected')
    return value


def _bad(problem: str) -> BuildError:
    return BuildError("nodejs::invalid-package-json", f"package.json, {problem}.", hint="npm pkg fix")


def read(names: Collection[str], read_file: Read) -> Packages:
    """The packages of the app. names: entries of the root folder. BuildError for what cannot be built."""
    data = read_file("package.json")
    if data is None:
        raise BuildError(
            "nodejs::no-package-json",
            "The buildpack heroku/nodejs needs a package.json in the root folder, and there is none.",
            hint="commit package.json, or: heroku buildpacks:remove heroku/nodejs",
        )
    package = read_package(data)
    engines = package.get("engines") or {}
    lock = _lock(names)
    manager = LOCKS[lock] if lock else _named(package)[0] or "npm"
    tool = _tool(manager, lock, package, read_file)
    return Packages(
        manager=manager,
        lock=lock,
        tool=tool,
        engines=engines.get("node", "").strip(),
        warnings=_warnings(names, lock, manager, engines),
    )


def _lock(names: Collection[str]) -> str:
    """The one lock file; empty if there is none."""
    found = [name for name in LOCKS if name in names]
    managers = {LOCKS[name] for name in found}
    if len(managers) > 1:
        keep = next(name for name in found if LOCKS[name] != "npm")
        others = " ".join(name for name in found if LOCKS[name] != LOCKS[keep])
        raise BuildError(
            "nodejs::two-lockfiles",
            f"There are lock files of {' and '.join(sorted(managers))}: {', '.join(found)}. Exactly one package manager"
            " is allowed, to make it clear which packages are installed.",
            hint=f"keep one of them, for example {keep}: git rm {others}",
        )
    return found[0] if found else ""


def _named(package: dict[str, Any]) -> tuple[str, int]:
    """(package manager, major version) of ``packageManager``; an empty name if there is none."""
    text = package.get("packageManager")
    found = NAMED.match(text) if isinstance(text, str) else None
    return (found[1], int(found[2])) if found else ("", 0)


def _tool(manager: str, lock: str, package: dict[str, Any], read_file: Read) -> str:
    """The key of the package manager in ``pins.NPM_TOOLS``; empty for npm, which comes with Node.js."""
    named, major = _named(package)
    if manager == "yarn":
        head = (read_file(lock) or b"")[:2000] if lock else b""
        if b"__metadata:" in head or (named == "yarn" and major > 1):
            raise BuildError(
                "nodejs::yarn-version",
                "yarn.lock is of Yarn 2 or newer; Greenroom has Yarn 1 (classic), npm and pnpm.",
                hint="use npm: git rm yarn.lock && npm install && git add package.json package-lock.json",
            )
        return "yarn"
    if manager != "pnpm":
        return ""
    found = PNPM_FORMAT.search((read_file(lock) or b"")[:2000]) if lock else None
    wanted = PNPM_BY_FORMAT.get(int(found[1])) if found else "10"
    if wanted is None:
        raise BuildError(
            "nodejs::pnpm-version",
            f"pnpm-lock.yaml has the format {found[1].decode() if found else '?'}, which Greenroom's pnpm (8, 9 and 10)"
            " does not read.",
            hint="npx pnpm@10 install && git add pnpm-lock.yaml",
        )
    if named == "pnpm" and wanted == "10" and f"pnpm-{major}" in pins.NPM_TOOLS and major > 8:
        wanted = str(major)
    return f"pnpm-{wanted}"


def _warnings(names: Collection[str], lock: str, manager: str, engines: dict[str, Any]) -> tuple[str, ...]:
    found = []
    if not lock:
        found.append(
            f"Warning: package.json has no lock file: each build may install other versions.\nInstead: {MAKE[manager]}"
        )
    if "node_modules/" in names:
        found.append(
            "Warning: node_modules is committed, and the build replaces it.\nInstead: git rm -r --cached node_modules"
            " && echo node_modules/ >> .gitignore"
        )
    if not engines.get("node"):
        found.append('Warning: package.json does not set the version of Node.js.\nInstead: "engines": {"node": "22.x"}')
    return tuple(found)
