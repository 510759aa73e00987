"""Ends the work on add-ons that a restored installation cannot continue."""

from __future__ import annotations

from django.db import transaction

from greenroom.addons.models import Restore, Snapshot
from greenroom.basics import clock

WHY = "The installation was restored from a backup while this was being done."


@transaction.atomic
def end_interrupted() -> int:
    """Mark open snapshots and restores failed, and forget replaced databases: a backup contains none of their copies.
    Returns the number of rows. Repeatable.
    """
    now = clock.now()
    snapshots = Snapshot.objects.filter(state__in=("wanted", "running")).update(
        state="failed", failure=WHY, finished_at=now
    )
    restores = Restore.objects.filter(finished_at=None).update(state="failed", failure=WHY, finished_at=now)
    Restore.objects.exclude(kept="").update(kept="", kept_until=None)
    return snapshots + restores
