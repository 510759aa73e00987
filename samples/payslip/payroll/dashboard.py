"""The first page after sign-in: the current run, the user's open tasks, and a chart of twelve months."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Sum
from django.urls import reverse
from django.utils import timezone

from payroll.access import APPROVE, MANAGE
from payroll.chart import Bar, Chart
from payroll.models import PayRun, Payslip
from payroll.months import shift
from payroll.yeartodate import effective

Status = PayRun.Status


@dataclass(frozen=True)
class Task:
    """One open task, with its URL."""

    text: str
    address: str
    action: str


def next_month() -> dt.date:
    """The month after the last regular run; without any run, the present month."""
    latest = PayRun.objects.filter(type=PayRun.Type.REGULAR).order_by("-month").first()
    return shift(latest.month, 1) if latest else timezone.localdate().replace(day=1)


def tasks_for(user) -> list[Task]:
    open_runs = list(PayRun.objects.exclude(status=Status.PAID).order_by("month", "pk"))
    tasks = []
    for run in open_runs:
        address = reverse("run", args=[run.pk])
        if run.status == Status.DRAFT and user.has_perm(MANAGE):
            tasks.append(
                Task(
                    f"{run} is a draft. Enter the units, then calculate it.",
                    address,
                    "Open the run",
                )
            )
        elif run.status == Status.CALCULATED and user.has_perm(APPROVE):
            if run.calculated_by_id != user.pk:
                tasks.append(
                    Task(
                        f"{run} is calculated and waits for approval.", address, "Look and approve"
                    )
                )
        elif run.status == Status.APPROVED and user.has_perm(MANAGE):
            tasks.append(Task(f"{run} is approved and waits for payment.", address, "Open the run"))
    due = next_month()
    if user.has_perm(MANAGE) and due <= timezone.localdate():
        tasks.append(
            Task(f"There is no run for {due:%B %Y} yet.", reverse("run-new"), "Start the run")
        )
    return tasks


def current_run() -> PayRun | None:
    """The oldest run that is not paid, otherwise the latest one, with its totals."""
    runs = PayRun.objects.annotate(gross=Sum("payslips__gross"), net=Sum("payslips__net"))
    unpaid = runs.exclude(status=Status.PAID).order_by("month", "pk").first()
    return unpaid or runs.order_by("-month", "-pk").first()


def twelve_months(payslips, today: dt.date) -> Chart:
    """Net pay, deductions and employer contributions of the approved months."""
    this_month = today.replace(day=1)
    months = [shift(this_month, -back) for back in range(11, -1, -1)]
    sums = (
        effective(payslips)
        .filter(run__month__gte=months[0], run__month__lte=months[-1])
        .order_by()
        .values("run__month")
        .annotate(
            net_sum=Sum("net"), deductions_sum=Sum("deductions"), employer_sum=Sum("employer")
        )
    )
    found = {row["run__month"]: row for row in sums}
    zero = Decimal(0)
    bars = []
    for month in months:
        row = found.get(month, {})
        parts = (
            row.get("net_sum", zero),
            row.get("deductions_sum", zero),
            row.get("employer_sum", zero),
        )
        bars.append(Bar(month, parts))
    return Chart(bars)


def own_payslips(user):
    mine = Payslip.objects.filter(staff__user=user, run__status__in=PayRun.FROZEN)
    return mine.select_related("run", "correction").order_by("-run__month", "-pk")
