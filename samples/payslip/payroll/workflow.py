"""The workflow of a pay run: draft, calculated, approved, paid, and later corrections.

Each step locks the run, checks that the step is allowed, and adds an entry to the audit trail.
"""

import datetime as dt

from django.db import IntegrityError, transaction
from django.utils import timezone

from audit.recorder import record
from payroll import yeartodate
from payroll.access import APPROVE, MANAGE
from payroll.calculation import CalculationError, Result
from payroll.inputs import Employed, results_for
from payroll.models import PayRun, Payslip, PayslipLine
from payroll.models.runs import ZERO
from payroll.months import last_day

Status = PayRun.Status


class WorkflowError(Exception):
    """A step that is not possible now; the message gives the reason and the alternative."""


def need(user, permission: str, what: str) -> None:
    if not user.has_perm(permission):
        raise WorkflowError(f"You may not {what}. Ask an administrator for the role that may.")


def locked(run: PayRun, allowed: tuple[str, ...], step: str) -> PayRun:
    """The current run, locked until the end of the transaction."""
    fresh = PayRun.objects.select_for_update().get(pk=run.pk)
    if fresh.status not in allowed:
        raise WorkflowError(
            f"The run for {fresh} is {fresh.get_status_display().lower()}, "
            f"so it cannot be {step} now. Reload the page to see where it stands."
        )
    return fresh


@transaction.atomic
def create(month: dt.date, user, at=None) -> PayRun:
    need(user, MANAGE, "start a pay run")
    regular = PayRun.objects.filter(month=month, type=PayRun.Type.REGULAR)
    try:
        with transaction.atomic():
            run = PayRun.objects.create(month=month, created_by=user)
    except IntegrityError:
        if not regular.exists():
            raise
        raise WorkflowError(
            f"There is a run for {month:%B %Y} already. Open it from the list of runs; "
            "what is paid is changed by correcting its payslips."
        ) from None
    if at is not None:
        PayRun.objects.filter(pk=run.pk).update(created_at=at)
        run.created_at = at
    record("run started", run, actor=user, at=at)
    return run


@transaction.atomic
def calculate(run: PayRun, user, at=None) -> PayRun:
    """Recalculate all payslips from the current data."""
    need(user, MANAGE, "calculate a pay run")
    run = locked(run, (Status.DRAFT, Status.CALCULATED), "calculated")
    corrected = correction_targets(run)
    results = computed(run, corrected)
    if not results:
        raise WorkflowError(
            f"Nobody is employed in {run.month:%B %Y}. Add staff members and their employment first."
        )
    run.payslips.all().delete()
    payslips = [payslip_of(run, one, result, corrected) for one, result in results]
    yeartodate.fill_in(run, payslips)
    Payslip.objects.bulk_create(payslips)
    PayslipLine.objects.bulk_create(
        line
        for payslip, (_, result) in zip(payslips, results, strict=True)
        for line in lines_of(payslip, result)
    )
    move(run, Status.CALCULATED, "calculated", user, at)
    net = sum((payslip.net for payslip in payslips), ZERO)
    record("run calculated", run, {"payslips": ["", len(payslips)], "net": ["", net]}, user, at)
    return run


def computed(run: PayRun, corrected: dict[int, Payslip]) -> list[tuple[Employed, Result]]:
    """The results for the run; for a correction run only for the people it corrects."""
    only = set(corrected) if run.type == PayRun.Type.CORRECTION else None
    try:
        results = results_for(run.month, only)
    except CalculationError as problem:
        raise WorkflowError(str(problem)) from problem
    if only is None:
        return results
    found = {one.staff.pk for one, _ in results}
    # A person who was not employed at all gets a payslip of zero.
    gone = [slip for staff, slip in corrected.items() if staff not in found]
    return results + [(Employed(slip.staff, slip.job_title, 0), Result(())) for slip in gone]


def correction_targets(run: PayRun) -> dict[int, Payslip]:
    if run.type != PayRun.Type.CORRECTION:
        return {}
    slips = Payslip.objects.filter(correction__run=run).select_related("staff")
    return {slip.staff_id: slip for slip in slips}


def payslip_of(run: PayRun, one: Employed, result: Result, corrected: dict) -> Payslip:
    old = corrected.get(one.staff.pk)
    return Payslip(
        run=run,
        staff=one.staff,
        corrects=old,
        staff_number=one.staff.number,
        staff_name=one.staff.name,
        bank_account=one.staff.bank_account,
        job_title=one.job_title,
        days_employed=one.days,
        days_in_month=last_day(run.month).day,
        gross=result.gross,
        deductions=result.deductions,
        net=result.net,
        employer=result.employer,
        already_paid=old.net if old else ZERO,
    )


def lines_of(payslip: Payslip, result: Result) -> list[PayslipLine]:
    return [
        PayslipLine(
            payslip=payslip,
            position=position,
            code=line.code,
            name=line.name,
            kind=line.kind,
            basis=line.basis,
            amount=line.amount,
        )
        for position, line in enumerate(result.lines, start=1)
    ]


@transaction.atomic
def approve(run: PayRun, user, at=None) -> PayRun:
    """Freeze and number the payslips. The user who calculated the run cannot approve it."""
    need(user, APPROVE, "approve a pay run")
    run = locked(run, (Status.CALCULATED,), "approved")
    if run.calculated_by_id == user.pk:
        raise WorkflowError("You calculated this run, so another person has to approve it.")
    payslips = list(run.payslips.prefetch_related("lines").order_by("staff_number"))
    refuse_negative(payslips)
    refuse_stale(run, payslips)
    yeartodate.fill_in(run, payslips)
    number(run, payslips)
    Payslip.objects.bulk_update(
        payslips, ["number", *(f"ytd_{name}" for name in yeartodate.FIGURES)], batch_size=500
    )
    move(run, Status.APPROVED, "approved", user, at)
    numbers = f"{payslips[0].number} to {payslips[-1].number}" if payslips else ""
    record("run approved", run, {"numbers": ["", numbers]}, user, at)
    return run


def refuse_negative(payslips: list[Payslip]) -> None:
    negative = [slip.staff_name for slip in payslips if slip.net < 0]
    if negative:
        raise WorkflowError(
            f"The net pay is below zero for {', '.join(negative[:5])}"
            f"{' and others' if len(negative) > 5 else ''}. Lower the deductions and calculate again."
        )


def refuse_stale(run: PayRun, payslips: list[Payslip]) -> None:
    """Refuse an approval if a calculation with the current data gives a different result."""
    now = {
        (one.staff.pk, line.code, line.name, line.kind, line.basis, line.amount)
        for one, result in computed(run, correction_targets(run))
        for line in result.lines
    }
    then = {
        (slip.staff_id, line.code, line.name, line.kind, line.basis, line.amount)
        for slip in payslips
        for line in slip.lines.all()
    }
    if now != then:
        raise WorkflowError(
            "Units or base data have changed since the run was calculated. "
            "Have a payroll manager calculate it again, then look at it again."
        )


def number(run: PayRun, payslips: list[Payslip]) -> None:
    """Number consecutively within the month, across the regular run and its corrections."""
    # All runs of the month are locked, so that two corrections cannot take the same numbers.
    list(PayRun.objects.select_for_update().filter(month=run.month).values_list("pk"))
    taken = Payslip.objects.filter(run__month=run.month, number__isnull=False).count()
    for offset, payslip in enumerate(payslips, start=taken + 1):
        payslip.number = f"{run.month:%Y-%m}-{offset:04}"


@transaction.atomic
def send_back(run: PayRun, user, reason: str = "", at=None) -> PayRun:
    """Return a calculated run to draft, with the reason in the audit trail."""
    if not (user.has_perm(MANAGE) or user.has_perm(APPROVE)):
        raise WorkflowError("You may not send a pay run back. Ask a payroll manager.")
    run = locked(run, (Status.CALCULATED,), "sent back")
    run.status = Status.DRAFT
    run.save(update_fields=["status"])
    record("run sent back", run, {"reason": ["", reason]}, user, at)
    return run


@transaction.atomic
def pay(run: PayRun, user, at=None) -> PayRun:
    need(user, MANAGE, "mark a pay run as paid")
    run = locked(run, (Status.APPROVED,), "marked as paid")
    move(run, Status.PAID, "paid", user, at)
    record("run paid", run, actor=user, at=at)
    return run


def move(run: PayRun, status: str, step: str, user, at) -> None:
    run.status = status
    setattr(run, f"{step}_by", user)
    setattr(run, f"{step}_at", at or timezone.now())
    run.save(update_fields=["status", f"{step}_by", f"{step}_at"])


@transaction.atomic
def correct(payslip: Payslip, user, at=None) -> PayRun:
    """Open a correction of an approved payslip, in the month's open correction run or a new one."""
    need(user, MANAGE, "correct a payslip")
    original = PayRun.objects.select_for_update().get(pk=payslip.run_id)
    if not original.frozen:
        raise WorkflowError(
            "This payslip is not approved yet. Change the units or rates and calculate again."
        )
    if Payslip.objects.filter(corrects=payslip).exists():
        raise WorkflowError("This payslip has a correction already. Open that one instead.")
    run = (
        PayRun.objects.filter(
            month=original.month,
            type=PayRun.Type.CORRECTION,
            status__in=(Status.DRAFT, Status.CALCULATED),
        )
        .exclude(payslips__staff=payslip.staff_id)
        .first()
    )
    if run is None:
        run = PayRun.objects.create(
            month=original.month, type=PayRun.Type.CORRECTION, created_by=user
        )
    elif run.status == Status.CALCULATED:
        run.status = Status.DRAFT
        run.save(update_fields=["status"])
    Payslip.objects.create(
        run=run,
        staff_id=payslip.staff_id,
        corrects=payslip,
        staff_number=payslip.staff_number,
        staff_name=payslip.staff_name,
        job_title=payslip.job_title,
        already_paid=payslip.net,
    )
    record("correction opened", payslip, {"correction run": ["", run.pk]}, user, at)
    return run


@transaction.atomic
def discard(run: PayRun, user) -> None:
    """Remove a run that is not approved, with its previews."""
    need(user, MANAGE, "discard a pay run")
    run = locked(run, (Status.DRAFT, Status.CALCULATED), "discarded")
    record("run discarded", run, actor=user)
    run.payslips.all().delete()
    run.delete()
