"""``make test``: everything. Gets a browser if there is none and says so (chromium.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import IO

import chromium

ROOT = Path(__file__).resolve().parent.parent
SAMPLE = ROOT / "samples" / "payslip"
TOOLS = ROOT / ".tools"
AXE = "4.14.1"


INSTALLATIONS = ("tests/stories", "tests/contracts/heroku_cli")
"""Tests on an installation, which keeps both cores of a small machine busy: they run after the others, file by file in
two processes.
"""
FILES = ("--dist", "loadfile", "--no-loadscope-reorder")
"""Each file in one process, in the order of tests/conftest.py: the slow ones first."""
ROOMS = ("-n", "3", *FILES, "--durations=30")
STORIES = ("-n", "2", *FILES, "--durations=60")


def main() -> int:
    """The sample's suite with its browser tests beside the rooms, then the stories; the exit code is the worst of them.
    Arguments are pytest's.
    """
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    pytest = [sys.executable, "-m", "pytest"]
    if sys.argv[1:]:
        return run([*pytest, *sys.argv[1:]], ROOT)
    TOOLS.mkdir(exist_ok=True)
    prepared = prepare_sample()
    rooms = [*pytest, *ROOMS, *(f"--ignore={folder}" for folder in INSTALLATIONS)]
    with ThreadPoolExecutor(1) as beside, (TOOLS / "sample.log").open("w+") as log:
        other = beside.submit(timed, "the sample", lambda: sample(*prepared, log))
        codes = [timed("the rooms", lambda: run(rooms, ROOT)), other.result()]
        log.seek(0)
        shutil.copyfileobj(log, sys.stdout)
    codes.append(timed("stories and the Heroku CLI", lambda: run([*pytest, *STORIES, *INSTALLATIONS], ROOT)))
    return max(codes)


def timed(name: str, part: Callable[[], int]) -> int:
    """Carry out a part, and print how it ended and what it took; its exit code."""
    began = time.monotonic()
    code = part()
    took = time.monotonic() - began
    print(f"\n-----> {name}: {'failed' if code else 'passed'} in {took:.0f} s\n", flush=True)
    return code


def run(argv: list[str], folder: Path, log: IO[str] | None = None, **env: str) -> int:
    """Run a command in a folder, with its output in ``log`` if there is one; its exit code."""
    found = {**os.environ, **env}
    return subprocess.run(argv, cwd=folder, env=found, stdout=log, stderr=log, check=False).returncode


def prepare_sample() -> tuple[str, str, str]:
    """Install what the sample's tests need: its Python, a browser, and axe-core; empty for what is missing."""
    python, browser = sample_environment(), chromium.get(TOOLS)
    return python, browser, axe() if browser else ""


def sample(python: str, browser: str, axe_path: str, log: IO[str]) -> int:
    """The payslip application's own tests and scenarios, and its pages in a real browser: beside the rooms, since
    they leave the processors idle half of the time.
    """
    env = {
        "SECRET_KEY": "only-for-tests-0123456789-0123456789-0123456789",
        "DATABASE_URL": f"sqlite:///{TOOLS}/sample.sqlite3",
    }
    pytest = [python, "-m", "pytest", "-q"]
    code = run([python, "manage.py", "test"], SAMPLE, log, **env)
    code = max(code, run([*pytest, "scenarios"], SAMPLE, log, **env))
    if not browser:
        return code
    env |= {"AXE_PATH": axe_path, "CHROMIUM_PATH": browser}
    return max(code, run([*pytest, "browser_tests"], SAMPLE, log, **env))


def sample_environment() -> str:
    """``.tools/sample``: the application's locked requirements, and what drives the browser. Its Python's path."""
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
    """Where axe-core's script is; empty where npm is missing: the accessibility checks are then skipped, and say so."""
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
