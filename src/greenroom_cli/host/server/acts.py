"""The acts of ``server:install`` and ``server:uninstall``: each is a value that says what it does and whether it is
still needed, so that a plan is printed without a change and a second run does nothing.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from greenroom.basics import atomic
from greenroom_cli.host.errors import HostError

RUNNING = Path("/run/systemd/system")
"""The folder that exists while systemd is the init system (sd_booted)."""
SECONDS = 700


@dataclass(frozen=True)
class Act:
    """One change: its description, whether it is needed, and the function that makes it."""

    text: str
    needed: bool
    do: Callable[[], object]


def write(path: Path, text: str, mode: int = 0o644) -> Act:
    """Write a file, if its content differs."""
    before = _read(path)
    verb = "replace" if before is not None else "create"

    def do() -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(path, text, mode=mode)

    return Act(f"{verb} {path}", before != text, do)


def write_once(path: Path, text: str, mode: int) -> Act:
    """Create a file that administrators edit later; an existing one is kept."""
    act = write(path, text, mode)
    return Act(f"create {path}", not path.exists(), act.do)


def remove(path: Path) -> Act:
    """Remove a file or a folder, if it exists. A folder of ours in /etc goes with its last file."""

    def do() -> None:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
            if path.parent.name == "greenroom":
                with contextlib.suppress(OSError):  # it is not empty
                    path.parent.rmdir()

    return Act(f"remove {path}", path.is_symlink() or path.exists(), do)


def systemctl(*words: str, needed: bool = True) -> Act:
    """Call systemctl. HostError with its message when it fails."""

    def do() -> None:
        run(["systemctl", *words], hint=f"systemctl status {words[-1]}; journalctl -u {words[-1]}")

    return Act(f"systemctl {' '.join(words)}", needed, do)


def run(argv: list[str], *, hint: str = "", env: Mapping[str, str] | None = None) -> str:
    """The output of a program. HostError when it fails."""
    try:
        done = subprocess.run(
            argv, capture_output=True, text=True, check=False, timeout=SECONDS, stdin=subprocess.DEVNULL, env=env
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise HostError(f"{argv[0]} failed: {error}.", hint) from error
    if done.returncode:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise HostError(f"{' '.join(argv)} failed: {lines[-1]}", hint)
    return done.stdout


def is_active(unit: str) -> bool:
    """Whether systemd runs the unit."""
    return booted() and _succeeds(["systemctl", "is-active", "--quiet", unit])


def is_enabled(unit: str) -> bool:
    """Whether systemd starts the unit at boot."""
    return shutil.which("systemctl") is not None and _succeeds(["systemctl", "is-enabled", "--quiet", unit])


def _succeeds(argv: list[str]) -> bool:
    return subprocess.run(argv, capture_output=True, check=False, timeout=60).returncode == 0


def booted() -> bool:
    """Whether systemd is the init system of this machine."""
    return RUNNING.is_dir() and shutil.which("systemctl") is not None


def _read(path: Path) -> str | None:
    try:
        return path.read_text()
    except OSError:
        return None


def carry_out(acts: list[Act], *, dry: bool, say: Callable[[str], None]) -> int:
    """Print each act and make it unless ``dry``; the number of those that were needed."""
    count = 0
    for act in acts:
        if not act.needed:
            say(f"  unchanged   {act.text}")
            continue
        count += 1
        say(f"  {'would' if dry else 'now':<9}   {act.text}")
        if not dry:
            act.do()
    return count


def need_root() -> None:
    """HostError for a user other than root."""
    if os.geteuid() != 0:
        raise HostError("A server installation needs root.", "run the command with sudo, or as root")
