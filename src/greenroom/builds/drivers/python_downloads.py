"""Downloads interpreters that the host lacks into ``<home>/cache/python``, with uv, in the background.

The operator chooses the source: UV_PYTHON_INSTALL_MIRROR and UV_PYTHON_DOWNLOADS_JSON_URL of the worker's environment
apply, as do proxies. A failed version is not retried for an hour. Installed interpreters are complete: uv unpacks into
a temporary folder and renames it, under a lock.
"""

from __future__ import annotations

import os
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from pathlib import Path

from uv import find_uv_bin

from greenroom.basics import processes
from greenroom.buildpacks.drivers.interpreters import FOLDER

SETTING = "GREENROOM_PYTHON_DOWNLOADS"
"""Name of the worker's environment variable; ``never`` restricts builds to the host's interpreters."""
SECONDS = 300.0
PATIENCE = 0.3
"""Seconds that one call may wait for the end of the download."""
AGAIN = 3600.0
PASSED = (
    "UV_PYTHON_INSTALL_MIRROR",
    "UV_PYTHON_DOWNLOADS_JSON_URL",
    "UV_INSECURE_HOST",
    "UV_HTTP_TIMEOUT",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
)
_lock = threading.Lock()
"""Guards ``_fetches`` and ``_failed``: threads of deliveries and test runs may wait for the same version."""
_pool = ThreadPoolExecutor(max_workers=1, thread_name_prefix="python")
_fetches: dict[tuple[Path, str], Future[str]] = {}
_failed: dict[tuple[Path, str], tuple[float, str]] = {}


def allowed() -> bool:
    """Whether interpreters may be downloaded."""
    return os.environ.get(SETTING, "").lower() not in ("never", "0", "false", "no")


def why_not(home: Path, version: str) -> str:
    """Why the download of this version failed within the last hour; empty if it was not tried or may be retried."""
    moment, why = _failed.get((home, version), (0.0, ""))
    return why if time.monotonic() - moment < AGAIN else ""


def fetch(home: Path, version: str, *, eager: bool) -> bool:
    """Start downloading ``3.N`` or ``3.N.N`` unless a download is in progress. True if it has ended; see ``why_not``
    for its error. May start again after a crash.

    eager: the build cannot continue without it, so it tolerates a slow network.
    """
    key = (home, version)
    with _lock:
        future = _fetches.get(key) or _pool.submit(_install, home, version, eager)
        _fetches[key] = future
    try:
        why = future.result(timeout=PATIENCE)
    except StillRunning:
        return False
    with _lock:
        if _fetches.get(key) is future:  # the first waiting thread removes it; another download may be running
            del _fetches[key]
            if why:
                _failed[key] = (time.monotonic(), why)
            else:
                _failed.pop(key, None)
    return True


def _install(home: Path, version: str, eager: bool) -> str:
    """Return the error, or an empty text if the interpreter is installed."""
    folder = home / FOLDER
    try:
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o755)
        argv = [find_uv_bin(), "python", "install", "--no-bin", "--no-config", "--no-progress", f"cpython@{version}"]
        done = processes.run(argv, timeout=SECONDS, env=_environment(home, eager), cwd="/", limit=100_000)
    except OSError as error:
        return f"uv could not be run: {error.strerror}"
    if done.timed_out:
        return f"it did not finish within {SECONDS:.0f} s"
    return "" if done.code == 0 else reason(done.err.decode("utf-8", "replace"))


def _environment(home: Path, eager: bool) -> dict[str, str]:
    passed = {name: os.environ[name] for name in PASSED if os.environ.get(name)}
    patience = (
        {"UV_HTTP_CONNECT_TIMEOUT": "15", "UV_HTTP_RETRIES": "3"}
        if eager
        else {"UV_HTTP_CONNECT_TIMEOUT": "4", "UV_HTTP_RETRIES": "0"}
    )
    return {
        **passed,
        **patience,
        "HOME": "/nonexistent",
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "UV_SYSTEM_CERTS": "1",
        "UV_PYTHON_INSTALL_DIR": str(home / FOLDER),
        "UV_CACHE_DIR": str(home / FOLDER / ".cache"),
        "UV_PYTHON_DOWNLOADS": "manual",
    }


def reason(text: str) -> str:
    """The first and last line of uv's error, without the repeated URL."""
    lines = [line.strip().removeprefix("error: ").removeprefix("cause: ") for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if not line.startswith(("error sending request", "Downloading ", "Downloaded "))]
    return "; ".join(dict.fromkeys([*telling[:2], *telling[-1:]]))[:500] or "uv gave no reason"
