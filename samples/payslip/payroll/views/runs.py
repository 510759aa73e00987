"""The list of pay runs, one run, and its workflow steps."""

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.db.models import Count, F, Q, Sum
from django.http import Http404
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from audit.models import AuditEntry
from payroll import workflow
from payroll.access import manager_required, sees_payroll
from payroll.dashboard import next_month
from payroll.export import run_rows
from payroll.forms import NewRunForm, SearchForm, SendBackForm
from payroll.models import PayRun
from payroll.views.tools import csv_download, page_of, posted

DONE = {
    "calculate": "The run is calculated. Somebody else can look at it and approve it now.",
    "approve": "The run is approved; its payslips are numbered, frozen and visible to their owners.",
    "pay": "The run is marked as paid.",
}


def payroll_required(view):
    """For payroll managers and approvers."""

    def checked(request, *args, **kwargs):
        if not sees_payroll(request.user):
            raise PermissionDenied
        return view(request, *args, **kwargs)

    return login_required(checked)


@require_safe
@payroll_required
def run_list(request):
    runs = PayRun.objects.annotate(people=Count("payslips"), total=Sum("payslips__net"))
    page = page_of(request, runs.order_by("-month", "-id"), 24)
    return render(request, "payroll/run_list.html", {"page": page})


@manager_required
def run_new(request):
    form = NewRunForm(posted(request), initial={"month": f"{next_month():%Y-%m}"})
    if request.method == "POST" and form.is_valid():
        try:
            return redirect("run", workflow.create(form.cleaned_data["month"], request.user).pk)
        except workflow.WorkflowError as problem:
            form.add_error("month", str(problem))
    return render(request, "payroll/run_new.html", {"form": form})


@require_safe
@payroll_required
def run(request, pk: int):
    found = get_object_or_404(
        PayRun.objects.select_related("created_by", "calculated_by", "approved_by", "paid_by"),
        pk=pk,
    )
    payslips = found.payslips.select_related("corrects")
    search = SearchForm(request.GET)
    if search.is_valid() and (text := search.cleaned_data["q"]):
        payslips = payslips.filter(Q(staff_name__icontains=text) | Q(staff_number__icontains=text))
    return render(
        request,
        "payroll/run.html",
        {
            "run": found,
            "steps": steps_of(found),
            "search": search,
            "totals": found.payslips.aggregate(
                people=Count("pk"),
                # Must precede the sums below: their names shadow the fields.
                due=Sum(F("net") - F("already_paid")),
                gross=Sum("gross"),
                deductions=Sum("deductions"),
                net=Sum("net"),
                employer=Sum("employer"),
            ),
            "page": page_of(request, payslips.order_by("staff_number", "pk")),
            "negative": found.payslips.filter(net__lt=0)[:5],
            "empty_slips": found.payslips.filter(gross=0).only("pk", "run_id", "staff_name"),
            "history": history_of(found)[:20],
            "send_back": SendBackForm(),
            "own_calculation": found.calculated_by_id == request.user.pk,
        },
    )


def history_of(found: PayRun):
    kind = PayRun._meta.verbose_name
    entries = AuditEntry.objects.filter(subject_type=kind, subject_id=str(found.pk))
    return entries.select_related("actor")


def steps_of(found: PayRun) -> list[dict]:
    """The four steps with user and time, for the line at the top of the page."""
    order = list(PayRun.Status)
    reached = order.index(PayRun.Status(found.status))
    who = [
        (found.created_by, found.created_at),
        (found.calculated_by, found.calculated_at),
        (found.approved_by, found.approved_at),
        (found.paid_by, found.paid_at),
    ]
    return [
        {
            "label": status.label,
            "by": by,
            "at": at,
            "done": index <= reached,
            "now": index == reached,
        }
        for index, (status, (by, at)) in enumerate(zip(order, who, strict=True))
    ]


@require_POST
@payroll_required
def step(request, pk: int, name: str):
    found = get_object_or_404(PayRun, pk=pk)
    if name not in DONE:
        raise Http404
    try:
        getattr(workflow, name)(found, request.user)
        messages.success(request, DONE[name])
    except workflow.WorkflowError as problem:
        messages.error(request, str(problem))
    return redirect("run", pk)


@require_POST
@payroll_required
def send_back(request, pk: int):
    found = get_object_or_404(PayRun, pk=pk)
    form = SendBackForm(request.POST)
    if not form.is_valid():
        messages.error(request, form.errors["reason"][0])
        return redirect("run", pk)
    try:
        workflow.send_back(found, request.user, form.cleaned_data["reason"])
        messages.success(request, "The run is a draft again; the reason is in its history.")
    except workflow.WorkflowError as problem:
        messages.error(request, str(problem))
    return redirect("run", pk)


@require_POST
@manager_required
def discard(request, pk: int):
    try:
        workflow.discard(get_object_or_404(PayRun, pk=pk), request.user)
    except workflow.WorkflowError as problem:
        messages.error(request, str(problem))
        return redirect("run", pk)
    messages.success(request, "The run is discarded. Units and base data are untouched.")
    return redirect("runs")


@require_safe
@payroll_required
def run_csv(request, pk: int):
    found = get_object_or_404(PayRun, pk=pk)
    return csv_download(f"payslips-{found.month:%Y-%m}-{found.pk}.csv", run_rows(found))
