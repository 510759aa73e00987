"""Scans the pushed and the deployed tree with the same ruff and rules, and determines the new findings.

Files are only read, never run or imported; only regular Python files are unpacked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

from . import baseline, ignores, ruff_rules, run_secrets
from .scanners.kind import ScanError
from .trees import Tree, unpack

SUPPRESSION = re.compile(r"#\s*(?:ruff|flake8)?:?\s*noqa\b", re.IGNORECASE)
MAX_REPORTED, MAX_SUPPRESSED = 900, 100
MAX_NAMED = 400
"""Up to this number of files with suppressions, the second ruff run covers only these files."""


@dataclass(frozen=True)
class Look:
    """A tree with ruff's findings, and its additional findings without suppressions."""

    tree: Tree
    report: list[dict[str, Any]]
    silent: list[dict[str, Any]]


def ruff(binary: str, tree: Tree, *extra: str, only: list[str] | None = None) -> list[dict[str, Any]]:
    """ruff's JSON report on the tree. only: limit it to these files. Raises ScanError if ruff fails."""
    if not tree.files:
        return []
    places = [tree.folder] if only is None else ["--force-exclude", *(os.path.join(tree.folder, path) for path in only)]
    argv = [binary, "check", "--isolated", "--no-cache", "--exit-zero", "--output-format", "json", "--quiet"]
    argv += ["--select", ruff_rules.SELECT, "--ignore", ruff_rules.IGNORE, *extra]
    argv += ["--target-version", tree.target] if tree.target else []
    done = subprocess.run([*argv, *places], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-500:]
        raise ScanError(f"ruff ended with exit code {done.returncode}: {words or 'no output'}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ScanError(f"ruff's report is invalid: {error}") from error


def findings(report: list[dict[str, Any]], tree: Tree, patterns: list[str]) -> tuple[list[baseline.Finding], int]:
    """ruff's report as findings, and the number of omitted findings in ignored files."""
    found: list[baseline.Finding] = []
    ignored = 0
    lines: dict[str, list[str]] = {}
    for item in report:
        path = os.path.relpath(item["filename"], tree.folder)
        rule = item.get("code") or "invalid-syntax"
        outside = bool(tree.root) and not path.startswith(f"{tree.root}/")
        if outside or (rule.startswith("S") and ignores.is_test(path)):
            continue
        if ignores.matches(path, patterns):
            ignored += 1
            continue
        if path not in lines:
            lines[path] = tree.files.get(path, "").split("\n")
        row = int(item["location"]["row"])
        text = lines[path][row - 1] if 0 < row <= len(lines[path]) else ""
        column = int(item["location"]["column"])
        weight = ruff_rules.weight(item, rule, path, tree.files.get(path, ""))
        end = item.get("end_location") or {}
        finding = baseline.Finding("ruff", rule, path, row, column, weight, item["message"], baseline.squeeze(text))
        found.append(
            baseline.replace(finding, end_line=int(end.get("row") or 0), end_column=int(end.get("column") or 0))
        )
    return found, ignored


def loud(binary: str, tree: Tree) -> list[dict[str, Any]]:
    """ruff's report without ``# noqa``, for the files that contain one (for all files, if these are many)."""
    named = [path for path, text in tree.files.items() if SUPPRESSION.search(text)]
    if not named:
        return []
    return ruff(binary, tree, "--ignore-noqa", only=named if len(named) <= MAX_NAMED else None)


def _spot(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["filename"], item.get("code"), item["location"]["row"], item["location"]["column"]


def look_at(options: dict[str, Any], pool: ThreadPoolExecutor) -> tuple[Look, Look | None, Future | None]:
    """The pushed tree, the deployed tree, and the parallel secret search (None without a tool or an old tree)."""
    secrets, old, work = bool(options.get("secrets")) and bool(options.get("old")), options.get("old"), options["work"]
    later = pool.submit(unpack, old, os.path.join(work, "old"), plain=secrets) if old else None
    trees = [unpack(options["new"], os.path.join(work, "new"), plain=secrets)]
    trees += [later.result()] if later else []
    jobs = [(pool.submit(ruff, options["ruff"], tree), pool.submit(loud, options["ruff"], tree)) for tree in trees]
    search = (
        pool.submit(run_secrets.look, trees[1], trees[0], options["secrets"], os.path.join(work, "secrets"))
        if secrets
        else None
    )
    looks = []
    for tree, (plain, whole) in zip(trees, jobs):  # noqa: B905 - Python 3.9 has no strict=
        report = plain.result()
        known = {_spot(item) for item in report}
        looks.append(Look(tree, report, [item for item in whole.result() if _spot(item) not in known]))
    return looks[0], looks[1] if old else None, search


def run_all(options: dict[str, Any], out: str) -> dict[str, Any]:
    """Scan and compare. options: {ruff, new, old (archive; null: all findings are known), work (folder), secrets
    (packages or null)}.
    """
    began = time.monotonic()
    with ThreadPoolExecutor(5) as pool:
        try:
            now, before, search = look_at(options, pool)
        except (ScanError, OSError, tarfile.TarError) as error:
            return {"outcome": "error", "detail": str(error)}
        result = judge(now, before)
        _add_secrets(result, search)
    result["wall"] = round(time.monotonic() - began, 3)
    return result


def judge(now: Look, before: Look | None) -> dict[str, Any]:
    """ruff's findings in both trees as one result."""
    tree = now.tree
    found, ignored = findings(now.report, tree, tree.ignore)
    if before is None:
        judged = [baseline.replace(finding, state="unchanged") for finding in baseline.number(found)]
    else:
        known, _ = findings(before.report, before.tree, tree.ignore)
        renamed = baseline.renames(before.tree.files, tree.files, (finding.path for finding in known))
        judged = baseline.compare(known, found, renamed)
    result = summary(judged)
    result["states"] = {
        state: sum(f.state == state for f in judged) for state in ("new", "unchanged", "updated", "moved")
    }
    result.update(
        baseline=before is None,
        ignored=ignored,
        suppressed=len(now.silent),
        suppressed_before=len(before.silent if before else now.silent),
        ignore_changed=before is not None and before.tree.ignore != tree.ignore,
        files=len(tree.files),
        left_out=tree.left_out,
        rules=ruff_rules.RULES,
    )
    quiet = baseline.number(findings(now.silent, tree, tree.ignore)[0])
    shown = [baseline.replace(finding, state="suppressed") for finding in quiet[:MAX_SUPPRESSED]]
    result["findings"] += [{**asdict(f), "fingerprint": f.fingerprint()} for f in shown]
    return result


def _add_secrets(result: dict[str, Any], search: Future | None) -> None:
    """Put new secrets before all other findings. A blocking secret is a failure; a failed search is an error."""
    if search is None:
        return
    try:
        secrets, allowed = search.result()
    except (run_secrets.TooMuchError, OSError, tarfile.TarError, ImportError) as error:
        result.update(outcome="error", detail=f"detect-secrets: {error}")
        return
    result["suppressed"] += allowed
    if secrets:
        result["findings"] = (secrets + result["findings"])[:MAX_REPORTED]
        result.update(new=result["new"] + len(secrets), total=result["total"] + len(secrets))
    if any(secret["severity"] <= baseline.BLOCKING for secret in secrets):
        result["outcome"] = "failure"
    result["secrets"] = len(secrets)


def summary(judged: list[baseline.Finding]) -> dict[str, Any]:
    """The outcome, the counts and the first findings of a scan: new ones first, then by severity."""
    fresh = [finding for finding in judged if finding.state == "new"]
    ordered = sorted(judged, key=lambda f: (f.state != "new", f.severity, f.path, f.line))
    return {
        "outcome": "failure" if any(finding.severity <= baseline.BLOCKING for finding in fresh) else "success",
        "detail": "",
        "total": len(judged),
        "new": len(fresh),
        "findings": [{**asdict(f), "fingerprint": f.fingerprint()} for f in ordered[:MAX_REPORTED]],
    }
