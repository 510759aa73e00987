"""Units of a month: entered in a grid, or imported from a CSV file."""

import datetime as dt

from django.contrib import messages
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.http import urlencode
from django.views.decorators.http import require_safe

from payroll.access import manager_required
from payroll.dashboard import next_month
from payroll.forms import SearchForm, UnitFileForm, UnitsForm
from payroll.inputs import employed_in
from payroll.models import PayRun, UnitEntry, UnitType
from payroll.months import shift
from payroll.unitentry import save_units
from payroll.unitimport import STAFF_COLUMN, read
from payroll.views.tools import csv_download, page_of, posted

ROWS = 25


@require_safe
@manager_required
def this_month(request):
    """The month of the run that is not approved yet, otherwise the next one due."""
    unapproved = PayRun.objects.exclude(status__in=PayRun.FROZEN).order_by("month").first()
    month = unapproved.month if unapproved else min(next_month(), first_of_today())
    return redirect("units", month)


def first_of_today() -> dt.date:
    return timezone.localdate().replace(day=1)


@manager_required
def units(request, month: dt.date):
    search = SearchForm(request.GET)
    text = search.cleaned_data["q"].casefold() if search.is_valid() else ""
    people = [one.staff for one in employed_in(month) if text in f"{one.staff}".casefold()]
    page = page_of(request, people, ROWS)
    types = list(UnitType.objects.all())
    form = UnitsForm(page.object_list, types, month, posted(request))
    if request.method == "POST" and form.is_valid():
        count = save_units(month, form.cells(), "entered", request.user)
        messages.success(request, changed(count))
        query = urlencode(
            {key: value for key, value in request.GET.items() if key in ("page", "q")}
        )
        return redirect(f"{request.path}?{query}" if query else request.path)
    return render(request, "payroll/units.html", {**month_context(month), "form": form, "page": page,
                                                  "types": types, "search": search})  # fmt: skip


def changed(count: int) -> str:
    if not count:
        return "Nothing was different, so nothing was changed."
    return f"{count} value{'s' if count > 1 else ''} saved."


def month_context(month: dt.date) -> dict:
    return {
        "month": month,
        "previous": shift(month, -1),
        "next": shift(month, 1),
        "run": PayRun.objects.filter(month=month, type=PayRun.Type.REGULAR).first(),
    }


@manager_required
def units_import(request, month: dt.date):
    form = UnitFileForm(posted(request), request.FILES if request.method == "POST" else None)
    reading = None
    if request.method == "POST" and form.is_valid():
        reading = read(form.cleaned_data["file"].read(), month)
        if not reading.problems:
            count = save_units(month, reading.cells, "imported", request.user)
            messages.success(request, f"{reading.rows} rows read. {changed(count)}")
            return redirect("units", month)
    context = {
        **month_context(month),
        "form": form,
        "reading": reading,
        "staff_column": STAFF_COLUMN,
    }
    return render(request, "payroll/units_import.html", context | {"types": UnitType.objects.all()})


@require_safe
@manager_required
def units_template(request, month: dt.date):
    """A CSV template: everybody employed in the month, with the units entered so far."""
    types = list(UnitType.objects.all())
    stored = {
        (entry.staff_id, entry.unit_type_id): entry.quantity
        for entry in UnitEntry.objects.filter(month=month)
    }
    rows = [[STAFF_COLUMN, *(unit.code for unit in types)]]
    for one in employed_in(month):
        rows.append(
            [one.staff.number, *(stored.get((one.staff.pk, unit.pk), "") for unit in types)]
        )
    return csv_download(f"units-{month:%Y-%m}.csv", rows)
