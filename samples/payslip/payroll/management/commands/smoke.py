"""Runs the application's main task once, against the real tables, and rolls it back."""

import datetime as dt
import secrets

from django.core.management.base import BaseCommand
from django.db import transaction

from accounts.models import User
from payroll import workflow
from payroll.models import EmploymentPeriod, StaffMember

MONTH = dt.date(1990, 1, 1)


class Command(BaseCommand):
    help = "Write a person, a pay run and its payslip in one transaction, and take all of it back."

    def handle(self, *args, **options) -> None:
        word = secrets.token_hex(4)
        with transaction.atomic():
            user = User.objects.create(username=f"smoke-{word}", is_superuser=True)
            staff = StaffMember.objects.create(number=f"X-{word}", name="Smoke Test")
            EmploymentPeriod.objects.create(staff=staff, starts=MONTH, ends=MONTH, job_title="Test")
            run = workflow.calculate(workflow.create(MONTH, user), user)
            count = run.payslips.count()
            transaction.set_rollback(True)
        self.stdout.write(f"A run with {count} payslip was written and taken back.")
