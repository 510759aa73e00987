"""Saves units of a month, from the form or from a file. All changes of one save are one entry in the audit trail."""

import datetime as dt
from decimal import Decimal

from django.db import transaction

from audit.recorder import record
from payroll.models import StaffMember, UnitEntry, UnitType
from payroll.models.runs import PayRun

Cell = tuple[int, int]  # Staff member and unit type.


@transaction.atomic
def save_units(month: dt.date, cells: dict[Cell, Decimal | None], how: str, actor) -> int:
    """Store these cells (None clears a cell); returns the number of changed cells."""
    stored = {
        (entry.staff_id, entry.unit_type_id): entry
        for entry in UnitEntry.objects.select_for_update().filter(
            month=month, staff_id__in={staff for staff, _ in cells}
        )
    }
    fresh, changed, emptied, told = [], [], [], {}
    for cell, quantity in cells.items():
        entry = stored.get(cell)
        before = entry.quantity if entry else None
        if before == quantity:
            continue
        told[cell] = [before, quantity]
        if entry is None:
            staff, unit = cell
            fresh.append(
                UnitEntry(staff_id=staff, unit_type_id=unit, month=month, quantity=quantity)
            )
        elif quantity is None:
            emptied.append(entry)
        else:
            entry.quantity = quantity
            changed.append(entry)
    UnitEntry.objects.bulk_create(fresh)
    UnitEntry.objects.bulk_update(changed, ["quantity"])
    for entry in emptied:
        entry.delete()
    if told:
        record(f"units {how}", month_subject(month), spelled_out(told), actor)
    return len(told)


def month_subject(month: dt.date) -> PayRun:
    """The month's run if there is one, as users look for the entry there."""
    found = PayRun.objects.filter(month=month, type=PayRun.Type.REGULAR).first()
    return found or PayRun(month=month)


def spelled_out(told: dict[Cell, list]) -> dict[str, list]:
    staff = StaffMember.objects.in_bulk({one for one, _ in told})
    units = UnitType.objects.in_bulk()
    return {f"{staff[one]}, {units[unit]}": pair for (one, unit), pair in told.items()}
