"""The source loop: fetches due sources, and delivers new commits like a push.

Each fetch is claimed in its row first and noted afterwards; after a crash it restarts when its lease expires or the
worker starts. New commits arrive as a push of the git room, with an intent before the ref update, so repeated fetches
deliver a commit once.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections

from greenroom.basics import clock, outgoing
from greenroom.basics.errors import GreenroomError
from greenroom.deliveries import actions as deliveries
from greenroom.git import actions as git
from greenroom.git.drivers import fetch, lfs_fetch, repository
from greenroom.git.rules import ZERO
from greenroom.sources import actions
from greenroom.sources.drivers.connection import Opened, opening
from greenroom.sources.models import Source

log = logging.getLogger(__name__)
HANDS = 3
TIDY_SECONDS = 3600.0


class Loop:
    """Called by the worker every second. A fetch may take minutes: it runs in its own thread and does not block the
    turn.

    allowed: networks besides the public ones that may be fetched from. hands: number of concurrent fetches; 0: fetch
    one after another within the turn.
    """

    def __init__(self, home: Path, allowed: Sequence[outgoing.Network] = (), hands: int = HANDS) -> None:
        self.home, self.allowed, self.hands = home, allowed, hands
        self.pool = ThreadPoolExecutor(hands, thread_name_prefix="source") if hands else None
        self.looks: dict[UUID, Future[None]] = {}
        self.first, self.tidied = True, clock.monotonic()

    def turn(self) -> bool:
        """Whether more work is due immediately."""
        if self.first:
            self.first = False
            actions.begin()
            actions.tidy()
        if clock.monotonic() - self.tidied > TIDY_SECONDS:
            self.tidied = clock.monotonic()
            actions.tidy()
        self.looks = {key: look for key, look in self.looks.items() if not look.done()}
        if self.pool is None:
            rows = actions.claim(10)
            for row in rows:
                self.look(row)
            return bool(rows)
        for row in actions.claim(self.hands - len(self.looks), busy=list(self.looks)):
            self.looks[row.pk] = self.pool.submit(self._in_thread, row)
        return False

    def _in_thread(self, source: Source) -> None:
        try:
            self.look(source)
        except Exception:
            log.exception("the source of %s could not be looked at", source.app.name)
        finally:
            connections.close_all()

    def look(self, source: Source) -> None:
        """Fetch a claimed source once and store the result."""
        began = clock.now()
        try:
            with opening(source, self.home, self.allowed) as ready:
                self._follow(source, ready, began)
        except (GreenroomError, outgoing.OutgoingError, OSError) as error:
            hint = getattr(error, "hint", "") or "greenroom source:sync tries again"
            actions.note(
                source=source,
                began=began,
                state="failing",
                problem=getattr(error, "message", "") or str(error),
                hint=hint,
            )

    def _follow(self, source: Source, ready: Opened, began: object) -> None:
        found = fetch.branches(ready.remote, name=source.branch)
        columns: dict[str, Any] = (
            {"known_hosts": ready.learned()} if ready.known_hosts and not source.known_hosts else {}
        )
        there = found.get(source.branch)
        if there is None:
            self._no_branch(source, ready, began, columns)
            return
        repo = git.create_repository(app=source.app, home=self.home)
        columns["seen"] = there
        here = repository.ref_on_disk(repo, f"refs/heads/{source.app.protected_branch}") or ZERO
        if there == here:
            actions.note(source=source, began=began, state="synced", **columns)
        elif (
            there == source.seen
            and source.state in ("refused", "rewritten")
            and there != source.accepted
            and not _asked(source)
        ):
            actions.note(
                source=source, began=began, state=source.state, problem=source.problem, hint=source.hint, **columns
            )
        else:
            self._take(source, ready, began, repo, here, columns)

    def _no_branch(self, source: Source, ready: Opened, began: object, columns: dict[str, Any]) -> None:
        others = sorted(fetch.branches(ready.remote))[:5]
        text = f"The repository has no branch {source.branch}" + (
            f"; it has {', '.join(others)}." if others else ", nor any other."
        )
        hint = f"greenroom source:set {source.url} --branch {others[0] if others else 'NAME'} -a {source.app.name}"
        actions.note(source=source, began=began, state="failing", problem=text, hint=hint, **columns)

    def _take(
        self, source: Source, ready: Opened, began: object, repo: Path, here: str, columns: dict[str, Any]
    ) -> None:
        with fetch.fetched(repo, ready.remote, branch=source.branch) as (commit, quarantine):
            columns["seen"] = commit
            decided = commit == source.accepted
            if ready.lfs:
                lfs_fetch.fetch(self.home, repo, commit, quarantine, ready.lfs, most=settings.LFS_MB * 1_000_000)
            answer = git.take(
                app=source.app,
                home=self.home,
                commit=commit,
                quarantine=quarantine,
                origin=source.url,
                forced=decided,
                account=source.accepted_by if decided else None,
            )
            lost = answer is not None and not answer.accepted and git.loses(repo, here, commit, quarantine)
        if answer is None:  # another push to the branch is in progress
            actions.note(source=source, began=began, state=source.state, soon=True, **columns)
        elif answer.accepted:
            actions.note(source=source, began=began, state="synced", taken=commit, accepted="", **columns)
            deliveries.wake()
        elif lost:
            text = (
                f"{source.branch} of the source was rewritten, or {source.app.protected_branch} here has commits that"
                f" it has not: {commit[:8]} does not contain {here[:8]}. Nothing was moved."
            )
            hint = f"to follow it and lose the others here: greenroom source:accept {commit[:8]} -a {source.app.name}"
            actions.note(source=source, began=began, state="rewritten", problem=text, hint=hint, **columns)
        else:
            text = " / ".join(line.strip(" !") for line in answer.lines[1:])
            actions.note(
                source=source,
                began=began,
                state="refused",
                problem=text,
                hint="mend it there and push again",
                **columns,
            )


def _asked(source: Source) -> bool:
    """Whether a fetch was requested since the last one."""
    return bool(source.wanted_at and source.looked_at and source.wanted_at > source.looked_at)
