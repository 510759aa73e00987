"""Updates an app's branch on the server. Recorded like a push (intent, ref, record) and safe to retry after a crash.

Also copies commits between the repositories of apps: only the objects of a commit, never refs or settings.
"""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

from greenroom.accounts.models import Account
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, PlatformError
from greenroom.git import actions, queries, rules
from greenroom.git.drivers import lfs_store, repository, runner
from greenroom.git.models import Push
from greenroom.git.rules import ZERO, Update

PATIENCE = 10.0
"""Seconds to wait for a running push."""


def move_branch(
    *,
    app: App,
    home: Path,
    sha: str,
    account: Account | None,
    branch: str = "",
    address: str = "",
    rewrite: bool = False,
) -> Push:
    """Move the branch (default: the protected one) to ``sha`` and record the push. A push to the protected branch is
    then delivered automatically.

    Repeatable: returns the last push of a branch that is already there. ConflictError when the protected branch would
    lose commits (unless ``rewrite``), or when a push holds the repository's lock for more than ten seconds.
    """
    repo = queries.repository_path(app, home)
    ref = rules.canonical(f"refs/heads/{branch or app.protected_branch}", app.protected_branch)
    deadline = time.monotonic() + PATIENCE
    while True:
        with repository.locked(repo) as ours:
            if ours:
                return _moved(app, home, repo, ref, sha, account, address, rewrite)
        if time.monotonic() > deadline:
            raise ConflictError(f"A push to {app.name} is in progress.", hint="try again in a few seconds")
        time.sleep(0.05)


def _moved(
    app: App, home: Path, repo: Path, ref: str, sha: str, account: Account | None, address: str, rewrite: bool
) -> Push:
    repository.unlock_refs(repo)
    actions.settle(app=app, home=home)
    before = repository.ref_on_disk(repo, ref) or ZERO
    if before == sha:
        known = Push.objects.filter(app=app, ref=ref, after=sha, state="recorded").order_by("-seq").first()
        if known:
            return known
    if (
        not rewrite
        and before not in (ZERO, sha)
        and rules.is_protected(ref, app.protected_branch)
        and not queries.is_ancestor(app, home, before, sha)
    ):
        raise ConflictError(rules.judge_force(app.protected_branch, before, sha).message)
    (push,) = actions.record_intent(
        app=app, account=account, updates=[Update(ref=ref, before=before, after=sha)], address=address
    )
    runner.output(repo, ["update-ref"], args=[ref, sha])
    actions.settle(app=app, home=home)
    push.refresh_from_db()
    return push


def lend(*, source: App, target: App, home: Path, sha: str) -> None:
    """Copy a commit and all objects that it needs from one app's repository to another's, files in Git LFS included.
    Repeatable. Raises NotFoundError, UserError, PlatformError.
    """
    queries.commit(source, home, sha)
    giving, taking = (queries.repository_path(app, home) for app in (source, target))
    lfs_store.lend(giving, taking, {pointer.oid for pointer in queries.tree(source, home, sha).found.pointers})
    _copy_objects(giving, taking, sha)


def _copy_objects(giving: Path, taking: Path, sha: str) -> None:
    pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
    packer = subprocess.Popen(
        runner.command(["pack-objects", "--quiet", "--revs", "--stdout", "--thin"]),
        stdin=pipe,
        stdout=pipe,
        stderr=nothing,
        env=runner.environment(giving),
        cwd="/",
    )
    indexer = subprocess.Popen(
        runner.command(["index-pack", "--stdin", "--fix-thin", "--strict"]),
        stdin=packer.stdout,
        stdout=nothing,
        stderr=pipe,
        env=runner.environment(taking),
        cwd="/",
    )
    for child in (packer, indexer):
        runner.limit(child.pid)
    _ask_for(packer, sha)
    try:
        _, complaint = indexer.communicate(timeout=queries.ARCHIVE_SECONDS)
        code = packer.wait(timeout=10)
    except subprocess.TimeoutExpired as error:
        raise PlatformError(f"Copying the commit {sha[:8]} timed out.", hint="try again") from error
    finally:
        for child in (packer, indexer):
            child.kill()
            child.wait()
    if code or indexer.returncode:
        raise PlatformError(
            f"Copying the commit {sha[:8]} failed: {runner.complaint(complaint)}", hint="greenroom doctor"
        )


def _ask_for(packer: subprocess.Popen[bytes], sha: str) -> None:
    """Write the commit id to the packer, and close the packer's output, which the other child reads."""
    assert packer.stdin
    assert packer.stdout
    packer.stdout.close()
    packer.stdin.write(f"{sha}\n".encode())
    packer.stdin.close()
