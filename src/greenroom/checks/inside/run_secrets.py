"""Finds secrets in the files that differ from the deployed commit. Values are compared in memory and never stored.

A secret is detected by its format (service key, private key), its variable name, or its position in a URL, never by
entropy alone. ``secret_rules`` has the rules.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
import tarfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

from . import baseline, ignores, secret_rules
from .trees import Tree

MAX_FILE, MAX_FILES, MAX_BYTES = 1024 * 1024, 5_000, 50 * 1024 * 1024
DETECTORS = (
    "AWSKeyDetector",
    "AzureStorageKeyDetector",
    "CloudantDetector",
    "DiscordBotTokenDetector",
    "IbmCloudIamDetector",
    "IbmCosHmacDetector",
    "JwtTokenDetector",
    "SoftlayerDetector",
)
"""The detectors of detect-secrets in use; ``secret_rules`` has the others."""

ALLOWED = re.compile(
    r"(?:#|//|/\*|<!--|--|;)\s*(?:pragma:?\s*(?:allow|white)list["
    r" -]secret|gitleaks:allow|nosec(?=\s*(?:$|#|-->|\*/|[^\sBb:])|:?\s*(?:B\d+[,\s]+)*B10[5-7]\b)|"
    r"noqa(?=\s*(?:$|[^\s:])|:\s*(?:[A-Z]+\d+[,\s]+)*S10[4-7]\b))",
    re.IGNORECASE,
)
"""Comments that mark a line as free of secrets: those of detect-secrets, gitleaks, bandit and ruff."""

NEXT = re.compile(r"pragma:?\s*(?:allow|white)list[ -]nextline[ -]secret", re.IGNORECASE)

FILTERS = ("heuristic.is_templated_secret",)
"""The filters in use. The other filters of detect-secrets serve its name and entropy detectors, and hide keys in
calls.
"""

MESSAGE = "is a secret: move it to a config var and rotate it, since the git history now contains it"
ROUNDS = 20_000
"""Cost of the value digest. A slow digest prevents guessing short passwords from a fingerprint, which others see."""


@dataclass(frozen=True)
class Secret:
    """value: slow digest of the secret; text: its line without white space, with the digest in place of the secret;
    hint: shown, does not block.
    """

    kind: str
    line: int
    value: str
    text: str
    hint: bool = False


class TooMuchError(Exception):
    """The changes exceed the limits of the search."""


def changed(old: Tree, new: Tree) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """(before, after): path -> content of the small regular files that differ between two trees, including deleted
    files.
    """
    fresh = {
        path for path, entry in new.plain.items() if path not in old.plain or old.plain[path].digest != entry.digest
    }
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
                raise TooMuchError(
                    f"more than {MAX_FILES} files or {MAX_BYTES >> 20} MB changed; the secret scan was skipped"
                )
    return found


class Looker:
    """Greenroom's detectors and some offline detectors of detect-secrets. packages: its import folder.

    allowed: number of secrets that comments in the scanned files suppressed.
    """

    def __init__(self, packages: str, work: str) -> None:
        if packages not in sys.path:
            sys.path.insert(0, packages)
        self.settings = {
            "plugins_used": [{"name": name} for name in DETECTORS],
            "filters_used": [{"path": f"detect_secrets.filters.{name}"} for name in FILTERS],
        }
        self.work = work
        self.allowed = 0

    def look(self, files: dict[str, bytes]) -> dict[str, list[Secret]]:
        """path -> its secrets by line. Invalid UTF-8 bytes are replaced, so they hide nothing."""
        return {path: [_secret(hit, lines) for hit in hits] for path, hits, lines in self.hits(files)}

    def hits(self, files: dict[str, bytes]) -> Iterator[tuple[str, list[secret_rules.Hit], list[str]]]:
        """(path, secrets without a suppressing comment, lines) for each file with secrets."""
        from detect_secrets.settings import transient_settings

        with transient_settings(self.settings):
            tests = _tests()
            for path, content in files.items():
                text = content.decode("utf-8", "replace")
                found = self._hits(path, text, tests)
                lines = text.splitlines()
                kept = [hit for hit in found if not _allowed(lines, hit.line)]
                self.allowed += len(found) - len(kept)
                if kept:
                    yield path, kept, lines

    def _hits(self, path: str, text: str, tests: list[Callable[[str, str], bool]]) -> list[secret_rules.Hit]:
        """The hits of both detectors in a file, without duplicates."""
        own = secret_rules.find(path, text)
        if secret_rules.SKIPPED.search(path):
            return own
        place = os.path.join(self.work, os.path.basename(path) or "file")
        with open(place, "w", encoding="utf-8", newline="") as file:
            file.write(text)
        forms = {
            secret_rules.Hit(kind, line, value)
            for kind, line, value in scan_file(place, tests)
            if secret_rules.believable(value)
        }
        os.unlink(place)
        known = {(hit.line, hit.value) for hit in forms}
        rest = [hit for hit in own if (hit.line, hit.value) not in known]
        return sorted({*forms, *rest}, key=lambda hit: (hit.line, hit.kind, hit.value))


def _allowed(lines: list[str], number: int) -> bool:
    """Whether a comment on the line or the line before suppresses it."""
    before = lines[number - 2] if number > 1 else ""
    return bool(number <= len(lines) and ALLOWED.search(lines[number - 1])) or bool(NEXT.search(before))


def _tests() -> list[Callable[[str, str], bool]]:
    """For each detector: whether it could match (file, line). Regex detectors use their patterns, for speed."""
    from detect_secrets.core.scan import get_plugins
    from detect_secrets.plugins.base import RegexBasedDetector

    tests: list[Callable[[str, str], bool]] = []
    for plugin in get_plugins():
        kind = type(plugin)
        own = any(
            getattr(kind, name) is not getattr(RegexBasedDetector, name, None)
            for name in ("analyze_string", "analyze_line")
        )
        tests += [_asked(plugin)] if own else [_searched(regex) for regex in plugin.denylist]
    return tests


def _asked(plugin: Any) -> Callable[[str, str], bool]:
    return lambda file, line: bool(plugin.analyze_line(filename=file, line=line))


def _searched(regex: re.Pattern[str]) -> Callable[[str, str], bool]:
    return lambda file, line: regex.search(line) is not None


def scan_file(place: str, tests: list[Callable[[str, str], bool]]) -> Iterable[tuple[str, int, str]]:
    """(kind, line, value) of each secret, like ``detect_secrets.core.scan.scan_file``.

    Only lines that could match go through the filters, each with the line before it: filters use no more context.
    """
    from detect_secrets.core import scan

    for lines in scan._get_lines_from_file(place):
        spots = [
            index
            for index, line in enumerate(lines)
            if (bare := line.rstrip()) and any(test(place, bare) for test in tests)
        ]
        pairs = [text for index in spots for text in (lines[index - 1] if index else "", lines[index])]
        found = list(scan._process_line_based_plugins(list(enumerate(pairs, start=1)), filename=place))
        secrets = [
            (str(s.type), spots[s.line_number // 2 - 1] + 1, str(s.secret_value))
            for s in found
            if s.line_number % 2 == 0
        ]
        yield from secrets
        if secrets:
            return


def _secret(hit: secret_rules.Hit, lines: list[str]) -> Secret:
    text = lines[hit.line - 1] if 0 < hit.line <= len(lines) else ""
    known = hashlib.pbkdf2_hmac("sha256", hit.value.encode(), baseline.SCHEME.encode(), ROUNDS).hex()[:32]
    return Secret(hit.kind, hit.line, known, baseline.squeeze(text.replace(hit.value, f"<{known}>")), hit.hint)


def look(old: Tree, new: Tree, packages: str, work: str) -> tuple[list[dict[str, Any]], int]:
    """New secrets as findings (file, line and kind only), and the number of additional suppressions.

    packages: the folder with detect-secrets; work: a scratch folder. Secrets of the deployed commit in a changed or
    deleted file are known. Raises TooMuchError, OSError, tarfile.TarError, ImportError.
    """
    os.makedirs(work, exist_ok=True)
    before, after = changed(old, new)
    after = {path: content for path, content in after.items() if not ignores.matches(path, new.ignore)}
    looker = Looker(packages, work)
    found = looker.look(after)
    allowed = looker.allowed
    deployed = looker.look(before) if found or allowed else {}
    more = max(0, 2 * allowed - looker.allowed)
    known = {(secret.kind, secret.value) for rows in deployed.values() for secret in rows}
    return [row for path, rows in sorted(found.items()) for row in _findings(path, rows, known)], more


def _findings(path: str, secrets: list[Secret], known: set[tuple[str, str]]) -> Iterable[dict[str, Any]]:
    """The unknown secrets of one file. The fingerprint's text contains a digest in place of the value."""
    rows = [
        baseline.Finding("detect-secrets", s.kind, path, s.line, 0, 3 if s.hint else 1, MESSAGE, s.text)
        for s in secrets
    ]
    values = {(s.kind, s.text): (s.kind, s.value) for s in secrets}
    for finding in baseline.number(rows):
        if values[finding.rule, finding.text] not in known:
            yield {**asdict(finding), "text": "", "fingerprint": finding.fingerprint()}
