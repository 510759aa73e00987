"""Daily snapshots: their schedules and due dates."""

from __future__ import annotations

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.models import Addon, Schedule
from greenroom.addons.postgres import rules
from greenroom.basics import clock
from greenroom.basics.errors import NotFoundError, UserError


@transaction.atomic
def schedule(*, actor: Actor, addon: Addon, hour: int, timezone: str, name: str) -> Schedule:
    """Schedule a daily snapshot at that hour (0..23) of the time zone. Replaces the database's earlier schedule."""
    if not 0 <= hour <= 23:
        raise UserError(f"Invalid hour: {hour}.", hint="hours are 0 to 23")
    if rules.zone(timezone) is None:
        raise UserError(f"Unknown time zone: {timezone[:60]!r}.", hint="use a name like Europe/London, or UTC")
    facts = {"hour": hour, "timezone": timezone, "name": name[:80], "by": actor.email}
    row, made = Schedule.objects.update_or_create(addon=addon, defaults=facts)
    if made and (day := rules.due(hour=hour, timezone=timezone, last_day=None, now=clock.now())):
        row.last_day = day  # the first one is due tomorrow: today's hour has passed
        row.save(update_fields=["last_day"])
    audit(
        actor=actor,
        action="snapshot.schedule",
        app=addon.app,
        detail={"addon": addon.name, "hour": hour, "timezone": timezone},
    )
    return row


@transaction.atomic
def unschedule(*, actor: Actor, addon: Addon) -> Schedule:
    """Remove the schedule of the database. NotFoundError if there is none."""
    row = Schedule.objects.filter(addon=addon).first()
    if row is None:
        raise NotFoundError(f"{addon.name} has no schedule.", resource="schedule")
    audit(actor=actor, action="snapshot.unschedule", app=addon.app, detail={"addon": addon.name})
    Schedule.objects.filter(pk=row.pk).delete()
    return row


def of(addon: Addon) -> list[Schedule]:
    """The database's schedules: at most one."""
    return list(Schedule.objects.filter(addon=addon))


def take_due() -> list[Schedule]:
    """The schedules whose snapshot is due now; each is returned once a day."""
    taken = []
    for row in Schedule.objects.select_related("addon__app"):
        day = rules.due(hour=row.hour, timezone=row.timezone, last_day=row.last_day, now=clock.now())
        if day and Schedule.objects.filter(pk=row.pk, last_day=row.last_day).update(last_day=day):
            taken.append(row)
    return taken
