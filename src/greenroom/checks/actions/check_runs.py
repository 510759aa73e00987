"""Writes status changes and findings of single check runs. ``actions`` and ``steps`` decide which change is due."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.db import transaction

from greenroom.basics import clock
from greenroom.basics.errors import ConflictError
from greenroom.basics.text import printable
from greenroom.checks import rules
from greenroom.checks.builtin.results import Outcome
from greenroom.checks.models import Annotation, CheckRun

MAX_ANNOTATIONS = 1000
SUPPRESSED = {"suppressed": "inSource", "ignored": "external"}


def locked(run: CheckRun) -> CheckRun:
    """Reload the object and lock its row until the transaction ends."""
    run.refresh_from_db(from_queryset=CheckRun.objects.select_for_update(no_key=True))
    return run


def move(run: CheckRun, *, status: str, conclusion: str = "", **changes: Any) -> None:
    """Change the status of the run. Raises ConflictError if it is illegal or the row changed since the read."""
    problem = rules.move_problem(status=run.status, to_status=status, to_conclusion=conclusion)
    if problem:
        raise ConflictError(f"Check {run.name} of {run.sha[:8]}, attempt {run.attempt}: {problem}.")
    now = clock.now()
    if status == "in_progress":
        changes["started_at"] = now
    if status == "completed":
        changes["finished_at"] = now
    changes |= {"status": status, "conclusion": conclusion, "updated_at": now}
    if not CheckRun.objects.filter(pk=run.pk, status=run.status).update(**changes):
        raise ConflictError(
            f"Check {run.name} of {run.sha[:8]}, attempt {run.attempt}: its status changed in the meantime."
        )
    for key, value in changes.items():
        setattr(run, key, value)


def write(run: CheckRun, **changes: Any) -> None:
    for key, value in changes.items():
        setattr(run, key, value)
    run.save(update_fields=[*changes, "updated_at"])


@transaction.atomic
def complete(run: CheckRun, outcome: Outcome, say: Callable[[str], None]) -> None:
    """Complete the run with its dyno's outcome, unless it is already completed, and reload ``run``.

    say: receives the push output before the commit; a crash may repeat lines, but never loses them.
    """
    row = CheckRun.objects.select_for_update(no_key=True).get(pk=run.pk)
    if row.status != "completed":
        words = {
            "title": outcome.title[:255],
            "brief": (outcome.brief or outcome.title)[:2000],
            "notes": list(outcome.notes),
            "summary": outcome.summary[:65_535],
            "data": {**row.data, **outcome.data},
        }
        move(row, status="completed", conclusion=outcome.conclusion, **words)
        annotate(row, outcome.findings)
        if outcome.lines:
            say("\n".join(outcome.lines))
    for field in ("status", "conclusion", "title", "brief", "notes", "summary", "data", "finished_at", "updated_at"):
        setattr(run, field, getattr(row, field))


def keep_dyno(run: CheckRun, dyno: str) -> bool:
    """Set the dyno of a completed run again, so that the sweep ends it. False if the run is not completed."""
    return bool(CheckRun.objects.filter(pk=run.pk, status="completed").update(dyno=dyno))


def forget_dyno(run: CheckRun) -> None:
    """Record that the run's dynos have been cleaned up."""
    CheckRun.objects.filter(pk=run.pk).update(dyno="")


@transaction.atomic
def note_unswept(run: CheckRun) -> None:
    """Record the time of a failed cleanup of the run's dynos; the sweep retries such runs last."""
    row = CheckRun.objects.select_for_update(no_key=True).filter(pk=run.pk).first()
    if row is not None:
        row.data["unswept"] = clock.now().isoformat()
        row.save(update_fields=["data"])


def annotate(run: CheckRun, items: Sequence[Mapping[str, Any]]) -> None:
    room = MAX_ANNOTATIONS - Annotation.objects.filter(check_run=run).count() if items else 0
    Annotation.objects.bulk_create([_annotation(run, item) for item in items[: max(0, room)]])


def _place(item: Mapping[str, Any], key: str) -> int:
    return min(max(int(item.get(key) or 0), 0), 2_000_000_000)


def _annotation(run: CheckRun, item: Mapping[str, Any]) -> Annotation:
    return Annotation(
        check_run=run,
        path=printable(str(item["path"]))[:4000],
        line=_place(item, "line") or 1,
        end_line=_place(item, "end_line"),
        column=_place(item, "column"),
        end_column=_place(item, "end_column"),
        tool=printable(str(item.get("tool") or ""))[:40],
        rule=printable(str(item.get("rule") or ""))[:255],
        severity=min(max(int(item.get("severity") or 2), 1), 4),
        message=printable(str(item.get("message") or ""))[:65_535],
        raw_details=printable(str(item.get("raw_details") or ""))[:65_535],
        fingerprint=str(item.get("fingerprint") or "")[:64],
        new=item.get("state", "new") == "new",
        suppressed=SUPPRESSED.get(str(item.get("state")), ""),
        justification=printable(str(item.get("justification") or ""))[:2000],
    )
