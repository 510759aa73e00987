"""Realistic demo data: a small flying school with two dozen people. Running it again adds only missing rows."""

import datetime as dt
from decimal import Decimal

from django.db import transaction
from django.utils import timezone

from accounts.models import User
from payroll import workflow
from payroll.models import (
    ComponentRate,
    EmploymentPeriod,
    PayComponent,
    PayRun,
    StaffMember,
    UnitEntry,
    UnitType,
)
from payroll.months import last_day, shift

# Name, job, monthly salary, hourly rate, allowance per flight.
PEOPLE = [
    ("Paula Meier", "Head of administration", "7450", None, None),
    ("Anton Graf", "Managing director", "9200", None, "35"),
    ("Stella Rossi", "Flight instructor", "5800", None, "48"),
    ("Beat Kälin", "Chief flight instructor", "7900", None, "52"),
    ("Chiara Bernasconi", "Flight instructor", "5650", None, "48"),
    ("Dario Fontana", "Flight instructor", None, "44.50", "48"),
    ("Élodie Favre", "Flight instructor", None, "44.50", "48"),
    ("Fabian Huber", "Aircraft mechanic", "6150", None, None),
    ("Gizem Yılmaz", "Aircraft mechanic", "5980", None, None),
    ("Hana Novák", "Licensed engineer", "7120", None, "25"),
    ("Ivo Marković", "Hangar assistant", None, "29.80", None),
    ("Jana Lüscher", "Hangar assistant", None, "29.80", None),
    ("Kaspar Zgraggen", "Apprentice mechanic", "1150", None, None),
    ("Lena Brunner", "Receptionist", "4620", None, None),
    ("Milan Petrović", "Receptionist", None, "31.20", None),
    ("Noémie Rochat", "Theory teacher", None, "58.00", None),
    ("Oskar Lindqvist", "Theory teacher", None, "58.00", None),
    ("Petra Ammann", "Bookkeeper", "5380", None, None),
    ("Quentin Morel", "Tow pilot", None, "38.00", "22"),
    ("Rahel Sutter", "Tow pilot", None, "38.00", "22"),
    ("Samuel Okafor", "Simulator technician", "6040", None, None),
    ("Tanja Wyss", "Marketing", "4890", None, None),
    ("Urs Imhof", "Cleaner", None, "27.40", None),
    ("Vera Kowalczyk", "Cafeteria", None, "28.10", None),
]
UNITS = [("hours", "Hours"), ("flights", "Flights")]
EARNED = ("salary", "wage", "flight-allowance", "thirteenth")
SOCIAL = ("old-age", "unemployment", "accident", "pension")
# Order, code, name, kind, method, unit, bases, general rate, prorated.
COMPONENTS = [
    (10, "salary", "Monthly salary", "earning", "fixed", None, (), None, True),
    (20, "wage", "Hourly wage", "earning", "per_unit", "hours", (), None, True),
    (30, "flight-allowance", "Flight allowance", "earning", "per_unit", "flights", (), None, True),
    (40, "thirteenth", "Thirteenth month", "earning", "percentage", None, EARNED[:2], "8.3333", True),
    (50, "expenses", "Lump sum for expenses", "earning", "fixed", None, (), None, False),
    (110, "old-age", "Old-age insurance", "deduction", "percentage", None, EARNED, "5.3", True),
    (120, "unemployment", "Unemployment insurance", "deduction", "percentage", None, EARNED, "1.1", True),
    (130, "accident", "Accident insurance", "deduction", "percentage", None, EARNED, "1.24", True),
    (140, "pension", "Pension fund", "deduction", "percentage", None, EARNED[:2], "6.25", True),
    (150, "tax", "Tax at source", "deduction", "percentage", None, (*EARNED, *SOCIAL), None, True),
    (210, "er-old-age", "Old-age insurance, employer", "employer", "percentage", None, EARNED, "5.3", True),
    (220, "er-unemployment", "Unemployment insurance, employer", "employer", "percentage", None, EARNED, "1.1", True),
    (230, "er-pension", "Pension fund, employer", "employer", "percentage", None, EARNED[:2], "7.5", True),
    (240, "er-family", "Family allowance fund", "employer", "percentage", None, EARNED, "1.6", True),
]  # fmt: skip
TAXED = {7: "7.4", 9: "8.1", 11: "4.6", 15: "3.9", 21: "9.2"}
EXPENSES = {2: "350", 4: "120", 22: "150"}
USERS = [("paula", 1, "Payroll manager"), ("anton", 2, "Approver"), ("stella", 3, None)]


@transaction.atomic
def seed(today: dt.date, password: str | None) -> dict[str, int]:
    """Add missing data; returns the number of staff and of added runs."""
    this_month = today.replace(day=1)
    since = shift(this_month, -36)
    staff = make_staff(since, this_month)
    make_components(staff, since)
    users = make_users(staff, password)
    runs = 0
    for back in range(12, 0, -1):
        month = shift(this_month, -back)
        if not PayRun.objects.filter(month=month, type=PayRun.Type.REGULAR).exists():
            make_units(staff, month)
            pay_month(month, users)
            runs += 1
    return {"staff": len(staff), "runs": runs}


def make_staff(since: dt.date, this_month: dt.date) -> list[StaffMember]:
    StaffMember.objects.bulk_create(
        (
            StaffMember(
                number=f"S-{index:04}",
                name=name,
                email=f"{name.split()[0].lower()}@example.org" if name.isascii() else "",
                bank_account=f"CH{10 + index} 0900 0000 {1000 + index * 37:04} {index * 211 % 10000:04} {index % 10}",
            )
            for index, (name, *_) in enumerate(PEOPLE, start=1)
        ),
        ignore_conflicts=True,
    )
    numbers = [f"S-{index:04}" for index in range(1, len(PEOPLE) + 1)]
    staff = list(StaffMember.objects.filter(number__in=numbers).order_by("number"))
    employed = set(EmploymentPeriod.objects.values_list("staff_id", flat=True))
    EmploymentPeriod.objects.bulk_create(
        EmploymentPeriod(
            staff=one,
            job_title=PEOPLE[index][1],
            starts=start_of(index, since, this_month),
            ends=last_day(shift(this_month, -3)) - dt.timedelta(days=11) if index == 23 else None,
        )
        for index, one in enumerate(staff)
        if one.pk not in employed
    )
    return staff


def start_of(index: int, since: dt.date, this_month: dt.date) -> dt.date:
    """Most joined at ``since``; two joined in the middle of a month of the last year."""
    joined = {20: shift(this_month, -7).replace(day=16), 13: shift(this_month, -4).replace(day=9)}
    return joined.get(index, since)


def make_components(staff: list[StaffMember], since: dt.date) -> None:
    for code, name in UNITS:
        UnitType.objects.get_or_create(code=code, defaults={"name": name})
    units = {unit.code: unit for unit in UnitType.objects.all()}
    fresh = {}
    for order, code, name, kind, method, unit, bases, _, prorated in COMPONENTS:
        component, created = PayComponent.objects.get_or_create(
            code=code,
            defaults={
                "name": name,
                "kind": kind,
                "method": method,
                "order": order,
                "unit_type": units.get(unit),
                "prorated": prorated,
            },
        )
        if created:
            component.bases.set(PayComponent.objects.filter(code__in=bases))
            fresh[code] = component
    general = [(fresh[row[1]], None, row[7]) for row in COMPONENTS if row[1] in fresh and row[7]]
    own = [row for row in own_rates(fresh, staff) if row[2]]
    ComponentRate.objects.bulk_create(
        ComponentRate(component=component, staff=one, value=Decimal(value), valid_from=since)
        for component, one, value in general + own
    )


def own_rates(fresh: dict[str, PayComponent], staff: list[StaffMember]):
    for one, (_, _, salary, wage, flight) in zip(staff, PEOPLE, strict=True):
        index = int(one.number[2:])
        values = {
            "salary": salary,
            "wage": wage,
            "flight-allowance": flight,
            "expenses": EXPENSES.get(index),
            "tax": TAXED.get(index),
        }
        for code, value in values.items():
            if code in fresh:
                yield fresh[code], one, value


def make_users(staff: list[StaffMember], password: str | None) -> dict[str, User]:
    from django.contrib.auth.models import Group

    users = {}
    for username, index, group in USERS:
        one = staff[index - 1]
        first, _, last = one.name.partition(" ")
        user, created = User.objects.get_or_create(
            username=username,
            defaults={
                "first_name": first,
                "last_name": last,
                "email": f"{username}@example.org",
                "is_staff": username == "paula",
            },
        )
        if password:
            user.set_password(password)
            user.save()
        if created and group:
            user.groups.add(Group.objects.get(name=group))
        if one.user_id is None:
            one.user = user
            one.save()
        users[username] = user
    return users


def make_units(staff: list[StaffMember], month: dt.date) -> None:
    """Create hours and flights that vary by month but are the same on every machine."""
    units = {unit.code: unit for unit in UnitType.objects.all()}
    entries = []
    for one, (_, _, salary, wage, flight) in zip(staff, PEOPLE, strict=True):
        spread = int(one.number[2:]) * 7 + month.month * 5 + month.year
        quantities = {
            "hours": Decimal(70 + spread % 80) + Decimal(spread % 4) / 4 if wage else None,
            "flights": Decimal(6 + spread % 31 // (2 if salary else 1)) if flight else None,
        }
        entries += [
            UnitEntry(staff=one, unit_type=units[code], month=month, quantity=quantity)
            for code, quantity in quantities.items()
            if quantity
        ]
    UnitEntry.objects.bulk_create(entries, ignore_conflicts=True)


def pay_month(month: dt.date, users: dict[str, User]) -> None:
    end = dt.datetime.combine(last_day(month), dt.time(9, 0), timezone.get_current_timezone())
    run = workflow.create(month, users["paula"], at=end - dt.timedelta(days=6))
    workflow.calculate(run, users["paula"], at=end - dt.timedelta(days=4))
    workflow.approve(run, users["anton"], at=end - dt.timedelta(days=3))
    workflow.pay(run, users["paula"], at=end - dt.timedelta(days=1))
