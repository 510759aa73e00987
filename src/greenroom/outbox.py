"""Sends rows to external services: claims a row under a lease, counts the attempt before the request, then concludes it
or schedules the next attempt.

If a process dies after the claim, its row is due again when the lease ends: each row is sent at least once. The rooms
own the rows and the requests; only their actions call this module.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db import transaction
from django.db.models import Model, Q, QuerySet

from greenroom.basics import clock

Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Outbox(Generic[Row]):
    """A table of rows to send. due: column with the time of the next attempt, NULL for at once; attempts: column with
    their number. Both are columns of the room's own model.

    lease: longer than one request takes. waiting: the rows that are neither sent nor given up.
    """

    model: type[Row]
    due: str
    attempts: str
    lease: timedelta
    waiting: Q

    def rows(self) -> QuerySet[Row]:
        """The rows that are due, unordered."""
        due = Q(**{f"{self.due}__lte": clock.now()}) | Q(**{self.due: None})
        return self.model._default_manager.filter(self.waiting & due)

    @transaction.atomic
    def claim(
        self,
        rows: QuerySet[Row],
        *,
        limit: int,
        fits: Callable[[list[Row], Row], bool] = lambda taken, row: True,
        **columns: Callable[[], Any],
    ) -> list[Row]:
        """Claim some of ``rows``, in their order, that no other process has claimed. Counts the attempt and starts the
        lease.

        limit: maximum number of rows to examine. fits(taken, row): whether to claim the row in addition to those taken.
        columns: further columns to set, by a function that is called for each row.
        """
        until, taken = clock.now() + self.lease, list[Row]()
        for row in rows.select_for_update(no_key=True, skip_locked=True, of=("self",))[:limit]:
            if fits(taken, row):
                changes = {self.due: until, self.attempts: getattr(row, self.attempts) + 1}
                changes |= {name: make() for name, make in columns.items()}
                self._write(self.model._default_manager.filter(pk=row.pk), row, changes)
                taken.append(row)
        return taken

    def conclude(self, row: Row, *, wait: float | None, **columns: Any) -> bool:
        """Record the result of an attempt. False if the attempt has outlived its lease: then nothing changes, since
        another attempt may have started.

        wait: seconds until the next attempt, None for none.
        """
        at = clock.now() + timedelta(seconds=wait) if wait is not None else None
        counted = {self.attempts: getattr(row, self.attempts)}
        own = self.model._default_manager.filter(self.waiting, pk=row.pk, **counted)
        return self._write(own, row, {self.due: at, **columns}) == 1

    def _write(self, rows: QuerySet[Row], row: Row, changes: dict[str, Any]) -> int:
        for name, value in changes.items():
            setattr(row, name, value)
        return rows.update(updated_at=clock.now(), **changes)
