"""``make test``: runs all tests. Installs a browser if there is none and prints that it does (chromium.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import chromium

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples" / "payslip"
TOOLS = ROOT / ".tools"
AXE = "4.14.1"


INSTALLATIONS = ("tests/stories", "tests/contracts/heroku_cli")
"""Tests on an installation, which uses both cores of a small machine: they run after the others, file by file in two
processes.
"""
FILES = ("--dist", "loadfile", "--no-loadscope-reorder", "--max-worker-restart", "1")
"""Each file in one process, in the order of tests/conftest.py: the slow ones first. When a process ends in the middle
of a test (tests/hangs.py), that test has failed and another process does the rest; the second time, the run ends.
"""
ROOMS = ("-n", "3", *FILES, "--durations=30")
STORIES = ("-n", "2", *FILES, "--durations=60")


def main() -> int:
    """Run the sample's suite, its browser tests, Greenroom's own, then the stories; returns the highest exit code.
    Arguments are passed to pytest.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    pytest = [sys.executable, "-m", "pytest"]
    if sys.argv[1:]:
        return run([*pytest, *sys.argv[1:]], ROOT)
    TOOLS.mkdir(exist_ok=True)
    parts: dict[str, Callable[[], int]] = {
        "the sample": sample,
        "the rooms": lambda: run([*pytest, *ROOMS, *(f"--ignore={folder}" for folder in INSTALLATIONS)], ROOT),
        "stories and the Heroku CLI": lambda: run([*pytest, *STORIES, *INSTALLATIONS], ROOT),
    }
    codes = {}
    for name, part in parts.items():
        began = time.monotonic()
        codes[name] = part()
        print(
            f"\n-----> {name}: {'failed' if codes[name] else 'passed'} in {time.monotonic() - began:.0f} s\n",
            flush=True,
        )
    return max(codes.values())


def run(argv: list[str], folder: Path, **env: str) -> int:
    """Run a command in a folder; returns its exit code."""
    return subprocess.run(argv, cwd=folder, env={**os.environ, **env}, check=False).returncode


def sample() -> int:
    """Run the payslip application's tests and scenarios in a separate environment, and its pages in a real browser."""
    python = sample_environment()
    env = {
        "SECRET_KEY": "only-for-tests-0123456789-0123456789-0123456789",
        "DATABASE_URL": f"sqlite:///{TOOLS}/sample.sqlite3",
    }
    code = run([python, "manage.py", "test"], SAMPLE, **env)
    code = max(code, run([python, "-m", "pytest", "-q", "scenarios"], SAMPLE, **env))
    if not (browser := chromium.get(TOOLS)):
        return code
    env |= {"AXE_PATH": axe(), "CHROMIUM_PATH": browser}
    return max(code, run([python, "-m", "pytest", "-q", "browser_tests"], SAMPLE, **env))


def sample_environment() -> str:
    """``.tools/sample``: the application's locked requirements and the browser driver. Returns its Python's path."""
    folder, uv = TOOLS / "sample", str(Path(sys.executable).parent / "uv")
    os.environ.setdefault("UV_SYSTEM_CERTS", "1")
    python = str(folder / "bin" / "python")
    if not Path(python).exists():
        subprocess.run([uv, "venv", "-q", "--python", sys.executable, str(folder)], check=True)
    files = [word for name in ("requirements.txt", "requirements-test.txt") for word in ("-r", str(SAMPLE / name))]
    install = [uv, "pip", "install", "-q", "--python", python]
    subprocess.run([*install, *files], check=True)
    tools = [f"{name}=={version(name)}" for name in ("playwright", "pytest", "ruff")]
    subprocess.run([*install, *tools], check=True)
    return python


def axe() -> str:
    """The path of axe-core's script; empty without npm: the accessibility checks are then skipped with a message."""
    path = TOOLS / "node_modules" / "axe-core" / "axe.min.js"
    npm = shutil.which("npm")
    if npm and not path.exists():
        TOOLS.mkdir(exist_ok=True)
        run(
            [npm, "install", "--silent", "--no-save", "--no-package-lock", "--prefix", str(TOOLS), f"axe-core@{AXE}"],
            ROOT,
        )
    return str(path) if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
