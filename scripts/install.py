"""Makes the virtual environment of the checkout from requirements.lock; run by ``make install`` with any Python 3.11 or
newer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(folder: Path) -> int:
    """Make the environment, with uv for the packages since it is several times faster than pip.

    Compiled at once, as pip does: as root, web and worker run as a user who may not write here and would compile all at
    each start.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - run by whatever python3 there is
        print(
            f"Greenroom needs Python 3.11 or newer; this is {sys.version.split()[0]}.\nhint: make"
            " PYTHON=python3.12 ...",
            file=sys.stderr,
        )
        return 1
    print(f"-----> Making {folder} (first time: downloads the packages)", flush=True)
    venv.create(folder, with_pip=True, clear=folder.exists())
    python = folder / "bin" / "python"
    lock = ROOT / "requirements.lock"
    pin = next(line.split(" ")[0] for line in lock.read_text().splitlines() if line.startswith("uv=="))
    run([python, "-m", "pip", "install", "-q", "--disable-pip-version-check", pin])
    run(
        [folder / "bin" / "uv", "pip", "sync", "-q", "--compile-bytecode", "--python", python, "--require-hashes", lock]
    )
    run([folder / "bin" / "uv", "pip", "install", "-q", "--python", python, "--no-deps", "-e", ROOT])
    return 0


def run(argv: list[object]) -> None:
    """Run a command; its failure ends the installation with its own words."""
    env = {"UV_SYSTEM_CERTS": "1", **os.environ}  # the host knows which certificates its package index has
    result = subprocess.run([str(word) for word in argv], env=env, check=False)
    if result.returncode:
        sys.exit(result.returncode)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
