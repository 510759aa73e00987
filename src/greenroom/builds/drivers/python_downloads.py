"""Downloads interpreters that the host lacks into ``<home>/cache/python``, with uv, in the background.

The operator chooses the source: UV_PYTHON_INSTALL_MIRROR and UV_PYTHON_DOWNLOADS_JSON_URL of the worker's environment
apply, as do proxies. A failed version is not retried for an hour. Installed interpreters are complete: uv unpacks into
a temporary folder and renames it, under a lock.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from uv import find_uv_bin

from greenroom.basics import processes
from greenroom.buildpacks.drivers.interpreters import FOLDER
from greenroom.builds.drivers import downloads
from greenroom.builds.drivers.downloads import Downloads

SETTING = "GREENROOM_PYTHON_DOWNLOADS"
"""Name of the worker's environment variable; ``never`` restricts builds to the host's interpreters."""
SECONDS = 300.0
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
_downloads = Downloads(ThreadPoolExecutor(max_workers=1, thread_name_prefix="python"))


def allowed() -> bool:
    """Whether interpreters may be downloaded."""
    return downloads.allowed(SETTING)


def why_not(home: Path, version: str) -> str:
    """Why the download of this version failed within the last hour; empty if it was not tried or may be retried."""
    return _downloads.why_not(home, version)


def fetch(home: Path, version: str, *, eager: bool) -> bool:
    """Start downloading ``3.N`` or ``3.N.N``, see ``Downloads.fetch``.

    eager: the build cannot continue without it, so it tolerates a slow network.
    """
    return _downloads.fetch(home, version, lambda: _install(home, version, eager))


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
