"""Runs the app's enabled optional scanners on the pushed and the deployed tree, with one result per scanner.

A scanner that is not installed, crashes or gives no result is an error, and never stops the others.
"""

from __future__ import annotations

import os
import tarfile
import time
from glob import glob
from typing import Any

from . import baseline, ignores, scanners
from .run_scan import summary
from .scanners.kind import Report, ScanError, Scanner, Sources
from .trees import Tree, unpack


def run_all(options: dict[str, Any], out: str) -> dict[str, Any]:
    """Scanner name -> result. options: {scanners: {name: tool folder or null}, new, old (or null), work}."""
    results = {name: one(name, tool, options) for name, tool in options["scanners"].items()}
    outcomes = [result["outcome"] for result in results.values()]
    worst = next((outcome for outcome in ("failure", "error") if outcome in outcomes), "success")
    return {"outcome": worst, "detail": "", "scanners": results}


def one(name: str, tool: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """One scanner's result. Any exception becomes an error result."""
    began = time.monotonic()
    try:
        scanner = scanners.find(name)
    except KeyError:
        known = ", ".join(scanners.names())
        return _error(f"unknown scanner {name[:60]}; available: {known}")
    if not tool or not os.access(os.path.join(tool, "bin", "python"), os.X_OK):
        return _error(f"it is not installed here; hint: the operator runs: greenroom scanners:install {name}")
    try:
        result = scan(scanner, tool, options)
    except (ScanError, OSError, tarfile.TarError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        words = (
            str(error)
            if isinstance(error, ScanError)
            else f"its report cannot be read ({type(error).__name__}: {error})"
        )
        return _error(words) | {"version": version(tool, scanner)}
    return {**result, "version": version(tool, scanner), "wall": round(time.monotonic() - began, 3)}


def _error(detail: str) -> dict[str, Any]:
    return {"outcome": "error", "detail": detail, "findings": [], "new": 0, "total": 0}


def version(tool: str, scanner: Scanner) -> str:
    """The tool's installed version; empty if unknown."""
    name = scanner.requirement.split("==")[0].replace("-", "_")
    found = glob(os.path.join(tool, "lib", "python3*", "site-packages", f"{name}-*.dist-info"))
    return os.path.basename(found[0]).removesuffix(".dist-info").rpartition("-")[2] if found else ""


def scan(scanner: Scanner, tool: str, options: dict[str, Any]) -> dict[str, Any]:
    """Scan both trees with the same tool and compare the findings."""
    work = os.path.join(options["work"], scanner.name)
    tree = _unpack(options["new"], os.path.join(work, "new"), scanner)
    report = scanner.look(tool, Sources(tree.folder, tree.files, tree.folder))
    found, ignored = findings(scanner.name, report, tree, tree.ignore)
    if options.get("old"):
        before = _unpack(options["old"], os.path.join(work, "old"), scanner)
        past = (
            report
            if before.files == tree.files
            else scanner.look(tool, Sources(before.folder, before.files, tree.folder))
        )
        known, _ = findings(scanner.name, past, before, tree.ignore)
        renamed = baseline.renames(before.files, tree.files, (finding.path for finding in known))
        judged = baseline.compare(known, found, renamed)
    else:
        past, judged = report, [baseline.replace(finding, state="unchanged") for finding in baseline.number(found)]
    return {
        **summary(judged),
        "ignored": ignored,
        "baseline": not options.get("old"),
        "suppressed": report.suppressed,
        "suppressed_before": past.suppressed,
        "note": report.note,
    }


def _unpack(archive: str, folder: str, scanner: Scanner) -> Tree:
    os.makedirs(folder, exist_ok=True)
    tree = unpack(archive, folder, wanted=scanner.wanted)
    if tree.root:
        tree.files = {
            path: text for path, text in tree.files.items() if path.startswith((f"{tree.root}/", *scanner.rules))
        }
    return tree


def findings(tool: str, report: Report, tree: Tree, patterns: list[str]) -> tuple[list[baseline.Finding], int]:
    """A report as findings, and the number of omitted findings (file ignored, or outside the app's folder)."""
    found: list[baseline.Finding] = []
    ignored = 0
    lines: dict[str, list[str]] = {}
    for row in report.findings:
        if ignores.matches(row.path, patterns):
            ignored += 1
            continue
        if tree.root and not row.path.startswith(f"{tree.root}/"):
            continue
        rows = lines.setdefault(row.path, tree.files.get(row.path, "").split("\n"))
        text = rows[row.line - 1] if 0 < row.line <= len(rows) else ""
        found.append(
            baseline.Finding(
                tool, row.rule, row.path, row.line, row.column, row.severity, row.message, baseline.squeeze(text)
            )
        )
    return found, ignored
