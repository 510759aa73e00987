"""Creates the virtual environment of the checkout from requirements.lock; run by ``make install`` with any Python 3.11
or newer.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main(folder: Path) -> int:
    """Create the environment. The packages are installed with uv, which is several times faster than pip.

    Bytecode is compiled at once, as pip does: in a root installation, web and worker run as a user without write access
    and would compile everything at each start.
    """
    if sys.version_info < (3, 11):  # noqa: UP036 - run by any python3
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
    """Run a command; if it fails, exit with its code."""
    env = {"UV_SYSTEM_CERTS": "1", **os.environ}  # the host trusts the certificates of its package index
    result = subprocess.run([str(word) for word in argv], env=env, check=False)
    if result.returncode:
        sys.exit(result.returncode)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
