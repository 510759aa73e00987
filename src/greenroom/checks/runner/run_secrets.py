"""Looks for secrets in the files that differ from the deployed commit. A value is compared in memory and never leaves it.

A secret is known by its form (a key of a known service, a private key) or by the name it is given; mere entropy is no reason.
"""

from __future__ import annotations

import hashlib
import os
import sys
import tarfile
from collections.abc import Iterable
from typing import Any

from . import ignores

MAX_FILE, MAX_FILES, MAX_BYTES = 1024 * 1024, 5_000, 50 * 1024 * 1024
LEFT_OUT = ("IPPublicDetector", "Base64HighEntropyString", "HexHighEntropyString")
BY_NAME = "Secret Keyword"
NAMED = (".py", ".env", ".ini", ".cfg", ".conf", ".toml", ".yml", ".yaml", ".json", ".sh")
"""Files in which a name like ``password`` counts; in prose it does not. In tests it never does."""

FILTERS = (
    "allowlist.is_line_allowlisted", "heuristic.is_indirect_reference", "heuristic.is_likely_id_string", "heuristic.is_lock_file",
    "heuristic.is_not_alphanumeric_string", "heuristic.is_potential_uuid", "heuristic.is_prefixed_with_dollar_sign",
    "heuristic.is_sequential_string", "heuristic.is_swagger_file", "heuristic.is_templated_secret",
)  # fmt: skip
Secret = tuple[str, int, str]
"""kind, line, hash of the value; the last stays in this process."""


class TooMuchError(Exception):
    """More has changed than is looked at."""


def changed(old: str, new: str) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """(before, after): path -> content of the small plain files that differ between two archives, gone ones included."""
    digests = dict(_digests(old))
    fresh = {path for path, digest in _digests(new) if digests.pop(path, None) != digest}
    return _contents(old, fresh | set(digests)), _contents(new, fresh)


def _members(archive: str) -> Iterable[tuple[str, bytes]]:
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            source = tar.extractfile(member) if member.isreg() and member.size <= MAX_FILE else None
            if source:
                yield member.name.removeprefix("./"), source.read()


def _digests(archive: str) -> Iterable[tuple[str, bytes]]:
    return ((path, hashlib.sha256(content).digest()) for path, content in _members(archive))


def _contents(archive: str, wanted: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    for path, content in _members(archive):
        if path in wanted and b"\0" not in content[:8000]:
            found[path] = content
            size += len(content)
        if len(found) > MAX_FILES or size > MAX_BYTES:
            raise TooMuchError(f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MB have changed; secrets were not looked for")
    return found


class Looker:
    """detect-secrets with fixed detectors and filters, none of which asks a service. packages: the folder it is imported from."""

    def __init__(self, packages: str, work: str) -> None:
        if packages not in sys.path:
            sys.path.insert(0, packages)
        from detect_secrets.core.plugins.util import get_mapping_from_secret_type_to_class

        known: dict[str, Any] = get_mapping_from_secret_type_to_class()
        names = [str(detector.__name__) for detector in known.values()]
        self.settings = {
            "plugins_used": [{"name": name} for name in names if name not in LEFT_OUT],
            "filters_used": [{"path": f"detect_secrets.filters.{name}"} for name in FILTERS],
        }
        self.work = work

    def look(self, files: dict[str, bytes]) -> dict[str, list[Secret]]:
        """path -> its secrets, in the order of their lines."""
        from detect_secrets.core.scan import scan_file
        from detect_secrets.settings import transient_settings

        found: dict[str, list[Secret]] = {}
        with transient_settings(self.settings):
            for path, content in files.items():
                place = os.path.join(self.work, os.path.basename(path) or "file")
                with open(place, "wb") as file:
                    file.write(content)
                secrets = {(s.type, s.line_number, s.secret_hash) for s in scan_file(place) if _counts(s.type, path)}
                os.unlink(place)
                if secrets:
                    found[path] = sorted(secrets, key=lambda s: (s[1], s[0]))
        return found


def _counts(kind: str, path: str) -> bool:
    if kind != BY_NAME:
        return True
    name = os.path.basename(path)
    return not ignores.is_test(path) and (name.endswith(NAMED) or name.startswith(".env"))


def look(wish: dict[str, Any], ignore: list[str]) -> list[dict[str, Any]]:
    """New secrets as findings of severity 1, each with file, line and kind alone. wish: {secrets (packages), old, new, work}.

    What the deployed commit had in a file that changed or went is known. TooMuchError, OSError, tarfile.TarError, ImportError.
    """
    work = os.path.join(wish["work"], "secrets")
    os.makedirs(work, exist_ok=True)
    before, after = changed(wish["old"], wish["new"])
    looker = Looker(wish["secrets"], work)
    after = {path: content for path, content in after.items() if not ignores.matches(path, ignore)}
    found = looker.look(after)
    deployed: dict[str, list[Secret]] = looker.look(before) if found else {}
    known = {(kind, value) for rows in deployed.values() for kind, _, value in rows}
    return [
        _finding(path, kind, line)
        for path, rows in sorted(found.items())
        for kind, line, value in rows
        if (kind, value) not in known
    ]


def _finding(path: str, kind: str, line: int) -> dict[str, Any]:
    fingerprint = hashlib.sha256(f"detect-secrets|{kind}|{path}|{line}".encode()).hexdigest()
    message = "is a secret: put it into a config var, and replace it where it is in use, since it is in the history now"
    return {
        "tool": "detect-secrets", "rule": kind, "path": path, "line": line, "column": 0, "severity": 1, "message": message,
        "text": "", "ordinal": 0, "state": "new", "fingerprint": fingerprint,
    }  # fmt: skip
