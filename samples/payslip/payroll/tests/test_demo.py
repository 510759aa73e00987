"""Tests of the demo data: realistic, complete, and unchanged by a second run."""

import datetime as dt
from io import StringIO

from django.core.management import call_command
from django.test import TestCase

from accounts.models import User
from payroll.demo import seed
from payroll.models import PayRun, Payslip, StaffMember


class SeedDemoTests(TestCase):
    def made(self, *options: str) -> str:
        out = StringIO()
        call_command("seed_demo", *options, stdout=out)
        return out.getvalue()

    def test_it_makes_a_year_of_paid_runs_and_three_people_who_can_sign_in(self):
        self.made("--password", "gliding-since-1957")
        self.assertEqual(PayRun.objects.filter(status="paid").count(), 12)
        for username in ("paula", "anton", "stella"):
            self.assertTrue(self.client.login(username=username, password="gliding-since-1957"))  # noqa: S106
        self.assertEqual(Payslip.objects.filter(staff__user__username="stella").count(), 12)
        paula, anton, stella = (User.objects.get(username=n) for n in ("paula", "anton", "stella"))
        self.assertTrue(paula.has_perm("payroll.manage_payroll"))
        self.assertTrue(anton.has_perm("payroll.approve_payrun"))
        self.assertFalse(stella.has_perm("payroll.manage_payroll"))

    def test_each_run_was_started_before_it_was_calculated_and_paid(self):
        seed(dt.date(2026, 6, 10), None)
        for run in PayRun.objects.all():
            self.assertLess(run.created_at, run.calculated_at)
            self.assertLess(run.calculated_at, run.paid_at)

    def test_making_it_again_adds_nothing_and_keeps_the_passwords(self):
        first = self.made()
        password = first.rsplit(": ", 1)[1].strip()
        before = (StaffMember.objects.count(), Payslip.objects.count())
        self.assertIn("0 paid runs added", self.made())
        self.assertEqual(before, (StaffMember.objects.count(), Payslip.objects.count()))
        self.assertTrue(self.client.login(username="paula", password=password))

    def test_a_month_later_one_more_run_is_added(self):
        seed(dt.date(2026, 6, 10), None)
        self.assertEqual(seed(dt.date(2026, 7, 10), None)["runs"], 1)
