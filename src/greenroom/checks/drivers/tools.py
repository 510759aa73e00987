"""Puts what runs inside dynos where the engine can mount it: content-addressed copies below ``<home>/cache/tools``.

A virtual environment may lie in a folder that an app's system user cannot enter; Greenroom's home never does.
"""

from __future__ import annotations

import hashlib
import os
import py_compile
import shutil
import sys
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import files, version
from importlib.util import find_spec
from pathlib import Path

from ruff import find_ruff_bin

from greenroom.basics import atomic
from greenroom.basics.errors import PlatformError
from greenroom.engine.contract import Mount

RUNNER = "/greenroom/runner"
INSIDE = Path(__file__).parent.parent / "inside"
RUFF = "/greenroom/ruff"
SECRETS = "/greenroom/secrets"
SQUAWK = "/greenroom/squawk"
SCANNERS = "/greenroom/scanners"
OUT = "/greenroom/out"
"""Where dynos of checks find the runner and its tools, and leave their result."""

SECRETS_PACKAGES = ("detect_secrets", "requests", "urllib3", "idna", "certifi", "charset_normalizer", "yaml")

SCANNER_FOLDERS = "cache/scanners"
SYSTEM_PYTHON = "/usr/bin/python3"
MAIN = "import sys\n\nfrom runner.cli import main\n\nsys.exit(main(sys.argv[1:]))\n"


def runner_mount(home: Path) -> Mount:
    """The dyno side of the checks, as a folder that Python can run."""
    return Mount(target=RUNNER, source=_runner(home))


def ruff_mount(home: Path) -> Mount:
    """The ruff binary."""
    return Mount(target=RUFF, source=_ruff(home))


def squawk_mount(home: Path) -> Mount:
    """The squawk binary."""
    return Mount(target=SQUAWK, source=_squawk(home))


def scanner_folder(home: Path, name: str) -> Path:
    """Where the operator has installed the tool of an optional scanner: a virtual environment of its own."""
    return home / SCANNER_FOLDERS / name


def scanner_mounts(home: Path, names: Iterable[str]) -> dict[str, Mount]:
    """Of the named optional scanners those that are installed, by their names."""
    found = (name for name in names if (scanner_folder(home, name) / "bin").is_dir())
    return {name: Mount(target=f"{SCANNERS}/{name}", source=f"{SCANNER_FOLDERS}/{name}") for name in found}


def secrets_mount(home: Path) -> Mount:
    """detect-secrets with what it imports, as a folder of packages."""
    return Mount(target=SECRETS, source=_packages(home, "detect-secrets", SECRETS_PACKAGES))


def out_mount() -> Mount:
    """The dyno's own folder for its result."""
    return Mount(target=OUT, source="scratch:out", mode="rw")


def ruff_version() -> str:
    """The version of the ruff that scans."""
    return version("ruff")


def python() -> tuple[str, tuple[Mount, ...]]:
    """The interpreter for the platform's own scripts, and what must be mounted for it: none for that of the system."""
    if os.access(SYSTEM_PYTHON, os.X_OK):
        return SYSTEM_PYTHON, ()
    prefix = sys.base_prefix
    name = f"bin/python{sys.version_info.major}.{sys.version_info.minor}"
    return f"{prefix}/{name}", (Mount(target=prefix, source=prefix),)


@lru_cache
def _sources() -> tuple[tuple[Path, ...], str]:
    """The files of the runner package and their common digest."""
    sources = tuple(sorted(INSIDE.rglob("*.py")))
    return sources, hashlib.sha256(b"\0".join(file.read_bytes() for file in sources)).hexdigest()[:16]


def _runner(home: Path) -> str:
    """Copy the runner package to ``cache/tools/runner-<digest>`` unless it is there; that path, relative to home."""
    sources, digest = _sources()

    def fill(folder: Path) -> None:
        package = folder / "runner"
        for file in sources:
            target = package / file.relative_to(INSIDE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
        (folder / "__main__.py").write_text(MAIN)
        for file in package.rglob("*.py"):
            py_compile.compile(str(file), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)

    return _place(home, f"cache/tools/runner-{digest}", fill)


def _ruff(home: Path) -> str:
    """Copy ruff to ``cache/tools/ruff-<version>/ruff`` unless it is there."""

    def fill(folder: Path) -> None:
        shutil.copyfile(find_ruff_bin(), folder / "ruff")
        (folder / "ruff").chmod(0o755)

    return f"{_place(home, f'cache/tools/ruff-{ruff_version()}', fill)}/ruff"


def _squawk(home: Path) -> str:
    """Copy squawk to ``cache/tools/squawk-<version>/squawk`` unless it is there."""

    def fill(folder: Path) -> None:
        shutil.copyfile(_squawk_binary(), folder / "squawk")
        (folder / "squawk").chmod(0o755)

    return _place(home, f"cache/tools/squawk-{version('squawk-cli')}", fill) + "/squawk"


def _squawk_binary() -> Path:
    """The binary among the files of the package squawk-cli."""
    for file in files("squawk-cli") or ():
        if file.name in ("squawk", "squawk.exe"):
            return Path(str(file.locate()))
    raise PlatformError("The package squawk-cli is not installed.", hint="reinstall Greenroom with pip")


def _packages(home: Path, name: str, packages: tuple[str, ...]) -> str:
    """Copy pure Python packages of Greenroom's own environment to ``cache/tools/<name>-<version>``; compiled parts stay
    behind.
    """

    def fill(folder: Path) -> None:
        for package in packages:
            spec = find_spec(package)
            if spec is None or spec.origin is None:
                raise PlatformError(f"The package {package} is not installed.", hint="reinstall Greenroom with pip")
            leave = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
            shutil.copytree(Path(spec.origin).parent, folder / package, ignore=leave)

    return _place(home, f"cache/tools/{name}-{version(name)}", fill)


def _place(home: Path, name: str, fill: Callable[[Path], None]) -> str:
    """Make the folder unless it is there. Returns its name relative to home."""
    atomic.folder(home / name, fill)
    return name
