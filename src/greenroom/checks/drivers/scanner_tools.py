"""Installs the tools of optional scanners, each in its own virtual environment below ``<home>/cache/scanners``.

The operator runs ``python -m greenroom.checks.drivers.scanner_tools HOME list`` or ``HOME install NAME``. No Django, no
database.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

from greenroom.basics.errors import GreenroomError, PlatformError, UserError
from greenroom.checks.drivers import tools
from greenroom.checks.inside import scanners
from greenroom.engine import host_python


def listed(home: Path) -> list[dict[str, object]]:
    """[{name, requirement, installed}] for all scanners."""
    rows = (scanners.find(name) for name in scanners.names())
    return [
        {"name": row.name, "requirement": row.requirement, "installed": _there(tools.scanner_folder(home, row.name))}
        for row in rows
    ]


def _there(folder: Path) -> bool:
    return (folder / "bin" / "python").exists()


def install(home: Path, name: str) -> Path:
    """Install the tool next to the old version, then replace that atomically. Returns the folder. Raises UserError for
    an unknown name, PlatformError if the installation fails.
    """
    if name not in scanners.names():
        raise UserError(
            f"Unknown scanner {name[:60]}. Available: {', '.join(scanners.names())}.", hint="greenroom scanners"
        )
    target = tools.scanner_folder(home, name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.parent.chmod(0o755)
    fresh = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=target.parent))
    try:
        _uv("venv", "--relocatable", "--python", host_python.find()[0], "--allow-existing", str(fresh / "new"))
        _uv("pip", "install", "--python", str(fresh / "new" / "bin" / "python"), scanners.find(name).requirement)
        (fresh / "new").chmod(0o755)
        if target.exists():
            target.rename(fresh / "old")
        (fresh / "new").rename(target)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return target


def _uv(*words: str) -> None:
    done = subprocess.run(
        [find_uv_bin(), "--quiet", "--no-config", *words],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        check=False,
        cwd="/",
    )
    if done.returncode:
        said = done.stderr.strip()[-1500:]
        raise PlatformError(
            f"Installation failed:\n{said}", hint="check the package index; UV_DEFAULT_INDEX sets another"
        )


def main(argv: list[str]) -> int:
    """Run one of the two commands. Prints errors with a hint to standard error."""
    home, words = Path(argv[0]), argv[1:]
    try:
        if words[0] == "list":
            print(json.dumps(listed(home)))
        else:
            folder = install(home, words[1])
            print(
                f"{words[1]} is installed in {folder}. An app enables it in greenroom.toml: [scan] scanners ="
                f' ["{words[1]}"]'
            )
    except GreenroomError as error:
        print(f"{error.message}\nhint: {error.hint}" if error.hint else error.message, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
