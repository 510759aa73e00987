"""Installs uv, the dyno-side scripts and the operator's certificates where the engine can mount them:
``<home>/cache/tools``.

Content-addressed and created by a rename, so each entry is complete or absent. Uses no table.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import shutil
from collections.abc import Callable
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path

from uv import find_uv_bin

from greenroom.basics import atomic
from greenroom.buildpacks import inside as scripts
from greenroom.config_vars.drivers.encryption import master_key
from greenroom.engine import names
from greenroom.engine.contract import Mount

FOLDER = "cache/tools"
SCRIPTS = "/greenroom/compile"
UV = "/greenroom/uv"
CA = "ca.pem"
CERTIFICATES = f"/greenroom/{CA}"
INDEX_SETTINGS = {
    "UV_DEFAULT_INDEX": ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "PIP_INDEX_URL"),
    "UV_INDEX": ("UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_EXTRA_INDEX_URL"),
    "UV_FIND_LINKS": ("UV_FIND_LINKS", "PIP_FIND_LINKS"),
    "UV_HTTP_TIMEOUT": ("UV_HTTP_TIMEOUT", "PIP_DEFAULT_TIMEOUT"),
}
"""uv's setting -> the operator's environment variables for it; the first one set wins."""
CERTIFICATE_SETTINGS = ("SSL_CERT_FILE", "PIP_CERT", "REQUESTS_CA_BUNDLE", "NPM_CONFIG_CAFILE")
NPM_SECRET = re.compile(r"_auth(?:token)?\Z|_password\Z", re.IGNORECASE)


def script_mount(home: Path) -> Mount:
    """The mount of the scripts for build and install dynos."""
    return Mount(target=SCRIPTS, source=names.tool(_scripts(home)))


def uv_mount(home: Path) -> Mount:
    """The mount of the uv binary."""
    return Mount(target=UV, source=names.tool(_uv(home), "uv"))


def uv_version() -> str:
    """The version of uv."""
    return version("uv")


def seal(home: Path) -> str:
    """The key, in hex, with which the platform's installations seal files in the shared cache. Never passed to an app's
    dyno.
    """
    return hmac.new(master_key(home), b"greenroom shared cache", "sha256").hexdigest()


def index_settings() -> dict[str, str]:
    """The operator's package index from the worker's environment, as uv's settings. Omits folders, since no sandbox can
    access them.
    """
    found = {}
    for name, sources in INDEX_SETTINGS.items():
        value = next((os.environ[source] for source in sources if os.environ.get(source)), "")
        words = [word for word in value.replace(",", " ").split() if not word.startswith(("/", "file:", ".", "~"))]
        if words:
            found[name] = (" " if name == "UV_INDEX" else ",").join(words)
    return found


def npm_settings() -> dict[str, str]:
    """The operator's settings of npm from the worker's environment. Omits folders and files, since no sandbox can
    access them.
    """
    return {
        key: value
        for key, value in os.environ.items()
        if key.upper().startswith("NPM_CONFIG_") and value and not value.startswith(("/", "file:", ".", "~"))
    }


def npm_secrets() -> tuple[str, ...]:
    """Tokens and passwords in ``npm_settings``, to be masked everywhere."""
    return tuple(value for key, value in npm_settings().items() if NPM_SECRET.search(key))


def certificate_mounts(home: Path) -> tuple[tuple[Mount, ...], dict[str, str]]:
    """The operator's certificate authorities for the index, if set: the mount, and uv's variable."""
    for name in CERTIFICATE_SETTINGS:
        path = Path(os.environ.get(name) or "/nonexistent")
        if path.is_file():
            facts = path.stat()
            folder = _certificates(home, str(path), (facts.st_mtime_ns, facts.st_size))
            return (Mount(target=CERTIFICATES, source=names.tool(folder, CA)),), {"SSL_CERT_FILE": CERTIFICATES}
    return (), {}


@lru_cache
def _script_files() -> tuple[tuple[Path, ...], str]:
    files = tuple(sorted(Path(scripts.__file__).parent.glob("*.py")))
    return files, hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _scripts(home: Path) -> str:
    files, digest = _script_files()

    def fill(folder: Path) -> None:
        for file in files:
            _copy(file, folder / file.name, 0o644)

    return _place(home, f"compile-{digest}", fill)


def _uv(home: Path) -> str:
    def fill(folder: Path) -> None:
        _copy(Path(find_uv_bin()), folder / "uv", 0o755)

    return _place(home, f"uv-{uv_version()}", fill)


@lru_cache
def _certificates(home: Path, path: str, stamp: tuple[int, int]) -> str:
    digest = hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16]
    return _place(home, f"ca-{digest}", lambda folder: _copy(Path(path), folder / CA, 0o644))


def _copy(source: Path, target: Path, mode: int) -> None:
    shutil.copyfile(source, target)
    target.chmod(mode)


def _place(home: Path, name: str, fill: Callable[[Path], None]) -> str:
    """Create the tool's folder unless it exists. Returns its name."""
    atomic.folder(home / FOLDER / name, fill)
    return name
