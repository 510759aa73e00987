"""Year-to-date figures: the sums of the year's approved payslips. A correction replaces its original payslip."""

import datetime as dt
from decimal import Decimal

from django.db.models import Q, Sum

from payroll.models import PayRun, Payslip

FIGURES = ("gross", "deductions", "net", "employer")


def effective(payslips):
    """Exclude payslips that an approved correction has replaced."""
    return payslips.filter(run__status__in=PayRun.FROZEN).exclude(
        correction__run__status__in=PayRun.FROZEN
    )


def before(run: PayRun) -> dict[int, dict[str, Decimal]]:
    """Sums of the year by staff member, without this run and the payslips that it corrects."""
    earlier = effective(Payslip.objects).filter(
        run__month__gte=dt.date(run.month.year, 1, 1), run__month__lte=run.month
    )
    earlier = earlier.filter(~Q(run=run)).exclude(correction__run=run)
    sums = (
        earlier.order_by()
        .values("staff_id")
        .annotate(**{f"total_{name}": Sum(name) for name in FIGURES})
    )
    return {row["staff_id"]: {name: row[f"total_{name}"] for name in FIGURES} for row in sums}


def fill_in(run: PayRun, payslips: list[Payslip]) -> None:
    """Set the year-to-date figures of these payslips of the run, without saving them."""
    totals = before(run)
    for payslip in payslips:
        earlier = totals.get(payslip.staff_id, {})
        for name in FIGURES:
            total = earlier.get(name, Decimal(0)) + getattr(payslip, name)
            setattr(payslip, f"ytd_{name}", total)
