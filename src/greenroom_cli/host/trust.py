"""Lets node and git trust the installation's certificate, beside the authorities that the shell already trusts."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from greenroom.basics import atomic

LARGEST = 8_000_000
"""Bytes of a file of authorities."""
NODE = "NODE_EXTRA_CA_CERTS"


def node_authorities(ca: str) -> str:
    """The file for node: the installation's authority, joined with those of the shell's own file, if it names one.

    The joined file lies in the user's cache folder, named by its content: another installation has another file.
    Without a readable file it is the authority alone.
    """
    known = os.environ.get(NODE, "")
    if known in ("", ca):
        return ca
    try:
        before, own = _read(known), _read(ca)
        if own.strip() in before:
            return known
        text = before.rstrip() + b"\n" + own
        joined = _cache() / f"authorities-{hashlib.sha256(text).hexdigest()[:16]}.pem"
        joined.parent.mkdir(parents=True, exist_ok=True)
        atomic.write(joined, text)
    except OSError:
        return ca
    return str(joined)


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(LARGEST)


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "greenroom"


def git_settings(url: str, ca: str) -> dict[str, str]:
    """git's environment variables that trust the authority for this URL only, after the shell's own settings."""
    count = os.environ.get("GIT_CONFIG_COUNT", "")
    number = int(count) if count.isascii() and count.isdecimal() and len(count) < 4 else 0
    key = f"http.{url}/.sslCAInfo"
    index = next((i for i in range(number) if os.environ.get(f"GIT_CONFIG_KEY_{i}") == key), number)
    return {
        "GIT_CONFIG_COUNT": str(max(number, index + 1)),
        f"GIT_CONFIG_KEY_{index}": key,
        f"GIT_CONFIG_VALUE_{index}": ca,
    }
