"""Records a SARIF upload of an external tool as the check run ``scan/<tool>``, compared with the deployed commit.

Fingerprints use the line's text from the repository, so a finding keeps its identity when it moves (``greenroom/v1``).
"""

from __future__ import annotations

import re
import tarfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.db import transaction

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import UserError
from greenroom.basics.text import printable
from greenroom.checks import actions, queries, rules
from greenroom.checks.actions.check_runs import write
from greenroom.checks.builtin.results import plural
from greenroom.checks.builtin.scanning import source_file
from greenroom.checks.inside import baseline, ignores
from greenroom.checks.models import CheckRun
from greenroom.checks.rules.sarif_import import Row, Scan
from greenroom.git.queries import changed_paths

PREFIX = "scan/"
MAX_FILE = 4 * 1024 * 1024
NO_NAME = re.compile(r"[^a-z0-9._-]+")
Texts = dict[str, list[str]]


def name_of(tool: str) -> str:
    """The check name of a tool: ``Semgrep OSS`` is ``scan/semgrep-oss``. Raises UserError for an unusable name."""
    name = NO_NAME.sub("-", tool.lower()).strip("-.")[:60]
    if not name:
        raise UserError(f"Invalid tool name: {tool[:60]!r}.", hint="letters, digits, dots, dashes; for example bandit")
    return PREFIX + name


def upload(*, app: App, sha: str, scan: Scan, name: str, deployed_sha: str, home: Path, actor: Actor) -> CheckRun:
    """The check run of the upload. name: from ``name_of``; deployed_sha: the deployed commit, or empty.

    The baseline is the tool's last report on the deployed commit, else its last successful report. All findings of the
    first report count as known. Raises UserError and ForbiddenError like ``actions.report``.
    """
    before = _before(app, name, deployed_sha)
    old = _rows(before)
    texts, patterns = _texts(app, home, sha, {row.path for row in scan.rows})
    new = [
        _finding(name, row, texts) for row in scan.rows if not (row.suppressed or ignores.matches(row.path, patterns))
    ]
    if before is None:
        judged = [baseline.replace(finding, state="unchanged") for finding in baseline.number(new)]
    else:
        past, _ = _texts(app, home, before.sha, {row.path for row in old})
        renamed = _renamed(app, home, before.sha, sha)
        judged = baseline.compare((_finding(name, row, past) for row in old), new, renamed)
    findings = [_dict(finding) for finding in judged]
    findings = [rules.with_ignores(finding, queries.ignores(app), clock.now()) for finding in findings]
    findings += [_suppressed(name, row, texts) for row in scan.rows if row.suppressed]
    return _record(app, sha, scan, name, findings, before, actor)


def _before(app: App, name: str, deployed_sha: str) -> CheckRun | None:
    runs = CheckRun.objects.filter(app=app, name__iexact=name, status="completed", data__has_key="sarif").order_by(
        "-number"
    )
    return runs.filter(sha=deployed_sha).first() or runs.filter(conclusion="success").first()


def _rows(run: CheckRun | None) -> list[Row]:
    keys = ("rule", "path", "line", "end_line", "column", "severity", "message")
    return [Row(**dict(zip(keys, row, strict=True))) for row in run.data["sarif"]["rows"]] if run else []


def _texts(app: App, home: Path, sha: str, wanted: set[str]) -> tuple[Texts, list[str]]:
    """path -> lines for the wanted files of a commit, and the patterns in its .checkignore."""
    texts: Texts = {}
    patterns: list[str] = []
    with tarfile.open(source_file(app=app, home=home, sha=sha), "r:") as tar:
        for member in tar:
            path = member.name.removeprefix("./")
            file = (
                tar.extractfile(member)
                if member.isreg() and member.size <= MAX_FILE and path in {*wanted, ".checkignore"}
                else None
            )
            if file is not None:
                content = file.read().decode("utf-8", "replace")
                texts[path] = content.split("\n")
                patterns = ignores.read(content) if path == ".checkignore" else patterns
    return texts, patterns


def _finding(name: str, row: Row, texts: Mapping[str, list[str]]) -> baseline.Finding:
    lines = texts.get(row.path, [])
    text = lines[row.line - 1] if 0 < row.line <= len(lines) else ""
    tool = name.removeprefix(PREFIX)
    return baseline.Finding(
        tool,
        row.rule,
        row.path,
        row.line,
        row.column,
        row.severity,
        row.message,
        baseline.squeeze(text),
        end_line=row.end_line,
        end_column=row.end_column,
    )


def _renamed(app: App, home: Path, old: str, new: str) -> dict[str, str]:
    changes = changed_paths(app, home, old, new) if old != new else []
    return {change.old_path: change.path for change in changes if change.status == "R"}


def _dict(finding: baseline.Finding) -> dict[str, Any]:
    return {**asdict(finding), "fingerprint": finding.fingerprint()}


def _suppressed(name: str, row: Row, texts: Texts) -> dict[str, Any]:
    finding = _finding(name, row, texts)
    return {**_dict(finding), "state": "suppressed", "justification": row.justification}


def _record(
    app: App, sha: str, scan: Scan, name: str, findings: list[dict[str, Any]], before: CheckRun | None, actor: Actor
) -> CheckRun:
    fresh = [item for item in findings if item["state"] == "new"]
    blocking = [item for item in fresh if int(item["severity"]) <= baseline.BLOCKING]
    counted = [item for item in findings if item["state"] != "suppressed"]
    known = len(counted) - len(fresh)
    conclusion = "error" if not scan.done else "failure" if blocking else "success"
    title = f"{plural(len(fresh), 'new finding')} ({known} known)"
    if before is None:
        title = f"{plural(known, 'finding')}, counted as known: first report of this tool"
    if blocking:
        first = min(blocking, key=lambda item: (item["severity"], item["path"], item["line"]))
        title = (
            f"{plural(len(fresh), 'new finding')}, first: {first['path']}:{first['line']} {first['rule']}"
            f" {first['message']}"
        )
    title = printable(title if scan.done else scan.problem)
    ordered = sorted(findings, key=lambda item: (item["state"] != "new", item["severity"], item["path"], item["line"]))
    kept = [
        [row.rule, row.path, row.line, row.end_line, row.column, row.severity, printable(row.message)[:300]]
        for row in scan.rows
        if not row.suppressed
    ]
    with transaction.atomic():
        run = actions.report(
            app=app,
            sha=sha,
            name=name,
            status="completed",
            conclusion=conclusion,
            title=title,
            annotations=ordered,
            actor=actor,
            anew=True,
        )
        log = {"rows": kept, "version": printable(scan.version), "against": before.sha if before else ""}
        write(run, data={**run.data, "sarif": log}, notes=_notes(findings, before, scan))
    return run


def _notes(findings: list[dict[str, Any]], before: CheckRun | None, scan: Scan) -> list[str]:
    quiet = sum(item["state"] == "suppressed" for item in findings)
    past = before.annotations.filter(suppressed="inSource").count() if before else quiet
    held = [item for item in findings if item["state"] == "ignored"]
    notes = [f"this push adds {plural(quiet - past, 'suppression')} ({scan.tool[:60]})."] if quiet > past else []
    return [
        *notes,
        *(
            [
                f"{plural(len(held), 'new finding')} ignored, first: {held[0]['rule']} {held[0]['path']},"
                f" {held[0]['justification']}."
            ]
            if held
            else []
        ),
    ]


def one_of(scans: list[Scan], name: str) -> list[tuple[str, Scan]]:
    """(check, scan) for each scan in a log. A given name requires a log of a single tool, else UserError."""
    if not name:
        return [(name_of(scan.tool), scan) for scan in scans]
    if len(scans) > 1:
        tools = ", ".join(scan.tool for scan in scans)
        raise UserError(
            f"The log contains several tools ({tools[:200]}) and cannot be one check.", hint="omit the name"
        )
    return [(name_of(name.removeprefix(PREFIX)), scans[0])]
