"""Measures the precision of the scan: its new and blocking findings in known good code, and the planted secrets that it
finds.

python benchmarks/scan_precision.py FOLDER... [--show]

Each folder is one project or installed package; its files count as new, as if one push had added them all. Nothing is
downloaded. ``planted_secrets`` creates the planted secrets; the same code scans them. --show prints each finding with
its line.
"""

from __future__ import annotations

import collections
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import detect_secrets
import planted_secrets
from ruff import find_ruff_bin

from greenroom.checks.inside import run_scan, run_secrets, trees

PACKAGES = str(Path(detect_secrets.__file__).parents[1])
LEFT_OUT = {"__pycache__", ".git", "node_modules"}
SEEDS, ROUNDS = (1, 2, 3, 4, 5), 20


def files(folder: Path) -> Iterator[tuple[str, bytes]]:
    """(path, content) of the small text files, as the scan gets them for a push."""
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(
            name for name in folders if name not in LEFT_OUT and not name.endswith((".dist-info", ".egg-info"))
        )
        for name in sorted(names):
            path = Path(place, name)
            if path.is_symlink() or path.stat().st_size > run_secrets.MAX_FILE:
                continue
            content = path.read_bytes()
            if b"\0" not in content[:8000]:
                yield str(path.relative_to(folder)), content


def secrets(folder: Path, work: str, show: bool) -> tuple[int, int, int, int]:
    """(lines, lines of Python, blocking secrets, shown secrets) of one folder."""
    found = dict(files(folder))
    lines = {path: content.count(b"\n") for path, content in found.items()}
    looker = run_secrets.Looker(PACKAGES, work)
    hits = [(path, hit, text[hit.line - 1].strip()[:120]) for path, rows, text in looker.hits(found) for hit in rows]
    for path, hit, text in hits if show else []:
        print(f"  {folder.name}/{path}:{hit.line} {hit.kind}{' (shown)' if hit.hint else ''}: {text}")
    python = sum(count for path, count in lines.items() if trees.is_python(path))
    return sum(lines.values()), python, sum(not hit.hint for _, hit, _ in hits), sum(hit.hint for _, hit, _ in hits)


def lint(folder: Path, show: bool) -> collections.Counter[str]:
    """Rule -> number of blocking ruff findings."""
    tree = trees.Tree(
        str(folder),
        files={path: text.decode("utf-8", "replace") for path, text in files(folder) if trees.is_python(path)},
    )
    found, _ = run_scan.findings(run_scan.ruff(find_ruff_bin(), tree), tree, [])
    bad = [finding for finding in found if finding.severity <= run_scan.baseline.BLOCKING]
    for finding in bad if show else []:
        print(f"  {folder.name}/{finding.path}:{finding.line} {finding.rule} {finding.text[:100]}")
    return collections.Counter(finding.rule for finding in bad)


def planted(work: str) -> None:
    """Print the number of found secrets of each planted kind."""
    looker = run_secrets.Looker(PACKAGES, work)
    tried: collections.Counter[str] = collections.Counter()
    found: collections.Counter[str] = collections.Counter()
    for seed in SEEDS:
        for kind, path, content in planted_secrets.planted(seed, ROUNDS):
            tried[kind] += 1
            found[kind] += any(True for _ in looker.hits({path: content.encode()}))
    print("| planted kind | files | found |\n|--|--|--|")
    for kind, number in tried.items():
        print(f"| {kind} | {number} | {found[kind]} |")
    print(f"| **all {len(tried)} kinds** | **{sum(tried.values())}** | **{sum(found.values())}** |")


def main(argv: list[str]) -> int:
    """Measure each folder, the total, and the planted secrets."""
    show = "--show" in argv
    folders = [Path(word) for word in argv if not word.startswith("--")]
    sums = [0, 0, 0, 0]
    rules: collections.Counter[str] = collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        for folder in folders:
            sums = [one + other for one, other in zip(sums, secrets(folder, work, show), strict=True)]
            rules += lint(folder, show)
        text, python, blocking, shown = sums
        print(
            f"{len(folders)} folders, {text:,} lines, {python:,} of Python: {blocking} secrets that block, {shown} that"
            " are shown"
        )
        if text and python:
            print(f"one in {text // max(1, blocking):,} lines, one in {python // max(1, blocking):,} lines of Python")
            print(
                f"ruff: {sum(rules.values())} that block, one in {python // max(1, sum(rules.values())):,} lines of"
                " Python"
            )
            print("  " + ", ".join(f"{rule} {number}" for rule, number in rules.most_common()))
        planted(work)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
