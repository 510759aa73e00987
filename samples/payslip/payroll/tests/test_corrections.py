"""Corrections are new payslips that refer to the old ones. Year-to-date figures follow them."""

import datetime as dt
from decimal import Decimal

from django.urls import reverse

from payroll import workflow
from payroll.models import EmploymentPeriod, Payslip
from payroll.tests.helpers import JUNE, MAY, PayrollTestCase
from payroll.workflow import WorkflowError


class CorrectionTests(PayrollTestCase):
    def corrected(self):
        """Tom's payslip of May, corrected for two forgotten flights."""
        self.old = self.paid().payslips.get(staff=self.tom)
        self.fly(self.tom, 2)
        run = workflow.correct(self.old, self.manager)
        workflow.calculate(run, self.manager)
        return workflow.approve(run, self.approver)

    def test_a_correction_is_a_new_payslip_that_refers_to_the_old_one(self):
        new = self.corrected().payslips.get()
        self.assertEqual(
            (new.corrects, new.staff, new.number), (self.old, self.tom, "2026-05-0003")
        )
        self.assertEqual(Payslip.objects.get(pk=self.old.pk).gross, Decimal(5000))

    def test_only_the_difference_is_still_to_be_paid(self):
        new = self.corrected().payslips.get()
        self.assertEqual((new.net, new.already_paid), (Decimal("4536.00"), Decimal("4500.00")))
        self.assertEqual(new.due, Decimal("36.00"))

    def test_a_correction_goes_the_same_way_with_another_person_approving(self):
        old = self.paid().payslips.get(staff=self.tom)
        run = workflow.correct(old, self.both)
        workflow.calculate(run, self.both)
        with self.assertRaisesMessage(WorkflowError, "another person"):
            workflow.approve(run, self.both)

    def test_a_payslip_is_corrected_once_and_then_its_correction_is(self):
        run = self.corrected()
        with self.assertRaisesMessage(WorkflowError, "has a correction already"):
            workflow.correct(self.old, self.manager)
        again = workflow.correct(run.payslips.get(), self.manager)
        self.assertEqual(again.payslips.get().corrects, run.payslips.get())

    def test_two_people_of_a_month_share_an_open_correction_run(self):
        run = self.paid()
        first = workflow.correct(run.payslips.get(staff=self.tom), self.manager)
        workflow.calculate(first, self.manager)
        second = workflow.correct(run.payslips.get(staff=self.sina), self.manager)
        self.assertEqual(first.pk, second.pk)
        self.assertEqual(second.status, "draft")
        workflow.calculate(second, self.manager)
        self.assertEqual(second.payslips.count(), 2)

    def test_a_payslip_that_is_not_approved_is_changed_and_not_corrected(self):
        slip = self.calculated().payslips.first()
        with self.assertRaisesMessage(WorkflowError, "is not approved yet"):
            workflow.correct(slip, self.manager)

    def test_only_a_manager_opens_a_correction(self):
        slip = self.paid().payslips.first()
        with self.assertRaises(WorkflowError):
            workflow.correct(slip, self.approver)

    def test_a_discarded_correction_leaves_the_old_payslip_correctable(self):
        slip = self.paid().payslips.get(staff=self.tom)
        workflow.discard(workflow.correct(slip, self.manager), self.manager)
        self.assertTrue(workflow.correct(slip, self.manager))

    def test_whoever_turns_out_not_to_have_been_there_gets_a_payslip_of_nothing(self):
        slip = self.paid().payslips.get(staff=self.tom)
        EmploymentPeriod.objects.filter(staff=self.tom).update(ends=dt.date(2026, 4, 30))
        run = workflow.correct(slip, self.manager)
        workflow.calculate(run, self.manager)
        workflow.approve(run, self.approver)
        new = run.payslips.get()
        self.assertEqual((new.net, new.due), (Decimal(0), Decimal("-4500.00")))

    def test_the_page_and_the_pdf_of_a_correction_tell_the_difference(self):
        new = self.corrected().payslips.get()
        self.as_user(self.manager)
        page = self.client.get(reverse("payslip", args=[new.pk]))
        self.assertContains(page, "Paid with 2026-05-0002")
        self.assertContains(page, "36.00")
        pdf = self.client.get(reverse("payslip-pdf", args=[new.pk])).content
        self.assertTrue(pdf.startswith(b"%PDF-"))


class YearToDateTests(PayrollTestCase):
    def ytd(self, run, staff) -> Decimal:
        return run.payslips.get(staff=staff).ytd_gross

    def test_each_month_adds_to_the_year(self):
        self.assertEqual(self.ytd(self.paid(MAY), self.tom), Decimal(5000))
        self.assertEqual(self.ytd(self.paid(JUNE), self.tom), Decimal(10000))

    def test_a_new_year_begins_with_nothing(self):
        self.paid(dt.date(2025, 12, 1))
        self.assertEqual(self.ytd(self.paid(dt.date(2026, 1, 1)), self.tom), Decimal(5000))

    def test_a_corrected_payslip_gives_way_to_its_correction(self):
        slip = self.paid(MAY).payslips.get(staff=self.tom)
        self.fly(self.tom, 2)
        run = workflow.correct(slip, self.manager)
        workflow.calculate(run, self.manager)
        workflow.approve(run, self.approver)
        self.assertEqual(self.ytd(run, self.tom), Decimal(5040))
        self.assertEqual(self.ytd(self.paid(JUNE), self.tom), Decimal(10040))

    def test_what_is_only_calculated_does_not_count(self):
        self.calculated(MAY)
        self.assertEqual(self.ytd(self.calculated(JUNE), self.tom), Decimal(5000))

    def test_deductions_net_pay_and_employer_contributions_are_added_up_too(self):
        self.paid(MAY)
        slip = self.paid(JUNE).payslips.get(staff=self.tom)
        figures = (slip.ytd_deductions, slip.ytd_net, slip.ytd_employer)
        self.assertEqual(figures, (Decimal(1000), Decimal(9000), Decimal(500)))
