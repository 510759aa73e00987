"""The smoke command writes through the main models, and leaves nothing behind."""

from io import StringIO
from unittest import mock

from django.core.management import call_command
from django.test import TestCase

from accounts.models import User
from payroll.models import PayRun, StaffMember


class SmokeTests(TestCase):
    def test_it_writes_a_run_with_a_payslip_and_takes_all_back(self):
        out = StringIO()
        call_command("smoke", stdout=out)
        self.assertIn("A run with 1 payslip", out.getvalue())
        counts = (User.objects.count(), StaffMember.objects.count(), PayRun.objects.count())
        self.assertEqual(counts, (0, 0, 0))

    def test_what_fails_in_the_database_is_not_hidden(self):
        failure = mock.patch("payroll.models.PayRun.objects.create", side_effect=ValueError("no"))
        with failure, self.assertRaisesMessage(ValueError, "no"):
            call_command("smoke", stdout=StringIO())
        self.assertEqual(User.objects.count(), 0)
