"""The certificates that the router has got from an ACME CA, in Caddy's storage."""

from __future__ import annotations

from pathlib import Path

STORAGE = "caddy/caddy/certificates"
"""A folder for each CA, in it one for each name."""


def newest(home: Path, name: str) -> Path | None:
    """The file of the newest certificate chain for a host name, with the key beside it (``.key``); None if there is
    none.
    """
    found = [path for path in (home / STORAGE).glob(f"*/{name}/{name}.crt") if path.is_file()]
    return max(found, key=lambda path: path.stat().st_mtime_ns, default=None)
