"""Records external reports in GitHub's two forms: commit statuses, and check runs that are created and updated.

Both become attempts of the check with that name. The caller has checked the permission.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import transaction

from greenroom.accounts import actions as accounts
from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account, Token
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.basics.text import printable
from greenroom.checks import actions, queries, rules
from greenroom.checks.actions.check_runs import annotate, locked, write
from greenroom.checks.models import CheckRun, Pin, Status

MAX_STATUSES = 1000
"""Maximum number of statuses for one context of one commit, the same as on GitHub."""

ENDS = {"success": "success", "failure": "failure", "error": "error"}
Words = Mapping[str, Any]


@transaction.atomic
def add_status(
    *, app: App, sha: str, context: str, state: str, description: str = "", target_url: str = "", actor: Actor
) -> Status:
    """Store a commit status and update the check ``context``. ``pending`` after completion starts a new attempt.

    Raises UserError for a built-in context or more than 1000 statuses, ForbiddenError for a check pinned to another
    token.
    """
    lock_app(app.pk)
    if Status.objects.filter(app=app, sha=sha, context__iexact=context).count() >= MAX_STATUSES:
        raise UserError(f"This SHA and context has reached the maximum number of statuses ({MAX_STATUSES}).")
    conclusion = ENDS.get(state, "")
    actions.report(
        app=app,
        sha=sha,
        name=context,
        status="completed" if conclusion else "in_progress",
        conclusion=conclusion,
        title=description,
        url=target_url,
        actor=actor,
    )
    return Status.objects.create(
        app=app,
        sha=sha,
        context=printable(context).strip(),
        state=state,
        description=printable(description),
        target_url=printable(target_url),
        account_id=actor.account_id,
    )


@transaction.atomic
def open_run(
    *,
    app: App,
    sha: str,
    name: str,
    status: str,
    conclusion: str,
    words: Words,
    annotations: Sequence[Words],
    actor: Actor,
) -> CheckRun:
    """Start a new attempt of the check, or use the queued attempt of a re-run.

    words: title, summary, url, text, external_id, started_at, completed_at, all optional. Raises like ``report``.
    """
    lock_app(app.pk)
    before = queries.latest_of(app, sha, name)
    if before and before.status == "in_progress" and not before.builtin:
        actions.end_unfinished(app=app, run=before, why="replaced by a newer run of the check")
    run = actions.report(
        app=app,
        sha=sha,
        name=name,
        status=status,
        conclusion=conclusion,
        title=words.get("title", ""),
        summary=words.get("summary", ""),
        url=words.get("url", ""),
        annotations=annotations,
        actor=actor,
        anew=True,
    )
    return _detail(run, words)


@transaction.atomic
def change_run(
    *, app: App, run: CheckRun, status: str, conclusion: str, words: Words, annotations: Sequence[Words], actor: Actor
) -> CheckRun:
    """Change the status, texts or annotations of an attempt. status: empty to keep it.

    Decides on the current row, not on the caller's copy. Raises ConflictError for a different conclusion after
    completion or if there is a newer attempt; ForbiddenError and UserError like ``report``.
    """
    lock_app(app.pk)
    run = locked(run)
    newest = queries.latest_of(app, run.sha, run.name)
    if newest and newest.pk != run.pk and status:
        raise ConflictError(
            f"Check run {run.number} has a newer attempt, {newest.number}.", hint="update that run, or create a new one"
        )
    status, conclusion = (status, conclusion) if status else (run.status, run.conclusion)
    if run.status == "completed" and (status, conclusion) != (run.status, run.conclusion):
        raise ConflictError(f"Check run {run.number} has ended as {run.conclusion}.", hint="create a new check run")
    kept = {"title": run.title, "summary": run.summary, "url": run.url} | dict(words)
    if run.status == "completed":
        actions.refuse_report(app=app, run=run, actor=actor)
        write(run, title=printable(kept["title"])[:255], summary=printable(kept["summary"])[:65_535], url=kept["url"])
        annotate(run, [{"tool": run.name[:40], **item} for item in annotations])
        return _detail(run, words)
    changed = actions.report(
        app=app,
        sha=run.sha,
        name=run.name,
        status=status,
        conclusion=conclusion,
        title=kept["title"],
        summary=kept["summary"],
        url=kept["url"],
        annotations=annotations,
        actor=actor,
    )
    return _detail(changed, words)


def _detail(run: CheckRun, words: Words) -> CheckRun:
    """Store the fields that only check runs have: text, external id, start and end time."""
    changes: dict[str, Any] = {}
    own = {key: printable(words[key])[:65_535] for key in ("text", "external_id") if words.get(key)}
    if own:
        changes["data"] = {**run.data, **own}
    times: dict[str, datetime | None] = {
        "started_at": words.get("started_at"),
        "finished_at": words.get("completed_at"),
    }
    changes |= {column: moment for column, moment in times.items() if moment}
    if changes:
        write(run, **changes)
    return run


@transaction.atomic
def create_token(
    *, actor: Actor, app: App, names: tuple[str, ...], description: str, seconds: int | None, pinned: bool
) -> tuple[Token, str]:
    """Create a token that can report the named checks; returns it and its plain text, which is not stored.

    pinned: only reports with this token count for them.
    """
    token, plain = accounts.create_token(
        actor=actor,
        account=Account.objects.get(pk=actor.account),
        scopes=("checks:write",),
        app=app,
        checks=names,
        description=description,
        seconds=seconds,
    )
    if pinned:
        pin(app=app, names=token.checks, token_id=token.id, actor=actor)
    return token, plain


@transaction.atomic
def pin(*, app: App, names: Iterable[str], token_id: UUID, actor: Actor) -> None:
    """Pin the named checks to this token: reports of other tokens are refused. Replaces existing pins."""
    for name in names:
        Pin.objects.update_or_create(app=app, name=rules.key(name), defaults={"token_id": token_id})
    audit(actor=actor, action="check.pin", app=app, detail={"checks": list(names), "token": str(token_id)})


@transaction.atomic
def unpin(*, app: App, name: str, actor: Actor) -> None:
    """Accept reports of all tokens again. Raises NotFoundError if the check is not pinned."""
    gone, _ = Pin.objects.filter(app=app, name=rules.key(name)).delete()
    if not gone:
        raise NotFoundError(f"Check {name[:100]} is not pinned.", hint=f"greenroom checks:tokens -a {app.name}")
    audit(actor=actor, action="check.unpin", app=app, detail={"check": name[:100]})
