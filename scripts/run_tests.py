"""``make test``: everything. Gets a browser if the system's package manager may, else says loudly that its tests are skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> int:
    """Run the suite and the sample's own suite; the exit code is the worst of them."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    extra = [] if browser() else ["-m", "not browser"]
    codes = [pytest(*extra, *sys.argv[1:])]
    return max(codes)


def pytest(*words: str) -> int:
    """pytest with the checkout as its folder."""
    return subprocess.run([sys.executable, "-m", "pytest", *words], cwd=ROOT, check=False).returncode


def browser() -> bool:
    """Whether there is a Chromium, after having tried to install it."""
    if shutil.which("chromium"):
        return True
    if os.geteuid() == 0 and shutil.which("apt-get"):
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for words in (["update", "-q"], ["install", "-qy", "--no-install-recommends", "chromium"]):
            subprocess.run(
                ["apt-get", *words], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
            )
    if shutil.which("chromium"):
        return True
    print("\n!!! Chromium is not here and could not be installed: THE BROWSER TESTS ARE SKIPPED !!!\n", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
