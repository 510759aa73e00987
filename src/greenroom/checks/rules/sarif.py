"""Exports a check run's findings as SARIF 2.1.0 (OASIS standard) for editors and code hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/os/schemas/sarif-schema-2.1.0.json"
KIND = "application/sarif+json"
FIELDS = (
    "tool",
    "rule",
    "path",
    "line",
    "end_line",
    "column",
    "end_column",
    "severity",
    "message",
    "fingerprint",
    "new",
    "suppressed",
    "justification",
)
MAX_RESULTS = 5000
LEVELS = {1: "error", 2: "error", 3: "warning", 4: "note"}


def log_of(
    *, name: str, sha: str, conclusion: str, findings: Iterable[Mapping[str, Any]], versions: Mapping[str, str]
) -> dict[str, Any]:
    """One SARIF log with a run for each tool; a single run without results if there are no findings.

    findings: maps with FIELDS; severity is 1 to 4. versions: tool -> version.
    executionSuccessful is true if the check ended with success, failure or neutral.
    """
    by_tool: dict[str, list[Mapping[str, Any]]] = {}
    for item in findings:
        by_tool.setdefault(item["tool"] or name, []).append(item)
    done = conclusion in ("success", "failure", "neutral")
    runs = [_run(tool, items, sha, done, versions) for tool, items in sorted(by_tool.items())]
    return {"$schema": SCHEMA, "version": "2.1.0", "runs": runs or [_run(name, [], sha, done, versions)]}


def versions(data: Mapping[str, Any]) -> dict[str, str]:
    """tool -> version, from a check run's data."""
    found = {"ruff": (data.get("ruff") or {}).get("version")}
    found |= {
        name: part.get("version") for name, part in (data.get("scanners") or {}).items() if isinstance(part, dict)
    }
    return {tool: str(version) for tool, version in found.items() if version}


def _run(
    tool: str, items: list[Mapping[str, Any]], sha: str, done: bool, versions: Mapping[str, str]
) -> dict[str, Any]:
    rules = sorted({item["rule"] for item in items if item["rule"]})
    driver = {
        "name": tool,
        "rules": [{"id": rule} for rule in rules],
        **({"version": versions[tool]} if versions.get(tool) else {}),
    }
    return {
        "tool": {"driver": driver},
        "automationDetails": {"id": f"greenroom/{tool}/{sha}"},
        "invocations": [{"executionSuccessful": done}],
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, rules) for item in items],
    }


def _result(item: Mapping[str, Any], rules: list[str]) -> dict[str, Any]:
    region = {"startLine": max(1, item["line"])}
    if item.get("column"):
        region["startColumn"] = item["column"]
    if item.get("end_line", 0) > region["startLine"]:
        region["endLine"] = item["end_line"]
    if item.get("end_column"):
        region["endColumn"] = item["end_column"]
    place = {"artifactLocation": {"uri": quote(item["path"]), "uriBaseId": "%SRCROOT%"}, "region": region}
    return {
        **({"ruleId": item["rule"], "ruleIndex": rules.index(item["rule"])} if item["rule"] else {}),
        "level": LEVELS.get(item["severity"], "warning"),
        "message": {"text": item["message"] or item["rule"] or "finding"},
        "locations": [{"physicalLocation": place}],
        **({"partialFingerprints": {"greenroom/v1": item["fingerprint"]}} if item.get("fingerprint") else {}),
        "baselineState": "new" if item["new"] or item.get("suppressed") == "external" else "unchanged",
        **({"suppressions": [_suppression(item)]} if item.get("suppressed") else {}),
    }


def _suppression(item: Mapping[str, Any]) -> dict[str, Any]:
    why = {"justification": item["justification"]} if item.get("justification") else {}
    return {"kind": item["suppressed"], "status": "accepted", **why}
