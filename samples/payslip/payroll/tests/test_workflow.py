"""Tests of the workflow of a pay run from draft to paid, and of the permissions for each step."""

from decimal import Decimal

from django.db import IntegrityError, transaction

from audit.models import AuditEntry
from payroll import workflow
from payroll.models import FrozenError, PayRun, Payslip, PayslipLine
from payroll.tests.helpers import JUNE, MAY, PayrollTestCase
from payroll.workflow import WorkflowError


class CalculatingTests(PayrollTestCase):
    def test_everybody_employed_gets_a_payslip_with_their_own_figures(self):
        self.fly(self.sina, 3)
        run = self.calculated()
        figures = run.payslips.values_list("staff_name", "gross", "deductions", "net", "employer")
        expected = [
            ("Sina Blum", "4060.00", "406.00", "3654.00", "200.00"),
            ("Tom Alder", "5000.00", "500.00", "4500.00", "250.00"),
        ]
        self.assertEqual([(name, *map(str, rest)) for name, *rest in figures], expected)

    def test_calculating_again_takes_what_is_entered_now(self):
        run = self.calculated()
        self.fly(self.tom, 1)
        workflow.calculate(run, self.manager)
        self.assertEqual(run.payslips.get(staff=self.tom).gross, Decimal("5020.00"))
        self.assertEqual(run.payslips.count(), 2)

    def test_there_is_one_regular_run_a_month(self):
        self.calculated()
        with self.assertRaisesMessage(WorkflowError, "There is a run for May 2026 already"):
            workflow.create(MAY, self.manager)

    def test_a_month_without_staff_says_what_to_do(self):
        self.sina.employment.all().delete()
        self.tom.employment.all().delete()
        run = workflow.create(MAY, self.manager)
        with self.assertRaisesMessage(WorkflowError, "Add staff members"):
            workflow.calculate(run, self.manager)

    def test_components_in_the_wrong_order_stop_the_run_and_are_named(self):
        self.insurance.order = 1
        self.insurance.save()
        run = workflow.create(MAY, self.manager)
        with self.assertRaisesMessage(WorkflowError, "Change the order"):
            workflow.calculate(run, self.manager)

    def test_only_a_payroll_manager_starts_and_calculates(self):
        for user in (self.approver, self.member):
            with self.assertRaisesMessage(WorkflowError, "You may not start a pay run"):
                workflow.create(MAY, user)
        run = workflow.create(MAY, self.manager)
        with self.assertRaisesMessage(WorkflowError, "You may not calculate"):
            workflow.calculate(run, self.approver)


class ApprovingTests(PayrollTestCase):
    def test_approving_freezes_and_numbers_the_payslips(self):
        run = self.approved()
        numbers = list(run.payslips.values_list("number", flat=True))
        self.assertEqual(numbers, ["2026-05-0001", "2026-05-0002"])
        self.assertEqual(run.status, "approved")

    def test_nobody_approves_what_they_calculated_themselves(self):
        run = workflow.calculate(workflow.create(MAY, self.both), self.both)
        with self.assertRaisesMessage(WorkflowError, "another person has to approve it"):
            workflow.approve(run, self.both)

    def test_the_database_refuses_the_same_person_too(self):
        run = self.calculated()
        with self.assertRaises(IntegrityError), transaction.atomic():
            PayRun.objects.filter(pk=run.pk).update(status="approved", approved_by=self.manager)

    def test_a_manager_without_the_approvers_role_cannot_approve(self):
        with self.assertRaisesMessage(WorkflowError, "You may not approve"):
            workflow.approve(self.calculated(), self.manager)

    def test_a_run_whose_units_changed_since_has_to_be_calculated_again(self):
        run = self.calculated()
        self.fly(self.sina, 7)
        with self.assertRaisesMessage(WorkflowError, "have changed since the run was calculated"):
            workflow.approve(run, self.approver)

    def test_a_negative_net_pay_is_not_approved(self):
        self.rate(self.insurance, 120, self.tom)
        with self.assertRaisesMessage(WorkflowError, "below zero for Tom Alder"):
            workflow.approve(self.calculated(), self.approver)

    def test_a_run_is_not_approved_twice(self):
        run = self.approved()
        with self.assertRaisesMessage(WorkflowError, "is approved, so it cannot be approved now"):
            workflow.approve(run, self.approver)

    def test_a_draft_is_not_approved(self):
        with self.assertRaisesMessage(WorkflowError, "is draft"):
            workflow.approve(workflow.create(MAY, self.manager), self.approver)

    def test_sending_back_makes_a_draft_and_keeps_the_reason(self):
        run = workflow.send_back(self.calculated(), self.approver, "Tom flew twice")
        self.assertEqual(run.status, "draft")
        entry = AuditEntry.objects.get(action="run sent back")
        self.assertEqual(entry.changes["reason"], ["", "Tom flew twice"])

    def test_a_staff_member_sends_nothing_back(self):
        with self.assertRaises(WorkflowError):
            workflow.send_back(self.calculated(), self.member)


class PayingTests(PayrollTestCase):
    def test_an_approved_run_is_marked_as_paid_by_a_manager(self):
        run = self.paid()
        self.assertEqual((run.status, run.paid_by), ("paid", self.manager))

    def test_what_is_not_approved_is_not_paid(self):
        with self.assertRaisesMessage(WorkflowError, "cannot be marked as paid"):
            workflow.pay(self.calculated(), self.manager)

    def test_each_step_leaves_an_entry_with_the_person(self):
        self.paid()
        steps = AuditEntry.objects.filter(action__startswith="run ").order_by("pk")
        self.assertEqual(
            [(entry.action, entry.actor.username) for entry in steps],
            [
                ("run started", "mara"),
                ("run calculated", "mara"),
                ("run approved", "abel"),
                ("run paid", "mara"),
            ],
        )


class FrozenTests(PayrollTestCase):
    def setUp(self):
        self.run_ = self.approved()
        self.slip = self.run_.payslips.get(staff=self.sina)

    def test_an_approved_payslip_cannot_be_saved_or_deleted(self):
        slip = Payslip.objects.get(pk=self.slip.pk)
        for change in (slip.save, slip.delete):
            with self.assertRaisesMessage(FrozenError, "Correct a payslip from its page"):
                change()

    def test_its_lines_cannot_be_saved_or_deleted(self):
        line = self.slip.lines.first()
        line.payslip = Payslip.objects.get(pk=self.slip.pk)
        for change in (line.save, line.delete):
            with self.assertRaises(FrozenError):
                change()

    def test_changes_in_bulk_are_refused_too(self):
        for rows in (Payslip.objects.all(), PayslipLine.objects.all()):
            with self.assertRaises(FrozenError):
                rows.delete()
        with self.assertRaises(FrozenError):
            Payslip.objects.update(net=0)
        with self.assertRaises(FrozenError):
            PayslipLine.objects.update(amount=0)

    def test_an_approved_run_is_neither_calculated_nor_discarded(self):
        with self.assertRaises(WorkflowError):
            workflow.calculate(self.run_, self.manager)
        with self.assertRaises(WorkflowError):
            workflow.discard(self.run_, self.manager)

    def test_later_changes_of_the_staff_member_leave_the_payslip_alone(self):
        self.sina.name = "Sina Blum-Frey"
        self.sina.save()
        self.rate(self.salary, 9999, self.sina, JUNE)
        self.assertEqual(Payslip.objects.get(pk=self.slip.pk).staff_name, "Sina Blum")


class DiscardingTests(PayrollTestCase):
    def test_a_run_that_is_not_approved_can_be_discarded_and_started_again(self):
        workflow.discard(self.calculated(), self.manager)
        self.assertEqual(Payslip.objects.count(), 0)
        self.assertEqual(self.calculated().payslips.count(), 2)
