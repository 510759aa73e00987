"""The package sources of a Debian host, for the dynos that download packages: copies of its lists of repositories, keys
and installed packages. No credentials: ``auth.conf`` stays where it is.
"""

from __future__ import annotations

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from greenroom.basics import atomic, processes
from greenroom.builds.drivers import tools
from greenroom.engine import names
from greenroom.engine.contract import Mount

PLACE = "/greenroom/apt"
PROGRAMS = ("/usr/bin/apt-get", "/usr/bin/apt-config", "/usr/bin/dpkg-deb")
ETC, STATUS = Path("/etc/apt"), Path("/var/lib/dpkg/status")
PARTS = {"sources.list.d": (".list", ".sources"), "trusted.gpg.d": (".gpg", ".asc"), "keyrings": (".gpg", ".asc"),
         "preferences.d": ("",)}  # fmt: skip
"""Folders of /etc/apt -> endings of the files in them that are copied."""
FILES = ("sources.list", "trusted.gpg", "preferences")
SETTING = re.compile(
    r"Acquire::(?:https?::(?!Proxy)[A-Za-z:-]{0,80}|Retries|Check-Valid-Until|Check-Date) \"[^\"\\]{0,200}\";\Z"
)
"""Settings of the operator's apt that matter to a download. Its proxy does not: a dyno has its own."""
LARGEST = 50_000_000


def available() -> bool:
    """Whether this host has apt."""
    return all(os.access(program, os.X_OK) for program in PROGRAMS) and STATUS.is_file()


def folder(home: Path) -> str:
    """The tool's folder with the copies, made if they have changed."""
    found = _contents()
    total = hashlib.sha256()
    for name in sorted(found):
        total.update(b"%s\0%d\0%s" % (name.encode(), len(found[name]), found[name]))
    return _placed(home, f"apt-{total.hexdigest()[:16]}", found)


def _placed(home: Path, name: str, found: dict[str, bytes]) -> str:
    def fill(draft: Path) -> None:
        for part in PARTS:
            (draft / part).mkdir(mode=0o755)
        for path, data in found.items():
            (draft / path).write_bytes(data)
            (draft / path).chmod(0o644)

    atomic.folder(home / tools.FOLDER / name, fill)
    return name


def mount(name: str) -> Mount:
    """The mount of the copies."""
    return Mount(target=PLACE, source=names.tool(name))


def _contents() -> dict[str, bytes]:
    """Relative path -> content; the paths of keys in /etc are those in the dyno."""
    found = {"status": _read(STATUS), "apt.conf": _settings().encode()}
    for name in FILES:
        if (ETC / name).is_file():
            found[name] = _moved(_read(ETC / name), name)
    for part, endings in PARTS.items():
        for path in sorted((ETC / part).iterdir()) if (ETC / part).is_dir() else ():
            if path.name.endswith(endings) and path.is_file() and os.access(path, os.R_OK):
                found[f"{part}/{path.name}"] = _moved(_read(path), path.name)
    return found


def _moved(data: bytes, name: str) -> bytes:
    return data.replace(b"/etc/apt/", f"{PLACE}/".encode()) if name.endswith((".list", ".sources")) else data


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LARGEST)


@lru_cache(maxsize=1)
def _settings() -> str:
    """The operator's settings of downloads, as a configuration file."""
    env = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    try:
        done = processes.run([PROGRAMS[1], "dump", "Acquire"], timeout=10, env=env, cwd="/", limit=200_000)
    except OSError:
        return ""
    lines = done.out.decode("utf-8", "replace").splitlines()
    return "".join(f"{line}\n" for line in lines if SETTING.match(line))
