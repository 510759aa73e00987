"""Loads the input of a calculation for one month. The number of queries does not depend on the number of people."""

import datetime as dt
from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Q

from payroll import calculation
from payroll.models import (
    ComponentRate,
    EmploymentPeriod,
    PayComponent,
    StaffMember,
    UnitEntry,
)
from payroll.months import last_day


@dataclass
class Employed:
    """One person employed in the month, with the last job in it."""

    staff: StaffMember
    job_title: str
    days: int


def components() -> list[calculation.Component]:
    rows = PayComponent.objects.select_related("unit_type").prefetch_related("bases")
    found = [
        calculation.Component(
            code=row.code,
            name=row.name,
            kind=row.kind,
            method=row.method,
            unit_code=row.unit_type.code if row.unit_type else "",
            unit_name=row.unit_type.name if row.unit_type else "",
            bases=frozenset(base.code for base in row.bases.all()),
            prorated=row.prorated,
        )
        for row in rows
    ]
    calculation.check_order(found)
    return found


def employed_in(month: dt.date, only: set[int] | None = None) -> list[Employed]:
    """Everybody employed on at least one day of the month, by staff number."""
    end = last_day(month)
    periods = EmploymentPeriod.objects.filter(starts__lte=end).filter(
        Q(ends__isnull=True) | Q(ends__gte=month)
    )
    if only is not None:
        periods = periods.filter(staff__in=only)
    people: dict[int, Employed] = {}
    for period in periods.select_related("staff").order_by("staff__number", "starts"):
        one = people.setdefault(period.staff_id, Employed(period.staff, "", 0))
        one.job_title = period.job_title
        one.days += (min(period.ends or end, end) - max(period.starts, month)).days + 1
    return list(people.values())


class Rates:
    """The rates of one month; a person's own rate overrides the general one."""

    def __init__(self, month: dt.date) -> None:
        self.general: dict[str, Decimal] = {}
        self.own: dict[int, dict[str, Decimal]] = defaultdict(dict)
        rows = ComponentRate.objects.filter(valid_from__lte=month).filter(
            Q(valid_to__isnull=True) | Q(valid_to__gte=last_day(month))
        )
        for staff, code, value in rows.values_list("staff_id", "component__code", "value"):
            target = self.general if staff is None else self.own[staff]
            target[code] = value

    def of(self, staff: int) -> dict[str, Decimal]:
        return {**self.general, **self.own.get(staff, {})}


def units_in(month: dt.date) -> dict[int, dict[str, Decimal]]:
    units: dict[int, dict[str, Decimal]] = defaultdict(dict)
    rows = UnitEntry.objects.filter(month=month)
    for staff, code, quantity in rows.values_list("staff_id", "unit_type__code", "quantity"):
        units[staff][code] = quantity
    return units


def results_for(
    month: dt.date, only: set[int] | None = None
) -> list[tuple[Employed, calculation.Result]]:
    """Everybody's payslip for the month, calculated from the current data."""
    order, rates, units = components(), Rates(month), units_in(month)
    days = last_day(month).day
    return [
        (
            one,
            calculation.calculate(
                order,
                calculation.Circumstances(
                    days_employed=one.days,
                    days_in_month=days,
                    rates=rates.of(one.staff.pk),
                    units=units.get(one.staff.pk, {}),
                ),
            ),
        )
        for one in employed_in(month, only)
    ]
