"""Names in the contract: of dynos, of the artefacts that go into a dyno, and of the services that it reaches.

An artefact is named ``KIND:KEY``, wherever it lies: the engine finds it. Rooms make names with the functions below.

==========  =============================================================================================
``slug``    the files of a slug, by its digest
``env``     a Python environment or a layer of one, by its key
``source``  the tar of a commit, by its hash, or of a build whose hook changed it, by the build's id
``python``  an interpreter that Greenroom downloaded, ``cpython-3.12.8-linux-x86_64-gnu``
``host``    a folder of the machine itself, at an absolute path: an interpreter that the operator installed
``tool``    a tool or script of the platform, ``uv-0.9.1/uv``: name and version or digest, then a file of it
``scanner`` the environment of an optional scanner, by its name
``cache``   ``OWNER/NAME``: a folder that dynos of one owner (an app's id, or ``platform``) write and read again
``volume``  ``OWNER/NAME``: a folder that outlives the dynos of its owner, which write and read it
``scratch`` a folder of the dyno itself, created at its start and removed by ``forget``
==========  =============================================================================================

All but caches, volumes and scratch folders never change once they exist. A service is ``service:NAME``, or
``tcp:HOST:PORT`` for one that listens in the network.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from greenroom.engine.errors import EngineError

SERVICE, TCP = "service", "tcp"
_ID = re.compile(r"[a-z0-9][a-z0-9.-]{0,79}\Z")
_WORD = r"[A-Za-z0-9][A-Za-z0-9_-]{0,150}"
_VERSION = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,150}"
_KEYS = {
    "slug": r"[0-9a-f]{64}",
    "env": _WORD,
    "source": r"[0-9a-f]{40}|[0-9a-f]{32}",
    "python": _VERSION,
    "host": r"/.{1,500}",
    "tool": rf"{_VERSION}(?:/{_VERSION})?",
    "scanner": _WORD,
    "cache": rf"{_WORD}/{_WORD}",
    "volume": rf"{_WORD}/{_WORD}",
    "scratch": r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}",
    SERVICE: r"[a-z][a-z0-9-]{0,63}",
    TCP: r"(?:\[[0-9a-fA-F:.%a-z]{2,60}\]|[A-Za-z0-9._-]{1,253}):[0-9]{1,5}",
}
_PATTERNS = {kind: re.compile(rf"(?:{pattern})\Z") for kind, pattern in _KEYS.items()}
SERVICES = (SERVICE, TCP)
ARTEFACTS = tuple(kind for kind in _KEYS if kind not in SERVICES)
DISCARDED = {
    "slug": re.compile(rf"(?:\.new-)?{_WORD}\Z"),
    "env": re.compile(rf"(?:\.new-)?{_WORD}\Z"),
    "cache": re.compile(rf"(?!platform/){_WORD}/{_WORD}\Z"),
    "volume": re.compile(rf"{_WORD}/{_WORD}\Z"),
}
"""Keys of what may be discarded, by kind. ``.new-KEY`` is a copy that was cut short; a slug's key need not be a
digest.
"""


def slug(digest: str) -> str:
    """The name of a slug's files."""
    return f"slug:{digest}"


def environment(key: str) -> str:
    """The name of an environment, or of a layer of one."""
    return f"env:{key}"


def source(key: str) -> str:
    """The name of a commit's tar, by its hash, or of a build's own tar, by the build's id in hex."""
    return f"source:{key}"


def python(version: str) -> str:
    """The name of an interpreter that Greenroom downloaded."""
    return f"python:{version}"


def host(folder: str) -> str:
    """The name of a folder of the machine, by its absolute path."""
    return f"host:{folder}"


def tool(folder: str, file: str = "") -> str:
    """The name of a tool's folder, or of one file in it. folder: name and version, ``uv-0.9.1``."""
    return f"tool:{folder}/{file}" if file else f"tool:{folder}"


def scanner(name: str) -> str:
    """The name of an optional scanner's environment."""
    return f"scanner:{name}"


def cache(owner: str, name: str) -> str:
    """The name of a cache. owner: an app's id in hex, or ``PLATFORM``."""
    return f"cache:{owner}/{name}"


def volume(owner: str, name: str) -> str:
    """The name of a volume. owner: an app's id in hex."""
    return f"volume:{owner}/{name}"


def scratch(name: str) -> str:
    """The name of a folder of the dyno itself."""
    return f"scratch:{name}"


def service(name: str) -> str:
    """The name of a service of this installation."""
    return f"{SERVICE}:{name}"


def address(host: str, port: int) -> str:
    """The name of a service that listens in the network."""
    return f"{TCP}:[{host}]:{port}" if ":" in host else f"{TCP}:{host}:{port}"


def artefact(name: str) -> tuple[str, str]:
    """Kind and key of an artefact. Raises EngineError."""
    return _parse(name, ARTEFACTS)


def target(name: str) -> tuple[str, str]:
    """Kind and key of a forward's service. Raises EngineError."""
    return _parse(name, SERVICES)


def discarded(name: str) -> tuple[str, str]:
    """Kind and key of an artefact that may be discarded. Raises EngineError."""
    kind, _, key = str(name).partition(":")
    if kind not in DISCARDED or not DISCARDED[kind].match(key):
        _refuse(f"{str(name)[:200]!r} is no slug, environment, volume or app's cache, which alone can be discarded")
    return kind, key


def measured(name: str) -> str:
    """The key of a volume. Raises EngineError for any other artefact."""
    kind, key = artefact(str(name))
    if kind != "volume":
        _refuse(f"{name[:200]!r} is no volume, which alone can be measured")
    return key


def check_id(dyno_id: object) -> str:
    """Return the id of a dyno, or raise EngineError."""
    if not isinstance(dyno_id, str) or not _ID.match(dyno_id):
        _refuse(
            f"the dyno id {str(dyno_id)[:100]!r} is not of the form [a-z0-9.-]{{1,80}}, beginning with a letter or"
            " digit"
        )
    return str(dyno_id)


def _parse(name: str, kinds: tuple[str, ...]) -> tuple[str, str]:
    kind, colon, key = name.partition(":")
    if not colon or kind not in kinds:
        _refuse(f"{name[:200]!r} is not the name of an artefact or a service", f"KIND:KEY, with {', '.join(kinds)}")
    if not _PATTERNS[kind].match(key) or (kind == "host" and not _is_clean(key)):
        _refuse(f"{name[:200]!r} is malformed: {key[:200]!r} is no key of the kind {kind}")
    return kind, key


def _is_clean(path: str) -> bool:
    return "\0" not in path and str(PurePosixPath(path)) == path and ".." not in path.split("/")


def _refuse(message: str, hint: str = "") -> None:
    raise EngineError(message, hint=hint or "see engine/names.py for the kinds and their keys", id="invalid_params")
