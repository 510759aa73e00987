"""A payslip as a page and as a PDF, and its correction. Payslips of other people return 404, not 403."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from payroll import workflow
from payroll.access import manager_required, visible_payslips
from payroll.models import Kind, Payslip


def visible(request, pk: int) -> Payslip:
    payslips = visible_payslips(request.user).select_related("run", "corrects", "staff")
    return get_object_or_404(payslips.prefetch_related("lines"), pk=pk)


def sections(payslip: Payslip) -> list[dict]:
    """The lines by kind with their totals, for the page and the PDF."""
    totals = {
        Kind.EARNING: ("Earnings", "Gross pay", payslip.gross),
        Kind.DEDUCTION: ("Deductions", "Total deductions", payslip.deductions),
        Kind.EMPLOYER: ("Employer contributions", "Total paid by the employer", payslip.employer),
    }
    lines = list(payslip.lines.all())
    return [
        {"title": title, "total_label": label, "total": total, "kind": kind,
         "lines": [line for line in lines if line.kind == kind]}
        for kind, (title, label, total) in totals.items()
    ]  # fmt: skip


@require_safe
@login_required
def payslip(request, pk: int):
    found = visible(request, pk)
    correction = Payslip.objects.filter(corrects=found).select_related("run").first()
    if correction and not visible_payslips(request.user).filter(pk=correction.pk).exists():
        correction = None
    return render(
        request,
        "payroll/payslip.html",
        {"payslip": found, "sections": sections(found), "correction": correction},
    )


@require_safe
@login_required
def payslip_pdf(request, pk: int):
    # Imported here: the PDF library takes as long to load as the rest of the application.
    from payroll.payslip_pdf import render_pdf

    found = visible(request, pk)
    name = f"payslip-{found.number or f'preview-{found.pk}'}.pdf"
    response = HttpResponse(render_pdf(found, sections(found)), content_type="application/pdf")
    response["Content-Disposition"] = f'inline; filename="{name}"'
    return response


@require_POST
@manager_required
def correct(request, pk: int):
    found = get_object_or_404(Payslip, pk=pk)
    try:
        run = workflow.correct(found, request.user)
    except workflow.WorkflowError as problem:
        messages.error(request, str(problem))
        return redirect("payslip", pk)
    messages.success(
        request,
        f"A correction of {found.number} is open. Change the units or rates of {run.month:%B %Y}, "
        "then calculate this run; it is approved and paid like any other.",
    )
    return redirect("run", run.pk)
