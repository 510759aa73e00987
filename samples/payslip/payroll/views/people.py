"""The list of staff and one staff member. The data are edited in the admin."""

from django.db.models import Prefetch, Q
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from payroll.forms import SearchForm
from payroll.models import ComponentRate, EmploymentPeriod, StaffMember
from payroll.views.runs import payroll_required
from payroll.views.tools import page_of


@require_safe
@payroll_required
def staff_list(request):
    latest = Prefetch("employment", EmploymentPeriod.objects.order_by("-starts"))
    people = StaffMember.objects.prefetch_related(latest)
    search = SearchForm(request.GET)
    if search.is_valid() and (text := search.cleaned_data["q"]):
        people = people.filter(Q(name__icontains=text) | Q(number__icontains=text))
    return render(
        request, "payroll/staff_list.html", {"page": page_of(request, people), "search": search}
    )


@require_safe
@payroll_required
def staff_member(request, pk: int):
    found = get_object_or_404(StaffMember.objects.select_related("user"), pk=pk)
    rates = ComponentRate.objects.filter(staff=found).select_related("component")
    payslips = found.payslips.select_related("run", "correction").order_by("-run__month", "-pk")
    return render(
        request,
        "payroll/staff_member.html",
        {
            "staff": found,
            "employment": found.employment.order_by("-starts"),
            "rates": rates.order_by("component__order", "-valid_from"),
            "page": page_of(request, payslips, 12),
        },
    )
