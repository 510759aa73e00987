"""pip-audit: known vulnerabilities of the locked packages, from an external service. Packages that the service could
not check are reported.
"""

from __future__ import annotations

import json
import os
import re

from ..kind import Raw, Report, ScanError, Scanner, Sources, call, python, read_json

LOCKS = ("requirements.txt", "uv.lock", "poetry.lock", "Pipfile.lock")
PIN = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*==\s*([A-Za-z0-9.!+_-]+)")
TOML = re.compile(r'^name = "([^"]+)"\s*\nversion = "([^"]+)"', re.MULTILINE)
JSON = re.compile(r'^\s*"([^"]+)": \{', re.MULTILINE)
Pin = tuple[str, str, int]
"""name, version, line of the lock."""


def lock_of(files: dict[str, str]) -> str:
    """The path of the topmost lock file in the tree; empty if there is none."""
    found = [path for path in files if os.path.basename(path) in LOCKS]
    return min(found, key=lambda path: (path.count("/"), LOCKS.index(os.path.basename(path)), path), default="")


def pins(path: str, text: str) -> list[Pin]:
    """The packages that a lock file pins."""
    if path.endswith("requirements.txt"):
        rows = ((PIN.match(line.strip()), number) for number, line in enumerate(text.splitlines(), 1))
        return [(found.group(1), found.group(2), number) for found, number in rows if found]
    if path.endswith(".lock") and not path.endswith("Pipfile.lock"):
        return [
            (found.group(1), found.group(2), text.count("\n", 0, found.start()) + 1) for found in TOML.finditer(text)
        ]
    try:
        entries = json.loads(text).get("default") or {}
    except (ValueError, AttributeError) as error:
        raise ScanError(f"{path} cannot be read: {error}") from error
    lines = {found.group(1): text.count("\n", 0, found.start(1)) + 1 for found in JSON.finditer(text)}
    versions = ((name, str(entry.get("version", ""))) for name, entry in entries.items() if isinstance(entry, dict))
    return [(name, version[2:], lines.get(name, 1)) for name, version in versions if version.startswith("==")]


def normal(name: str) -> str:
    """The normalised package name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def look(tool: str, sources: Sources) -> Report:
    """The vulnerabilities of the locked packages. ScanError without a lock file, or if no package could be checked."""
    path = lock_of(sources.files)
    if not path:
        raise ScanError(f"not audited: the repository has none of {', '.join(LOCKS)}")
    fixed = pins(path, sources.files[path])
    if not fixed:
        raise ScanError(f"not audited: {path} pins no versions (name==version)")
    listing = os.path.join(sources.folder, "audited.txt")
    with open(listing, "w", encoding="utf-8") as file:
        file.writelines(f"{name}=={version}\n" for name, version in sorted({row[:2] for row in fixed}))
    argv = [
        python(tool),
        "-m",
        "pip_audit",
        "-r",
        listing,
        "--no-deps",
        "--disable-pip",
        "-f",
        "json",
        "--progress-spinner",
        "off",
        "--desc",
        "off",
    ]
    try:
        report = read_json(call(argv, cwd=sources.folder))
    except ScanError as error:
        raise ScanError(f"not audited: {error}") from error
    return judged(report, path, fixed)


def judged(report: dict, path: str, fixed: list[Pin]) -> Report:
    """The report of pip-audit. Packages unknown to its service become a note; if it knows none, the scan has failed."""
    rows = [row for row in report.get("dependencies") or [] if isinstance(row, dict)]
    skipped = [row for row in rows if row.get("skip_reason")]
    if len(skipped) == len(rows):
        why = str(skipped[0]["skip_reason"]) if skipped else "it listed no packages"
        raise ScanError(f"not audited: {why}")
    lines = {normal(name): line for name, _, line in fixed}
    found = [
        Raw(
            rule=str(vuln["id"]),
            path=path,
            line=lines.get(normal(row["name"]), 1),
            severity=2,
            message=(
                f"{row['name']} {row.get('version')} has a known vulnerability; fixed in"
                f" {', '.join(vuln.get('fix_versions') or []) or 'no version yet'}"
            ),
        )
        for row in rows
        for vuln in row.get("vulns") or []
    ]
    named = ", ".join(str(row.get("name")) for row in skipped[:3])
    return Report(found, 0, f"{len(skipped)} of {len(rows)} packages could not be audited: {named}" if skipped else "")


SCANNER = Scanner(
    name="pip-audit",
    requirement="pip-audit==2.10.1",
    network=True,
    wanted=lambda path: os.path.basename(path) in LOCKS,
    look=look,
)
