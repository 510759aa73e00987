"""Scans the pushed tree and the deployed one with the same ruff and the same rules, and says which findings are new.

Files are only read, never run or imported; of the archives nothing is unpacked but regular Python files.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tarfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from typing import Any

from . import baseline, ignores, run_secrets
from .scanners.kind import ScanError

SELECT = "E9,F,S,B,DJ,PLE,T10"
IGNORE = "S101,S105,S106,S107,S308,S603,S607,B904,B007,B008,B028,DJ001,DJ008,DJ012,F401,F403,F405,F841"
"""Left out: what is style, and what is mostly no bug. S603 and S607 (a child process without a shell) were 35 of the 56 findings that would have
stopped this project's own last 80 commits, and none of them was wrong code; S602 and S605 (with a shell) stay."""
RULES = "v2"
CRITICAL = re.compile(r"(E9\d\d|F82[123]|S(102|301|302|307|501|506|602|605|608)|T100|invalid-syntax)$")
SUPPRESSION = re.compile(r"#\s*(?:ruff|flake8)?:?\s*noqa\b", re.IGNORECASE)
SETTINGS = (".checkignore", ".python-version", "greenroom.toml")
ROOT = re.compile(r"""^\s*root\s*=\s*["']([^"'\n]+)["']""", re.MULTILINE)
MAX_FILES, MAX_BYTES, MAX_FILE = 60_000, 400 * 1024 * 1024, 4 * 1024 * 1024
MAX_REPORTED, MAX_SUPPRESSED = 900, 100
TARGETS = range(7, 15)


@dataclass
class Tree:
    """One archive, unpacked. files: path -> text of each Python file; ignore: patterns of its .checkignore; root: the app's own folder in it."""

    folder: str
    files: dict[str, str] = field(default_factory=dict)
    ignore: list[str] = field(default_factory=list)
    target: str = ""
    root: str = ""
    left_out: int = 0


def is_python(path: str) -> bool:
    """Whether ruff reads the file."""
    return path.endswith((".py", ".pyi"))


def unpack(archive: str, folder: str, wanted: Callable[[str], bool] = is_python) -> Tree:
    """Write the archive's files that are ``wanted`` below ``folder``. Links, devices, strange paths and huge files are left out."""
    tree = Tree(folder)
    total = 0
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            path = member.name[2:] if member.name.startswith("./") else member.name
            if not member.isreg() or path.startswith("/") or ".." in path.split("/"):
                continue
            special = path in SETTINGS
            if not special and not wanted(path):
                continue
            if member.size > MAX_FILE:
                tree.left_out += 1
                continue
            total += member.size
            if total > MAX_BYTES or len(tree.files) >= MAX_FILES:
                raise ScanError(f"the tree is too large: more than {MAX_FILES} files or {MAX_BYTES >> 20} MB")
            source = tar.extractfile(member)
            _take(tree, path, source.read() if source else b"")
    return tree


def _take(tree: Tree, path: str, content: bytes) -> None:
    text = content.decode("utf-8", "replace")
    if path == ".checkignore":
        tree.ignore = ignores.read(text)
    elif path == ".python-version":
        tree.target = target_version(text)
    elif path == "greenroom.toml":
        found = ROOT.search(text)
        tree.root = found.group(1).strip("./") if found else ""
    else:
        place = os.path.join(tree.folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "wb") as file:
            file.write(content)
        tree.files[path] = text


def target_version(text: str) -> str:
    """ruff's name for the version in .python-version: ``3.12.4`` is ``py312``; empty when it is none that ruff knows."""
    found = re.match(r"\s*3\.(\d+)", text)
    return f"py3{found.group(1)}" if found and int(found.group(1)) in TARGETS else ""


def ruff(binary: str, tree: Tree, *extra: str) -> list[dict[str, Any]]:
    """What ruff finds in the tree, as it reports it. ScanError when it does not end well."""
    if not tree.files:
        return []
    argv = [binary, "check", "--isolated", "--no-cache", "--exit-zero", "--output-format", "json", "--quiet"]
    argv += ["--select", SELECT, "--ignore", IGNORE, *extra]
    argv += ["--target-version", tree.target] if tree.target else []
    done = subprocess.run([*argv, tree.folder], capture_output=True, stdin=subprocess.DEVNULL, check=False)
    if done.returncode:
        words = done.stderr.decode(errors="replace").strip()[-500:]
        raise ScanError(f"ruff ended with exit code {done.returncode}: {words or 'it said nothing'}")
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        raise ScanError(f"ruff's report cannot be read: {error}") from error


def findings(report: list[dict[str, Any]], tree: Tree, patterns: list[str]) -> tuple[list[baseline.Finding], int]:
    """ruff's report as findings, and how many were left out since their file is ignored."""
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
        severity = 1 if CRITICAL.match(rule) else 2
        column = int(item["location"]["column"])
        found.append(
            baseline.Finding("ruff", rule, path, row, column, severity, item["message"], baseline.squeeze(text))
        )
    return found, ignored


def suppressed(binary: str, tree: Tree, shown: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What ``# noqa`` keeps silent, as ruff reports it."""
    if not any(SUPPRESSION.search(text) for text in tree.files.values()):
        return []
    known = {_spot(item) for item in shown}
    return [item for item in ruff(binary, tree, "--ignore-noqa") if _spot(item) not in known]


def _spot(item: dict[str, Any]) -> tuple[Any, ...]:
    return item["filename"], item.get("code"), item["location"]["row"], item["location"]["column"]


def scan(binary: str, archive: str, folder: str) -> tuple[Tree, list[dict[str, Any]], list[dict[str, Any]]]:
    """One tree with its report and what is suppressed in it."""
    tree = unpack(archive, folder)
    report = ruff(binary, tree)
    return tree, report, suppressed(binary, tree, report)


def run_all(wish: dict[str, Any], out: str) -> dict[str, Any]:
    """Scan and compare. wish: {ruff, new, old (an archive, or null: everything is known), work (a folder), secrets (packages, or none)}."""
    began = time.monotonic()
    old: str | None = wish.get("old")
    try:
        with ThreadPoolExecutor(2) as pool:
            later = pool.submit(scan, wish["ruff"], old, os.path.join(wish["work"], "old")) if old else None
            tree, report, silent = scan(wish["ruff"], wish["new"], os.path.join(wish["work"], "new"))
            before = later.result() if later else None
    except (ScanError, OSError, tarfile.TarError) as error:
        return {"outcome": "error", "detail": str(error)}
    found, ignored = findings(report, tree, tree.ignore)
    if before is None:
        judged = [baseline.replace(finding, state="unchanged") for finding in baseline.number(found)]
    else:
        known, _ = findings(before[1], before[0], tree.ignore)
        renamed = baseline.renames(before[0].files, tree.files, (finding.path for finding in known))
        judged = baseline.compare(known, found, renamed)
    result = _result(judged)
    result.update(
        baseline=before is None,
        ignored=ignored,
        suppressed=len(silent),
        suppressed_before=len(before[2]) if before else len(silent),
        ignore_changed=before is not None and before[0].ignore != tree.ignore,
        files=len(tree.files),
        left_out=tree.left_out,
        rules=RULES,
    )
    quiet = [baseline.replace(finding, state="suppressed") for finding in baseline.number(findings(silent, tree, tree.ignore)[0])]
    result["findings"] += [{**asdict(f), "fingerprint": f.fingerprint()} for f in quiet[:MAX_SUPPRESSED]]
    _add_secrets(result, wish, tree)
    result["wall"] = round(time.monotonic() - began, 3)
    return result


def _add_secrets(result: dict[str, Any], wish: dict[str, Any], tree: Tree) -> None:
    """Put new secrets before all other findings; any of them is a failure, and not having looked an error."""
    if not wish.get("secrets") or not wish.get("old"):
        return
    try:
        secrets = run_secrets.look(wish, tree.ignore)
    except (run_secrets.TooMuchError, OSError, tarfile.TarError, ImportError) as error:
        result.update(outcome="error", detail=f"detect-secrets: {error}")
        return
    if secrets:
        result["findings"] = (secrets + result["findings"])[:MAX_REPORTED]
        result.update(outcome="failure", new=result["new"] + len(secrets), total=result["total"] + len(secrets))
    result["secrets"] = len(secrets)


def _result(judged: list[baseline.Finding]) -> dict[str, Any]:
    fresh = [finding for finding in judged if finding.state == "new"]
    ordered = sorted(judged, key=lambda f: (f.state != "new", f.severity, f.path, f.line))
    return {
        "outcome": "failure" if any(finding.severity <= 2 for finding in fresh) else "success",
        "detail": "",
        "total": len(judged),
        "new": len(fresh),
        "states": {state: sum(f.state == state for f in judged) for state in ("new", "unchanged", "updated", "moved")},
        "findings": [{**asdict(f), "fingerprint": f.fingerprint()} for f in ordered[:MAX_REPORTED]],
    }
