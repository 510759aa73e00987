"""Looks for secrets in the files that differ from the deployed commit. A value is compared in memory and never leaves it.

A secret is known by its form (a key of a known service, a private key) or by the name it is given; mere entropy is no reason.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from . import baseline, ignores
from .trees import Tree

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
MESSAGE = "is a secret: put it into a config var, and replace it where it is in use, since it is in the history now"
ROUNDS = 20_000
"""A value is compared by a slow digest, so that a fingerprint, which others see, cannot be used for trying short passwords quickly."""


@dataclass(frozen=True)
class Secret:
    """value: a slow digest of it; text: its line without white space, with that digest in its place."""

    kind: str
    line: int
    value: str
    text: str


class TooMuchError(Exception):
    """More has changed than is looked at."""


def changed(old: Tree, new: Tree) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """(before, after): path -> content of the small plain files that differ between two trees, gone ones included."""
    fresh = {path for path, entry in new.plain.items() if path not in old.plain or old.plain[path].digest != entry.digest}
    gone = {path for path in old.plain if path not in new.plain}
    return _contents(old, (fresh & old.plain.keys()) | gone), _contents(new, fresh)


def _contents(tree: Tree, wanted: set[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    with tarfile.open(tree.archive, "r:") as tar:
        for path in sorted(wanted):
            source = tar.extractfile(tree.plain[path].member)
            content = source.read() if source else b""
            if b"\0" not in content[:8000]:
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
        """path -> its secrets, in the order of their lines. Bytes that are no UTF-8 hide nothing: they are replaced."""
        from detect_secrets.settings import transient_settings

        found: dict[str, list[Secret]] = {}
        with transient_settings(self.settings):
            tests = _tests()
            for path, content in files.items():
                text = content.decode("utf-8", "replace")
                place = os.path.join(self.work, os.path.basename(path) or "file")
                with open(place, "w", encoding="utf-8", newline="") as file:
                    file.write(text)
                lines = text.splitlines()
                secrets = {(kind, line, value) for kind, line, value in scan_file(place, tests) if _counts(kind, path)}
                os.unlink(place)
                if secrets:
                    rows = sorted(secrets, key=lambda row: (row[1], row[0], row[2]))
                    found[path] = [_secret(kind, line, value, lines) for kind, line, value in rows]
        return found


def _tests() -> list[Callable[[str, str], bool]]:
    """For each detector in use: whether it may say something of (file, line). The plain ones are asked by their expressions, which is far faster."""
    from detect_secrets.core.scan import get_plugins
    from detect_secrets.plugins.base import RegexBasedDetector

    tests: list[Callable[[str, str], bool]] = []
    for plugin in get_plugins():
        kind = type(plugin)
        own = any(getattr(kind, name) is not getattr(RegexBasedDetector, name, None) for name in ("analyze_string", "analyze_line"))
        tests += [_asked(plugin)] if own else [_searched(regex) for regex in plugin.denylist]
    return tests


def _asked(plugin: Any) -> Callable[[str, str], bool]:
    return lambda file, line: bool(plugin.analyze_line(filename=file, line=line))


def _searched(regex: re.Pattern[str]) -> Callable[[str, str], bool]:
    return lambda file, line: regex.search(line) is not None


def scan_file(place: str, tests: list[Callable[[str, str], bool]]) -> Iterable[tuple[str, int, str]]:
    """(kind, line, value) of each secret: what ``detect_secrets.core.scan.scan_file`` finds, but only lines of which a detector may say something
    go through its filters, each with the line before it, which is all that a filter looks at beside."""
    from detect_secrets.core import scan

    for lines in scan._get_lines_from_file(place):
        spots = [index for index, line in enumerate(lines) if (bare := line.rstrip()) and any(test(place, bare) for test in tests)]
        pairs = [text for index in spots for text in (lines[index - 1] if index else "", lines[index])]
        found = list(scan._process_line_based_plugins(list(enumerate(pairs, start=1)), filename=place))
        secrets = [(str(s.type), spots[s.line_number // 2 - 1] + 1, str(s.secret_value)) for s in found if s.line_number % 2 == 0]
        yield from secrets
        if secrets:
            return


def _secret(kind: str, line: int, value: str, lines: list[str]) -> Secret:
    text = lines[line - 1] if 0 < line <= len(lines) else ""
    known = hashlib.pbkdf2_hmac("sha256", value.encode(), baseline.SCHEME.encode(), ROUNDS).hex()[:32]
    return Secret(kind, line, known, baseline.squeeze(text.replace(value, f"<{known}>")))


def _counts(kind: str, path: str) -> bool:
    if kind != BY_NAME:
        return True
    name = os.path.basename(path)
    return not ignores.is_test(path) and (name.endswith(NAMED) or name.startswith(".env"))


def look(old: Tree, new: Tree, packages: str, work: str) -> list[dict[str, Any]]:
    """New secrets as findings of severity 1, each with file, line and kind alone. packages: the folder with detect-secrets; work: a folder.

    What the deployed commit had in a file that changed or went is known. TooMuchError, OSError, tarfile.TarError, ImportError.
    """
    os.makedirs(work, exist_ok=True)
    before, after = changed(old, new)
    after = {path: content for path, content in after.items() if not ignores.matches(path, new.ignore)}
    looker = Looker(packages, work)
    found = looker.look(after)
    deployed = looker.look(before) if found else {}
    known = {(secret.kind, secret.value) for rows in deployed.values() for secret in rows}
    return [row for path, rows in sorted(found.items()) for row in _findings(path, rows, known)]


def _findings(path: str, secrets: list[Secret], known: set[tuple[str, str]]) -> Iterable[dict[str, Any]]:
    """Those of one file that are not known. Their fingerprints are made as all others, of a text in which the value is exchanged for a digest."""
    rows = [baseline.Finding("detect-secrets", s.kind, path, s.line, 0, 1, MESSAGE, s.text) for s in secrets]
    values = {(s.kind, s.text): (s.kind, s.value) for s in secrets}
    for finding in baseline.number(rows):
        if values[finding.rule, finding.text] not in known:
            yield {**asdict(finding), "text": "", "fingerprint": finding.fingerprint()}
