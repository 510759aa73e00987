"""A home for tests of the host process, a disk of a few megabytes, and components that only sleep."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from greenroom_cli.host import processes, unlisted_processes
from greenroom_cli.host.components import Component

SLEEPER = "import time; time.sleep(600)"


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """A home with its folders; its processes are killed at the end."""
    yield from _home(tmp_path / "home")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A home on a file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root: it mounts a small file system")
    folder = tmp_path / "disk"
    folder.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        yield from _home(folder / "home")
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def _home(home: Path) -> Iterator[Path]:
    for name in ("run", "logs"):
        (home / name).mkdir(parents=True)
    try:
        yield home
    finally:
        for name in ("caddy", "supervisor", "web", "worker", "postgres", "host"):
            if name != "host" or processes.known(home, name) != processes.identity(os.getpid()):
                processes.stop(home, name, signal.SIGKILL, 5)
        for rows in unlisted_processes.components(home).values():
            processes.end(rows, signal.SIGKILL, 5)


@pytest.fixture
def sleeper() -> Callable[..., Component]:
    """Creates a component that sleeps, or runs other code, and is ready at once by default."""

    def make(
        name: str, code: str = SLEEPER, *, ready: Callable[[], bool] = lambda: True, patience: float = 10.0
    ) -> Component:
        return Component(name, (sys.executable, "-c", code), ready, {"PATH": "/usr/bin:/bin"}, patience=patience)

    return make


def fill(home: Path) -> Path:
    """Fill the home's disk completely; returns the file to remove afterwards."""
    filler = home / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 12, 1):
            try:
                while file.write(b"x" * size):
                    pass
            except OSError:
                continue
    return filler
