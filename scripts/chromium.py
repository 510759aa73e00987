"""Finds Chromium for the browser tests of ``make test``, or installs it and prints that it does.

``CHROMIUM=/path`` selects an executable; ``GREENROOM_TEST_INSTALL=no`` disables installation and download.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APT = ("apt-get", "install", "-qy", "--no-install-recommends", "chromium")
DOWNLOAD_SECONDS = 600
SKIPPED = "!!! No Chromium: THE BROWSER TESTS ARE SKIPPED !!!"


def find(tools: Path) -> str:
    """The path of an executable: from CHROMIUM, from the system, or from an earlier download; else ""."""
    if named := os.environ.get("CHROMIUM"):
        if path := shutil.which(named):
            return path
        raise SystemExit(f"CHROMIUM is {named!r}, which is not an executable\nhint: unset CHROMIUM")
    installed = next((path for name in NAMES if (path := shutil.which(name))), "")
    return installed or _downloaded(tools)


def get(tools: Path) -> str:
    """The path of a Chromium, installed or downloaded into ``tools`` if there is none; "" if that is not possible."""
    if path := find(tools):
        return path
    if os.environ.get("GREENROOM_TEST_INSTALL", "").lower() == "no":
        _say(f"{SKIPPED} GREENROOM_TEST_INSTALL=no forbids to get one.", "hint: CHROMIUM=/path/to/chromium make test")
        return ""
    if os.geteuid() == 0 and shutil.which("apt-get"):
        _install()
    if not find(tools):
        _download(tools)
    if not (path := find(tools)):
        _say(SKIPPED, "hint: install chromium, or CHROMIUM=/path/to/chromium make test")
    return path


def _say(*lines: str) -> None:
    print("\n" + "\n".join(lines) + "\n", flush=True)


def _install() -> None:
    """Install with the system's package manager. Its output is shown if it fails."""
    _say(
        f"-----> Installing the package chromium into this system: {' '.join(APT)}",
        "       The browser tests of samples/payslip need a Chromium, and there is none. To forbid it:",
        "       GREENROOM_TEST_INSTALL=no make test. To use another: CHROMIUM=/path/to/chromium make test.",
    )
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for argv in (("apt-get", "update", "-q"), APT):
        done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    if done.returncode:
        _say(f"apt-get ended with exit code {done.returncode}:", *done.stdout.splitlines()[-5:])


def _download(tools: Path) -> None:
    """Download Playwright's own build into ``tools``; needs no root."""
    folder = tools / "browsers"
    _say(f"-----> Downloading Playwright's Chromium into {folder}: there is no other for the browser tests.")
    env = {**os.environ, "PLAYWRIGHT_BROWSERS_PATH": str(folder)}
    argv = [sys.executable, "-m", "playwright", "install", "chromium"]
    try:
        code = subprocess.run(argv, env=env, timeout=DOWNLOAD_SECONDS, check=False).returncode
    except subprocess.TimeoutExpired:
        code = -1
    if code:
        _say("The download failed.")


def _downloaded(tools: Path) -> str:
    """The path of a complete Playwright download in ``tools``; "" if there is none."""
    for mark in sorted((tools / "browsers").glob("chromium-*/INSTALLATION_COMPLETE")):
        for path in sorted(mark.parent.glob("chrome-linux*/chrome")):
            return str(path)
    return ""
