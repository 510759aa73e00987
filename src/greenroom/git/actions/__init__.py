"""Creates and removes repositories, and writes pushes: an intent before the ref moves, then the record.

Callers of ``accept`` and ``settle`` must hold the repository's lock (repository.locked, or the hook of the push);
``reconcile`` takes it.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from django.db import transaction
from django.db.models import Max

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM
from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.basics.errors import GreenroomError, PlatformError
from greenroom.git import rules
from greenroom.git.drivers import fetch, repository, runner
from greenroom.git.drivers.inspection import inspect
from greenroom.git.models import Push
from greenroom.git.rules import DEFAULT_LIMITS, ZERO, Limits, Update

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """The response to the pre-receive hook: whether the refs may move, and the ``remote:`` lines."""

    accepted: bool
    lines: list[str] = field(default_factory=list)


def create_repository(*, app: App, home: Path) -> Path:
    """Create the app's bare repository, or update the settings of an existing one. Raises PlatformError, OSError."""
    repo = home / app.repo_folder
    repository.make(repo, home=home, branch=app.protected_branch)
    return repo


def delete_repository(*, app: App, home: Path) -> None:
    """Remove the app's repository. Repeatable. Its pushes are deleted with the app's row."""
    repo = home / app.repo_folder
    if repo.exists():
        gone = repo.with_name(f"{repo.name}.gone")
        shutil.rmtree(gone, ignore_errors=True)
        repo.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)


def accept(
    *,
    app: App,
    home: Path,
    account: Account | None,
    updates: Sequence[Update],
    quarantine: Path | None,
    address: str = "",
    limits: Limits = DEFAULT_LIMITS,
    origin: str = "",
    forced: bool = False,
) -> Answer:
    """Check a push while its objects are in quarantine; if it is accepted, write its intents. Raises PlatformError.

    quarantine: git's folder with the new objects, None without new objects. origin: the URL of the source repository of
    a fetch. forced: a user has allowed that the branch loses commits.
    """
    repo = home / app.repo_folder
    look = inspect(
        repo,
        updates,
        protected=app.protected_branch,
        quarantine=_own(repo, quarantine),
        limits=limits,
        may_force=forced,
        fetched=bool(origin),
    )
    if look.refusals:
        return Answer(accepted=False, lines=rules.refusal_lines(look.refusals))
    repository.unlock_refs(repo)
    settle(app=app, home=home)
    record_intent(app=app, account=account, updates=updates, address=address, origin=origin, forced=forced)
    return Answer(accepted=True, lines=rules.notes(updates, app.protected_branch, look.trees))


def take(
    *,
    app: App,
    home: Path,
    commit: str,
    quarantine: Path | None,
    origin: str,
    account: Account | None = None,
    address: str = "",
    forced: bool = False,
    limits: Limits = DEFAULT_LIMITS,
) -> Answer | None:
    """Move the protected branch to a fetched commit, like a push: check, intent, objects, ref, record. Safe to kill:
    ``reconcile`` completes or abandons it. None when a push holds the repository's lock. PlatformError, OSError.
    forced: a user has allowed that the branch loses commits; otherwise such a commit is refused.
    """
    repo = home / app.repo_folder
    ref = f"refs/heads/{app.protected_branch}"
    with repository.locked(repo) as ours:
        if not ours:
            return None
        before = repository.ref_on_disk(repo, ref) or ZERO
        if before == commit:
            return Answer(accepted=True)
        update = Update(ref=ref, before=before, after=commit)
        forced = forced and loses(repo, before, commit, quarantine)
        answer = accept(
            app=app,
            home=home,
            account=account,
            updates=[update],
            quarantine=quarantine,
            address=address,
            limits=limits,
            origin=origin,
            forced=forced,
        )
        if answer.accepted:
            _move(app, home, update, quarantine)
        return answer


def _move(app: App, home: Path, update: Update, quarantine: Path | None) -> None:
    """Keep the new objects, move the ref and settle the intent."""
    repo = home / app.repo_folder
    if quarantine is not None:
        fetch.keep(repo, quarantine)
    runner.output(repo, ["update-ref", "--no-deref"], args=[update.ref, update.after, update.before])
    settle(app=app, home=home)


def loses(repo: Path, before: str, after: str, quarantine: Path | None = None) -> bool:
    """Whether moving a branch from ``before`` (zeros: it does not exist) to ``after`` loses commits."""
    words = ["merge-base", "--is-ancestor"]
    return before != ZERO and runner.run(repo, words, args=[before, after], quarantine=quarantine).code != 0


def _own(repo: Path, quarantine: Path | None) -> Path | None:
    if quarantine is None:
        return None
    folder = quarantine.resolve()
    if folder.parent != (repo / "objects").resolve() or not folder.name.startswith(("tmp_objdir-", "incoming-")):
        raise PlatformError("The quarantine folder is not one of this repository.", hint="push again")
    return folder


@transaction.atomic
def record_intent(
    *,
    app: App,
    account: Account | None,
    updates: Sequence[Update],
    address: str = "",
    origin: str = "",
    forced: bool = False,
) -> list[Push]:
    """Write a row for each ref that is about to move, with increasing ``seq``."""
    number = _next_seq(app)
    rows = [
        Push(
            app=app,
            seq=number + offset,
            ref=update.ref,
            before=update.before,
            after=update.after,
            account=account,
            address=address,
            origin=origin,
            forced=forced,
        )
        for offset, update in enumerate(rules.canonical_updates(updates, app.protected_branch))
    ]
    return Push.objects.bulk_create(rows)


def _next_seq(app: App) -> int:
    lock_app(app.pk)
    return 1 + (Push.objects.filter(app=app).aggregate(top=Max("seq"))["top"] or 0)


def settle(*, app: App, home: Path) -> list[Push]:
    """Settle the intents of the app by the current position of their refs: recorded or abandoned. Returns the recorded
    ones, in order. The caller must hold the repository's lock.
    """
    if not Push.objects.filter(app=app, state="intent").exists():
        return []
    now = repository.refs(home / app.repo_folder)
    with transaction.atomic():
        rows = Push.objects.select_for_update(no_key=True, of=("self",)).filter(app=app, state="intent")
        recorded = []
        for push in rows.select_related("app", "account").order_by("seq"):
            push.state = "recorded" if rules.settled(now.get(push.ref), push.after) else "abandoned"
            push.save(update_fields=["state"])
            if push.state == "recorded":
                _audit(push)
                recorded.append(push)
    return recorded


def _audit(push: Push) -> None:
    actor = actor_of(push.account, address=push.address) if push.account else PLATFORM
    detail = {"ref": push.ref, "before": push.before, "after": push.after, "seq": push.seq}
    detail |= ({"origin": push.origin} if push.origin else {}) | ({"forced": True} if push.forced else {})
    audit(actor=actor, action="git.push", app=push.app, detail=detail)


def reconcile(*, home: Path, only: App | None = None) -> list[Push]:
    """Settle the pushes that killed processes have left open, for all apps. Returns the newly recorded pushes.

    Skips repositories that a push is using. Removes old quarantine folders.
    """
    recorded: list[Push] = []
    waiting = set(Push.objects.filter(state="intent").values_list("app_id", flat=True))
    for app in [only] if only else App.objects.order_by("number"):
        repo = home / app.repo_folder
        if not repo.is_dir():
            continue
        repository.sweep(repo)
        if app.pk not in waiting and _accounted_for(app, repo):
            continue
        with repository.locked(repo) as ours:
            if ours:
                recorded += _repair(app, home)
    return recorded


def _repair(app: App, home: Path) -> list[Push]:
    try:
        repository.unlock_refs(home / app.repo_folder)
        found = settle(app=app, home=home)
        if not _accounted_for(app, home / app.repo_folder):
            found.append(_record_unexplained(app, home / app.repo_folder))
        return found
    except (GreenroomError, OSError) as error:
        log.warning("reconciling the pushes of %s failed, will retry: %s", app.name, error)
        return []
    except Exception:  # an error of one app must not stop the others
        log.exception("reconciling the pushes of %s failed, will retry", app.name)
        return []


def _accounted_for(app: App, repo: Path) -> bool:
    """Whether an intent or a recorded push explains the position of the protected branch."""
    ref = f"refs/heads/{app.protected_branch}"
    sha = repository.ref_on_disk(repo, ref)
    return sha is None or Push.objects.filter(app=app, ref=ref, after=sha).exclude(state="abandoned").exists()


@transaction.atomic
def _record_unexplained(app: App, repo: Path) -> Push:
    ref = f"refs/heads/{app.protected_branch}"
    last = Push.objects.filter(app=app, ref=ref, state="recorded").order_by("-seq").first()
    push = Push.objects.create(
        app=app,
        seq=_next_seq(app),
        ref=ref,
        before=last.after if last else ZERO,
        after=repository.ref_on_disk(repo, ref) or ZERO,
        state="recorded",
    )
    _audit(push)
    return push


def tidy(*, app: App, home: Path) -> bool:
    """Run ``git gc --auto``; True on success. Takes seconds to minutes."""
    repo = home / app.repo_folder
    config = [("gc.auto", "2000"), ("gc.autoPackLimit", "40")]
    try:
        return runner.run(repo, ["gc", "--auto", "--quiet"], config=config, timeout=600).code == 0
    except PlatformError as error:
        log.warning("git gc of the repository of %s failed: %s", app.name, error)
        return False
