"""Combines the parts of a scan into one outcome: new findings that block, ignored findings, and notes.

A part is the result of one tool: {outcome, detail, total, new, findings, note, ...}. A missing value counts as no
findings, never as success.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from greenroom.basics.text import printable
from greenroom.checks import rules
from greenroom.checks.builtin.results import Outcome, indent, plural
from greenroom.checks.drivers import tools
from greenroom.checks.inside.baseline import BLOCKING
from greenroom.checks.rules import Ignore

SHOWN = 20
RUFF, MODELS, SQUAWK, SECRETS = "ruff", "makemigrations --check", "squawk", "detect-secrets"
SUPPRESSIONS = {RUFF: "noqa"}


@dataclass(frozen=True)
class Part:
    """One tool and its result."""

    name: str
    result: dict[str, Any]

    @property
    def outcome(self) -> str:
        return str(self.result["outcome"])

    @property
    def fresh(self) -> list[dict[str, Any]]:
        """The new findings that are listed."""
        return [
            item for item in self.result.get("findings", []) if isinstance(item, dict) and item.get("state") == "new"
        ]

    @property
    def new(self) -> int:
        """Number of new findings, including those not listed."""
        return int(self.result.get("new", 0))

    @property
    def blocking(self) -> int:
        """Number of blocking new findings. Findings that are not listed count as blocking."""
        return max(0, self.new - sum(not blocks(item) for item in self.fresh))


def blocks(finding: dict[str, Any]) -> bool:
    """Whether the finding is critical or a potential bug."""
    return int(finding.get("severity") or 2) <= BLOCKING


def combine(
    lint: dict[str, Any],
    models: dict[str, Any] | None,
    more: dict[str, Any] | None = None,
    *,
    ignores: Sequence[Ignore] = (),
    now: datetime | None = None,
    notes: Sequence[str] = (),
) -> Outcome:
    """All results as one outcome. models: None if the app does not use Django; more: None without optional scanners.

    notes: additional notes for the verdict.
    """
    parts = [judged(part, ignores, now) for part in _parts(lint, models, more)]
    for conclusion in ("failure", "timed_out", "error"):
        bad = [part for part in parts if part.outcome == conclusion]
        if bad:
            break
    else:
        conclusion, bad = "success", []
    headline = _headline(parts)
    notes = [*notes, *_notes(parts)]
    lines = [*headline, *_finding_lines(parts, notes), *_advice(parts), *_models_lines(models)]
    lines += _error_lines(parts[2:])
    brief = "; ".join(_brief(part) for part in bad)
    return Outcome(
        conclusion=conclusion,
        title=(brief or headline[0].removeprefix("-----> Scan: "))[:255],
        brief=brief,
        summary="\n".join(lines),
        notes=tuple(notes),
        lines=tuple(lines),
        data=_data(lint, models, parts[2:]),
        findings=tuple(item for part in parts for item in part.result.get("findings", []) if isinstance(item, dict)),
    )


def _parts(lint: dict[str, Any], models: dict[str, Any] | None, more: dict[str, Any] | None) -> list[Part]:
    """The parts in order: ruff, Django's checks, squawk, optional scanners."""
    parts = [Part(RUFF, lint), Part(MODELS, models or {"outcome": "success"})]
    if models and isinstance(models.get("squawk"), dict):
        parts.append(Part(SQUAWK, models["squawk"]))
    if more is None:
        return parts
    found = more.get("scanners")
    if not isinstance(found, dict) or not found:
        return [
            *parts,
            Part(
                "scanners",
                more if more["outcome"] != "success" else {"outcome": "error", "detail": "no result file"},
            ),
        ]
    return [*parts, *(Part(name, result) for name, result in found.items())]


def judged(part: Part, ignores: Sequence[Ignore], now: datetime | None) -> Part:
    """The part without ignored findings. A failure becomes a success only if all of its findings are listed."""
    findings = [item for item in part.result.get("findings", []) if isinstance(item, dict)]
    if not ignores or now is None or not findings:
        return part
    after = [rules.with_ignores(item, ignores, now) for item in findings]
    fresh = [item for item in after if item.get("state") == "new"]
    whole = len([item for item in findings if item.get("state") == "new"]) >= int(part.result.get("new", 0))
    outcome = part.outcome
    if outcome in ("success", "failure"):
        blocking = any(blocks(item) for item in fresh)
        outcome = "failure" if blocking or (outcome == "failure" and not whole) else "success"
    change = len(fresh) - sum(item.get("state") == "new" for item in findings)
    new = max(0, int(part.result.get("new", 0)) + change)
    return Part(part.name, {**part.result, "outcome": outcome, "findings": after, "new": new})


def _brief(part: Part) -> str:
    if part.outcome == "failure" and part.name != MODELS:
        first: dict[str, Any] = next((item for item in part.fresh if blocks(item)), {})
        where = f"{first.get('path')}:{first.get('line')} {first.get('rule')} {first.get('message')}"
        found = f"{plural(part.blocking, 'new finding')}, first: {printable(where)}"
        return found if part.name == RUFF else f"{part.name}: {found}"
    return f"{part.name}: {printable(str(part.result.get('detail', '')))}"


def _headline(parts: list[Part]) -> list[str]:
    lint = parts[0].result
    if parts[0].outcome in ("error", "timed_out"):
        return ["-----> Scan: could not be completed", f" !     {printable(str(lint.get('detail', '')))}"]
    new = sum(part.new for part in parts)
    blocking = sum(part.blocking for part in parts)
    known = sum(int(part.result.get("total", 0)) for part in parts) - new
    if lint.get("baseline"):
        return [f"-----> Scan: {plural(known, 'finding')}, counted as known: this is the first scan"]
    some = (
        ""
        if blocking == new
        else (
            f", {blocking or 'none'} of which block{'s' if blocking < 2 else ''}"
            if new > 1
            else ", which does not block"
        )
    )
    return [f"-----> Scan: {plural(new, 'new finding')}{some} ({max(0, known)} known)"]


def _finding_lines(parts: list[Part], notes: list[str]) -> list[str]:
    fresh = sorted((item for part in parts for item in part.fresh), key=lambda item: int(item.get("severity") or 2))
    lines = [
        printable(
            f"       {item.get('path')}:{item.get('line')}:{item.get('column')} {item.get('rule')}"
            f" {item.get('message')}"
        )
        + ("" if blocks(item) else " (does not block)")
        for item in fresh[:SHOWN]
    ]
    more = [f"       ... and {len(fresh) - SHOWN} more"] if len(fresh) > SHOWN else []
    return [*lines, *more, *(f"       {note}" for note in notes)]


def _advice(parts: list[Part]) -> list[str]:
    """The hint for the first blocking finding: fix it or mark it as a false positive."""
    first = next((item for part in parts if part.outcome == "failure" for item in part.fresh if blocks(item)), None)
    if first is None:
        return []
    ways = {
        RUFF: f"fix it, or add `# noqa: {first.get('rule')}` with a reason if it is a false positive",
        SECRETS: "move it to a config var, or add `# pragma: allowlist secret` if it is a false positive",
    }
    otherwise = (
        f"fix it, or ignore it: greenroom checks:ignore {str(first.get('fingerprint'))[:12]} --reason ... --until ..."
    )
    return [printable(f" !     hint: {ways.get(str(first.get('tool')), otherwise)}")]


MENDED = (
    ("without a migration", "run `python manage.py makemigrations`, commit the new file and push again"),
    ("in conflict", "run `python manage.py makemigrations --merge`, commit the new file and push again"),
    (
        "does not load with",
        (
            "`manage.py check` must work with the app's settings and requirements: set DJANGO_SETTINGS_MODULE"
            " (greenroom config:set DJANGO_SETTINGS_MODULE=...), or add missing packages to requirements.txt. Checks"
            ' see no other config vars: give those that loading needs a value for tests in app.json, {"environments":'
            ' {"test": {"env": {"NAME": "..."}}}}'
        ),
    ),
    ("system check", "run `python manage.py check`, fix the reported problems and push again"),
)
"""Part of Django's message -> the remedy."""


def _models_lines(models: dict[str, Any] | None) -> list[str]:
    if models is None or models["outcome"] == "success":
        return []
    shown = models.get("changes") or str(models.get("tail", "")).splitlines()
    detail = printable(str(models.get("detail", "")))
    hints = [
        f" !     hint: {remedy}" for words, remedy in MENDED if words in detail and models["outcome"] == "failure"
    ][:1]
    return [f" !     {detail}", *indent("\n".join(map(str, shown)), SHOWN), *hints]


def _error_lines(parts: list[Part]) -> list[str]:
    bad = [part for part in parts if part.outcome in ("error", "timed_out")]
    return [f" !     {part.name}: {printable(str(part.result.get('detail', '')))}" for part in bad]


def _notes(parts: list[Part]) -> list[str]:
    """Notes on a successful scan."""
    lint = parts[0].result
    notes = []
    for part in parts:
        added = int(part.result.get("suppressed", 0)) - int(part.result.get("suppressed_before", 0))
        if added > 0:
            notes.append(f"this push adds {plural(added, 'suppression')} ({SUPPRESSIONS.get(part.name, part.name)}).")
    if lint.get("ignore_changed"):
        notes.append("this push changes .checkignore.")
    if lint.get("baseline") and lint.get("total"):
        notes.append(f"{plural(int(lint['total']), 'finding')} of the first scan count as known.")
    if lint.get("left_out"):
        notes.append(f"{plural(int(lint['left_out']), 'file')} over 4 MB not scanned.")
    notes += [f"{printable(str(part.result['note']))[:500].rstrip('.')}." for part in parts if part.result.get("note")]
    return [*notes, *_ignored(parts), *_hazards(parts)]


def _ignored(parts: list[Part]) -> list[str]:
    rows = [
        item
        for part in parts
        for item in part.result.get("findings", [])
        if isinstance(item, dict) and item.get("state") == "ignored"
    ]
    first = printable(str(rows[0].get("justification", ""))) if rows else ""
    return (
        [f"{plural(len(rows), 'new finding')} ignored, first: {rows[0].get('rule')} {rows[0].get('path')}, {first}."]
        if rows
        else []
    )


def _hazards(parts: list[Part]) -> list[str]:
    """Hazards of new migrations for tables in use, if they do not block."""
    rows = [item for part in parts if part.name == SQUAWK for item in part.fresh if not blocks(item)]
    if not rows:
        return []
    first = f"{rows[0].get('path')}:{rows[0].get('line')} {rows[0].get('rule')}"
    return [f"new migrations have {plural(len(rows), 'hazard')} for tables in use, first: {printable(first)}."]


def _data(lint: dict[str, Any], models: dict[str, Any] | None, parts: list[Part]) -> dict[str, Any]:
    def kept(result: dict[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in result.items() if key not in ("findings", "tail")}

    shown = {key: value for key, value in models.items() if key != "squawk"} if models else None
    return {
        "ruff": {**kept(lint), "version": tools.ruff_version()},
        "models": shown,
        "scanners": {part.name: kept(part.result) for part in parts},
    }
