"""The worker's loop of the relays: sends mail in the traps to allowed recipients."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from django.db import connections

from greenroom.addons.mail import queries, rules
from greenroom.addons.mail.actions import relayed
from greenroom.addons.mail.drivers import relays
from greenroom.addons.mail.drivers.relays import Outcome
from greenroom.addons.models import Addon, RelayedMail
from greenroom.addons.queries import secret_of
from greenroom.apps.queries import is_gone
from greenroom.basics import outgoing
from greenroom.basics.errors import NotFoundError, PlatformError
from greenroom.basics.guard import Guard

log = logging.getLogger(__name__)

AT_ONCE = 20
"""Number of traps per turn."""


class Loop:
    """Called by the worker every second. allowed: networks besides the public ones that may be contacted.

    After a crash a message may be sent twice, with the same Message-ID.
    """

    def __init__(self, home: Path, allowed: Sequence[outgoing.Network] = ()) -> None:
        self.home, self.allowed = home, allowed
        self.guard = Guard(log)
        self.last: object = None

    def turn(self) -> bool:
        """Look at the next few traps with a relay, then make the attempts that are due. Whether there may be more."""
        rows = Addon.objects.filter(kind=rules.SERVICE.kind, state="provisioned", data__relay__host__isnull=False)
        ordered = rows.select_related("app").order_by("pk")
        found = list((ordered.filter(pk__gt=self.last) if self.last else ordered)[:AT_ONCE])
        more = False
        for addon in found:
            step = partial(relayed.collect, addon=addon, home=self.home)
            more |= bool(self.guard.run(addon.pk, f"the relay of {addon.name}", step, partial(is_gone, addon.app)))
        self.last = found[-1].pk if len(found) == AT_ONCE else None
        due = relayed.claim()
        if len(due) > 1:
            with ThreadPoolExecutor(len(due)) as pool:
                list(pool.map(self._send_in_thread, due))
        else:
            for row in due:
                self._send(row)
        return more or bool(due)

    def _send_in_thread(self, row: RelayedMail) -> None:
        try:
            self._send(row)
        finally:
            connections.close_all()

    def _send(self, row: RelayedMail) -> None:
        """Make one attempt of a claimed message and store its result. An error of Greenroom's own ends the attempt."""
        try:
            outcome = self._attempt(row)
        except Exception:
            log.exception("mail %s of %s could not be sent", row.number, row.addon.name)
            outcome = Outcome("internal error of Greenroom")
        done = partial(relayed.conclude, row=row, outcome=outcome)
        self.guard.run(row.pk, f"mail {row.number} of {row.addon.name}", done, partial(is_gone, row.addon.app))

    def _attempt(self, row: RelayedMail) -> Outcome:
        addon = row.addon
        relay = rules.relay_of(addon.data)
        if relay is None:
            return Outcome("the relay was removed", final=True)
        if not rules.is_allowed(row.recipient, queries.allowed_of(addon)):
            return Outcome("the recipient is no longer allowed", final=True)
        try:
            sender, message = queries.raw(addon, self.home, row.number)
        except NotFoundError:
            return Outcome("the mail is no longer in the trap", final=True)
        except PlatformError as error:
            return Outcome(error.message[:300])
        password = secret_of(addon, self.home).get("relay", "")
        return relays.send(
            relay=relay,
            password=password,
            sender=sender,
            recipient=row.recipient,
            message=message,
            allowed=self.allowed,
        )
