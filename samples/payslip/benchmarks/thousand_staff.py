"""Measures a pay run of 1,000 people and its page. Run in the application's folder: python benchmarks/thousand_staff.py

Creates a test database next to that of DATABASE_URL and removes it afterwards.
Exits with an error if a limit in the README is exceeded.
"""

import datetime as dt
import os
import statistics
import sys
import time
from decimal import Decimal
from pathlib import Path

import django

ROOT = Path(__file__).resolve().parent.parent
PEOPLE = int(os.environ.get("PEOPLE", "1000"))
MONTH = dt.date(2026, 6, 1)
LIMITS = {"calculate": 2.0, "page": 0.3}


def hire(count: int) -> None:
    """Create staff with the components of the demo data: half on salaries, half paid by the hour."""
    from payroll import demo
    from payroll.inputs import employed_in
    from payroll.models import (
        ComponentRate,
        EmploymentPeriod,
        PayComponent,
        StaffMember,
        UnitEntry,
        UnitType,
    )

    since = dt.date(2024, 1, 1)
    staff = demo.make_staff(since, MONTH)
    demo.make_components(staff, since)
    more = StaffMember.objects.bulk_create(
        StaffMember(number=f"X-{index:05}", name=f"Person {index:05}")
        for index in range(count - len(employed_in(MONTH)))
    )
    EmploymentPeriod.objects.bulk_create(
        EmploymentPeriod(staff=one, starts=since, job_title="Pilot") for one in more
    )
    parts = {component.code: component for component in PayComponent.objects.all()}
    ComponentRate.objects.bulk_create(
        ComponentRate(
            component=parts["wage" if index % 2 else "salary"],
            staff=one,
            value=Decimal("31.50") if index % 2 else Decimal(5200 + index),
            valid_from=since,
        )
        for index, one in enumerate(more)
    )
    hours = UnitType.objects.get(code="hours")
    UnitEntry.objects.bulk_create(
        UnitEntry(staff=one, unit_type=hours, month=MONTH, quantity=Decimal(90 + index % 80))
        for index, one in enumerate(more)
        if index % 2
    )


def timed(work, times: int) -> list[float]:
    found = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        found.append(time.perf_counter() - start)
    return found


def measure() -> dict[str, list[float]]:
    from django.contrib.auth.models import Group
    from django.test import Client

    from accounts.models import User
    from payroll import workflow

    manager = User.objects.create_user("bench-manager")
    manager.groups.add(Group.objects.get(name="Payroll manager"))
    approver = User.objects.create_user("bench-approver")
    approver.groups.add(Group.objects.get(name="Approver"))
    hire(PEOPLE)
    run = workflow.create(MONTH, manager)
    found = {"calculate": timed(lambda: workflow.calculate(run, manager), 5)}
    browser = Client(HTTP_HOST="bench.localhost")
    browser.force_login(approver)
    browser.get(f"/runs/{run.pk}/")
    found["page"] = timed(lambda: browser.get(f"/runs/{run.pk}/"), 15)
    found["last page"] = timed(lambda: browser.get(f"/runs/{run.pk}/?page=20"), 5)
    found["csv"] = timed(lambda: browser.get(f"/runs/{run.pk}/payslips.csv"), 3)
    found["approve"] = timed(lambda: workflow.approve(run, approver), 1)
    print(f"{run.payslips.count()} payslips")
    return found


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "payslip.settings")
    sys.path.insert(0, str(ROOT))
    sys.argv[1:] = ["test"]  # The settings then use static files without collectstatic.
    django.setup()
    from django.db import connection

    before = connection.settings_dict["NAME"]
    connection.creation.create_test_db(verbosity=0, autoclobber=True)
    try:
        print(f"{PEOPLE} people on {connection.vendor}")
        found = measure()
    finally:
        connection.creation.destroy_test_db(before, verbosity=0)
    missed = 0
    for name, seconds in found.items():
        limit = LIMITS.get(name)
        verdict = "" if limit is None else f"  limit {limit * 1000:.0f} ms"
        print(
            f"{name:<10} median {statistics.median(seconds) * 1000:6.0f} ms"
            f"  slowest {max(seconds) * 1000:6.0f} ms{verdict}"
        )
        missed += limit is not None and max(seconds) > limit
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
