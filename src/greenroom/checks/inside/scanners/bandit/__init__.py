"""bandit: insecure patterns in Python. Findings in tests are ignored, as with ruff's security rules."""

from __future__ import annotations

from ...ignores import is_test
from ..kind import Raw, Report, ScanError, Scanner, Sources, call, python, read_json, relative

LEVELS = ("LOW", "MEDIUM", "HIGH")


def severity(level: str, confidence: str) -> int:
    """1 for certain and serious findings, 2 for probable ones, 3 and 4 for hints."""
    if confidence not in LEVELS[1:]:
        return 4
    if level == "HIGH":
        return 1 if confidence == "HIGH" else 2
    return 2 if (level, confidence) == ("MEDIUM", "HIGH") else 3


def look(tool: str, sources: Sources) -> Report:
    """Scan all files of the tree. The repository's bandit settings are not in it and cannot weaken the scan."""
    if not sources.files:
        return Report()
    report = read_json(call([python(tool), "-m", "bandit", "-q", "-r", "-f", "json", "."], cwd=sources.folder))
    rows = report.get("results")
    if not isinstance(rows, list):
        raise ScanError("its report has no results")
    found = [
        Raw(
            rule=str(row["test_id"]),
            path=relative(row["filename"], sources),
            line=int(row["line_number"]),
            message=str(row["issue_text"]),
            severity=severity(row["issue_severity"], row["issue_confidence"]),
            column=int(row.get("col_offset") or 0) + 1,
        )
        for row in rows
    ]
    totals = (report.get("metrics") or {}).get("_totals") or {}
    silenced = int(totals.get("nosec", 0)) + int(totals.get("skipped_tests", 0))
    broken = [str(row.get("filename")) for row in report.get("errors") or []]
    note = f"bandit could not read {len(broken)} files, first: {relative(broken[0], sources)}" if broken else ""
    return Report([row for row in found if not is_test(row.path)], silenced, note)


SCANNER = Scanner(name="bandit", requirement="bandit==1.9.4", wanted=lambda path: path.endswith(".py"), look=look)
