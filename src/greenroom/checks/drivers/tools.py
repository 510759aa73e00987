"""Copies tools for dynos to ``<home>/cache/tools``, content-addressed, where the engine can mount them.

An app's system user may lack access to the folder of a virtual environment, but always has access to Greenroom's home.
"""

from __future__ import annotations

import hashlib
import py_compile
import shutil
from collections.abc import Callable, Iterable
from functools import lru_cache
from importlib.metadata import files, version
from importlib.util import find_spec
from pathlib import Path

from ruff import find_ruff_bin

from greenroom.basics import atomic
from greenroom.basics.errors import PlatformError
from greenroom.engine import names
from greenroom.engine.contract import Mount

RUNNER = "/greenroom/runner"
INSIDE = Path(__file__).parent.parent / "inside"
RUFF = "/greenroom/ruff"
SECRETS = "/greenroom/secrets"
SQUAWK = "/greenroom/squawk"
SCANNERS = "/greenroom/scanners"
OUT = "/greenroom/out"
"""Paths inside the checks' dynos: runner, tools, result folder."""

SECRETS_PACKAGES = ("detect_secrets", "requests", "urllib3", "idna", "certifi", "charset_normalizer", "yaml")

FOLDER, SCANNER_FOLDERS = "cache/tools", "cache/scanners"
MAIN = "import sys\n\nfrom runner.cli import main\n\nsys.exit(main(sys.argv[1:]))\n"


def runner_mount(home: Path) -> Mount:
    """The mount of ``checks/inside`` as a runnable Python folder."""
    return Mount(target=RUNNER, source=names.tool(_runner(home)))


def ruff_mount(home: Path) -> Mount:
    """The mount of the ruff binary."""
    return Mount(target=RUFF, source=names.tool(_ruff(home), "ruff"))


def squawk_mount(home: Path) -> Mount:
    """The mount of the squawk binary."""
    return Mount(target=SQUAWK, source=names.tool(_squawk(home), "squawk"))


def scanner_folder(home: Path, name: str) -> Path:
    """The virtual environment of an optional scanner's tool."""
    return home / SCANNER_FOLDERS / name


def scanner_mounts(home: Path, wanted: Iterable[str]) -> dict[str, Mount]:
    """name -> mount of each named optional scanner that is installed."""
    found = (name for name in wanted if (scanner_folder(home, name) / "bin").is_dir())
    return {name: Mount(target=f"{SCANNERS}/{name}", source=names.scanner(name)) for name in found}


def secrets_mount(home: Path) -> Mount:
    """The mount of detect-secrets and its dependencies, as a package folder."""
    return Mount(target=SECRETS, source=names.tool(_packages(home, "detect-secrets", SECRETS_PACKAGES)))


def out_mount() -> Mount:
    """The mount of the dyno's result folder."""
    return Mount(target=OUT, source="scratch:out", mode="rw")


def ruff_version() -> str:
    """The version of the scanning ruff."""
    return version("ruff")


@lru_cache
def _sources() -> tuple[tuple[Path, ...], str]:
    """The files of the runner package and their digest."""
    sources = tuple(sorted(INSIDE.rglob("*.py")))
    return sources, hashlib.sha256(b"\0".join(file.read_bytes() for file in sources)).hexdigest()[:16]


def _runner(home: Path) -> str:
    """Copy the runner package to ``cache/tools/runner-<digest>`` if missing. Returns the folder's name."""
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

    return _place(home, f"runner-{digest}", fill)


def _ruff(home: Path) -> str:
    """Copy ruff to ``cache/tools/ruff-<version>/ruff`` if missing."""

    def fill(folder: Path) -> None:
        shutil.copyfile(find_ruff_bin(), folder / "ruff")
        (folder / "ruff").chmod(0o755)

    return _place(home, f"ruff-{ruff_version()}", fill)


def _squawk(home: Path) -> str:
    """Copy squawk to ``cache/tools/squawk-<version>/squawk`` if missing."""

    def fill(folder: Path) -> None:
        shutil.copyfile(_squawk_binary(), folder / "squawk")
        (folder / "squawk").chmod(0o755)

    return _place(home, f"squawk-{version('squawk-cli')}", fill)


def _squawk_binary() -> Path:
    """The binary of the package squawk-cli."""
    for file in files("squawk-cli") or ():
        if file.name in ("squawk", "squawk.exe"):
            return Path(str(file.locate()))
    raise PlatformError("The package squawk-cli is not installed.", hint="reinstall Greenroom with pip")


def _packages(home: Path, name: str, packages: tuple[str, ...]) -> str:
    """Copy packages of Greenroom's environment to ``cache/tools/<name>-<version>``, without compiled files."""

    def fill(folder: Path) -> None:
        for package in packages:
            spec = find_spec(package)
            if spec is None or spec.origin is None:
                raise PlatformError(f"The package {package} is not installed.", hint="reinstall Greenroom with pip")
            leave = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd")
            shutil.copytree(Path(spec.origin).parent, folder / package, ignore=leave)

    return _place(home, f"{name}-{version(name)}", fill)


def _place(home: Path, name: str, fill: Callable[[Path], None]) -> str:
    """Create the tool's folder if it is missing. Returns its name."""
    atomic.folder(home / FOLDER / name, fill)
    return name
