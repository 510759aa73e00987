"""Messages to allowed recipients: recorded when they arrive, claimed before each attempt, then concluded."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q

from greenroom.addons.mail import queries, rules
from greenroom.addons.mail.drivers.relays import Outcome
from greenroom.addons.models import Addon, RelayedMail
from greenroom.outbox import Outbox

AT_ONCE = 4
"""Messages that are sent in parallel, of one trap each."""
OUTBOX = Outbox(
    model=RelayedMail,
    due="next_attempt_at",
    attempts="num_attempts",
    lease=timedelta(minutes=5),
    waiting=Q(state="waiting"),
)


def collect(*, addon: Addon, home: Path) -> bool:
    """Record the allowed recipients of messages that have arrived. Returns whether there may be more.

    PlatformError if the trap does not answer.
    """
    seen = int(addon.data["relayed"])
    with queries.connection(addon, home) as client:
        facts = client.facts("after", number=seen)
        found = [(int(row["number"]), [str(one) for one in row["to"]]) for row in facts["mails"]]
        first = int(facts["first"])
    _record(addon, seen, found)
    RelayedMail.objects.filter(addon=addon, number__lt=first).exclude(state="waiting").delete()
    return len(found) > 0


@transaction.atomic
def _record(addon: Addon, seen: int, found: list[tuple[int, list[str]]]) -> None:
    row = Addon.objects.select_for_update(no_key=True).get(pk=addon.pk)
    if not found or row.data.get("relayed") != seen or not row.data.get("relay"):
        return  # another process was faster, or the relay was set anew
    allowed = set(row.data.get("allow", []))
    RelayedMail.objects.bulk_create(
        [
            RelayedMail(addon=row, number=number, recipient=address)
            for number, to in found
            for address in rules.allowed_of(to, allowed)
        ],
        ignore_conflicts=True,
    )
    row.data["relayed"] = max(number for number, _ in found)
    row.save(update_fields=["data"])


def claim() -> list[RelayedMail]:
    """Claim the message that has been due longest of each of some traps."""
    oldest = OUTBOX.rows().order_by("addon_id", "next_attempt_at").distinct("addon_id").values_list("pk", flat=True)
    rows = OUTBOX.rows().filter(pk__in=list(oldest[:AT_ONCE])).select_related("addon__app")
    return OUTBOX.claim(rows, limit=AT_ONCE)


def conclude(*, row: RelayedMail, outcome: Outcome) -> None:
    """Store the result of the claimed attempt and the time of the next one."""
    wait = None if not outcome.error or outcome.final else rules.RETRIES.pause(row.num_attempts)
    state = "sent" if not outcome.error else "failed" if wait is None else "waiting"
    columns: dict[str, Any] = {"state": state, "error": outcome.error[:300]}
    OUTBOX.conclude(row, wait=wait, **columns)
