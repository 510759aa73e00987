"""The dashboard, and the list of the user's own payslips."""

from django.contrib.auth.decorators import login_required
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from payroll import dashboard as model
from payroll.access import sees_payroll
from payroll.models import Payslip
from payroll.views.tools import page_of


@require_safe
@login_required
def dashboard(request):
    whole = sees_payroll(request.user)
    mine = model.own_payslips(request.user)
    shown = Payslip.objects.all() if whole else Payslip.objects.filter(staff__user=request.user)
    return render(
        request,
        "payroll/dashboard.html",
        {
            "whole": whole,
            "run": model.current_run() if whole else None,
            "tasks": model.tasks_for(request.user) if whole else [],
            "latest": mine.first(),
            "chart": model.twelve_months(shown, timezone.localdate()),
        },
    )


@require_safe
@login_required
def my_payslips(request):
    page = page_of(request, model.own_payslips(request.user), 24)
    return render(request, "payroll/my_payslips.html", {"page": page})
