"""Scans the last commits of this repository and lists those that would have been red, with findings and reasons.

Each commit on the first-parent line is compared with its predecessor, as if that were deployed:
``benchmarks/scan_history.py [COMMITS]``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import detect_secrets
from ruff import find_ruff_bin

from greenroom.checks.inside import run_scan

ROOT = Path(__file__).resolve().parent.parent
COMMITS = 100


def git(*words: str) -> str:
    """The output of a git command in this repository."""
    return subprocess.run(["git", "-C", str(ROOT), *words], check=True, capture_output=True, text=True).stdout


def archive(sha: str, folder: Path) -> Path:
    """The commit's tree as a tar file, like that of a push."""
    target = folder / f"{sha}.tar"
    if not target.exists():
        subprocess.run(["git", "-C", str(ROOT), "archive", "--format=tar", "-o", str(target), sha], check=True)
    return target


def scanned(old: str, new: str, folder: Path) -> dict[str, Any]:
    """The scan's result for a push of ``new`` while ``old`` is deployed."""
    with tempfile.TemporaryDirectory(dir=folder) as work:
        wish = {
            "ruff": find_ruff_bin(),
            "old": str(archive(old, folder)),
            "new": str(archive(new, folder)),
            "work": work,
            "secrets": str(Path(detect_secrets.__file__).parents[1]),
        }
        return run_scan.run_all(wish, work)


def look(number: int) -> list[dict[str, Any]]:
    """One row for each commit, printed if it is red: {sha, subject, outcome, seconds, detail, new findings, added
    suppressions}.
    """
    lines = git("log", "--first-parent", f"--max-count={number + 1}", "--format=%H %s").splitlines()
    commits = [line.split(" ", 1) for line in reversed(lines)]
    rows: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for (old, _), (new, subject) in pairwise(commits):
            began = time.perf_counter()
            result = scanned(old, new, folder)
            (folder / f"{old}.tar").unlink()
            fresh = [item for item in result.get("findings", []) if item["state"] == "new"]
            added = int(result.get("suppressed", 0)) - int(result.get("suppressed_before", 0))
            rows.append(
                {
                    "sha": new,
                    "subject": subject,
                    "outcome": result["outcome"],
                    "detail": result["detail"],
                    "findings": fresh,
                    "seconds": time.perf_counter() - began,
                    "added": max(0, added),
                }
            )
            show(rows[-1])
    return rows


def show(row: dict[str, Any]) -> None:
    """A red commit with its findings."""
    if row["outcome"] == "success":
        return
    print(
        f"{row['sha'][:8]} {row['outcome']}: {row['subject'][:90]}" + (f" ({row['detail']})" if row["detail"] else "")
    )
    for item in row["findings"]:
        print(f"         {item['path']}:{item['line']} {item['rule']} {item['message'][:140]}", flush=True)


def main() -> int:
    """Print each red commit with its findings, then totals and one JSON line."""
    rows = look(int(sys.argv[1]) if len(sys.argv) > 1 else COMMITS)
    red = [row for row in rows if row["outcome"] != "success"]
    rules = Counter(item["rule"] for row in red for item in row["findings"])
    added = sum(row["added"] for row in rows)
    seconds = sorted(row["seconds"] for row in rows)
    print(
        f"{len(red)} of {len(rows)} commits red; new findings by rule: {dict(rules.most_common())}; suppressions added:"
        f" {added}"
    )
    print(f"seconds per scan: median {seconds[len(seconds) // 2]:.2f}, slowest {seconds[-1]:.2f}")
    print(json.dumps({"commits": len(rows), "red": len(red), "rules": rules, "suppressions": added}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
