"""semgrep with the rules in the repository's ``.semgrep/`` only: it downloads no rules and sends no telemetry.

The rules of the pushed tree apply to both trees, so that a new rule does not report old code as new.
"""

from __future__ import annotations

import os
import re
from typing import Any

from ..kind import Raw, Report, ScanError, Scanner, Sources, ended, python, read_json, relative, run, silent

RULES = ".semgrep"
SEVERITIES = {"CRITICAL": 1, "HIGH": 2, "ERROR": 2, "MEDIUM": 3, "WARNING": 3, "LOW": 4, "INFO": 4}
SILENCED = re.compile(r"\bnosem(?:grep)?\b")
READ = (".py", ".html", ".js", ".ts", ".yml", ".yaml", ".json")
QUIET = {"SEMGREP_SEND_METRICS": "off", "SEMGREP_ENABLE_VERSION_CHECK": "0"}


def look(tool: str, sources: Sources) -> Report:
    """Scan the tree with the pushed tree's rules. ScanError if there are no rules, or semgrep reports an error."""
    rules = os.path.join(sources.config, RULES)
    if not os.path.isdir(rules):
        raise ScanError(
            f"there are no rules: add them to {RULES}/ of the repository, or remove semgrep from greenroom.toml"
        )
    code, out, said = run(_argv(tool, rules), cwd=sources.folder, env=QUIET)
    if code not in (0, 1) and not out.startswith("{"):
        raise ended(code, out, said)
    if not out:
        raise silent(said)
    report = read_json(out)
    grave = [row for row in report.get("errors") or [] if str(row.get("level", "error")).lower() == "error"]
    if grave:
        words = next(
            (grave[0][key] for key in ("long_msg", "message", "short_msg", "type") if grave[0].get(key)),
            "an error without a message",
        )
        raise ScanError(str(words).replace(f"{sources.config.rstrip('/')}/", "")[:500])
    if code not in (0, 1):
        raise ended(code, out, said)
    rows = report.get("results")
    if not isinstance(rows, list):
        raise ScanError("its report has no results")
    prefix = rules.strip("/").replace("/", ".") + "."
    found = [_finding(row, prefix, sources) for row in rows]
    return Report(found, sum(len(SILENCED.findall(text)) for text in sources.files.values()))


def _argv(tool: str, rules: str) -> list[str]:
    argv = [python(tool), os.path.join(tool, "bin", "semgrep"), "scan", "--config", rules, "--json", "--quiet"]
    return [*argv, "--metrics=off", "--disable-version-check", "--no-git-ignore", "--exclude", RULES, "."]


def _finding(row: dict[str, Any], prefix: str, sources: Sources) -> Raw:
    return Raw(
        rule=str(row["check_id"]).split(prefix)[-1].split(f"{RULES.strip('.')}.")[-1],
        path=relative(row["path"], sources),
        line=int(row["start"]["line"]),
        message=str(row["extra"]["message"]).strip(),
        severity=SEVERITIES.get(str(row["extra"].get("severity", "")).upper(), 3),
        column=int(row["start"].get("col", 0)),
    )


SCANNER = Scanner(
    name="semgrep",
    requirement="semgrep==1.182.0",
    wanted=lambda path: path.endswith(READ) or path.startswith(f"{RULES}/"),
    look=look,
    rules=(f"{RULES}/",),
)
