"""Tests of the first page after sign-in: open tasks by user, the current run, and the chart."""

import datetime as dt
from decimal import Decimal
from unittest import mock

from django.test import SimpleTestCase

from payroll import workflow
from payroll.chart import Bar, Chart, round_step, short
from payroll.dashboard import next_month, twelve_months
from payroll.models import Payslip
from payroll.tests.helpers import JUNE, MAY, PayrollTestCase

TODAY = dt.date(2026, 6, 15)


class DashboardTests(PayrollTestCase):
    def setUp(self):
        clock = mock.patch("django.utils.timezone.localdate", return_value=TODAY)
        clock.start()
        self.addCleanup(clock.stop)

    def page_of(self, user):
        self.as_user(user)
        return self.client.get("/")

    def test_a_manager_is_asked_to_start_the_next_run(self):
        self.paid(MAY)
        self.assertContains(self.page_of(self.manager), "There is no run for June 2026 yet.")
        self.assertNotContains(self.page_of(self.approver), "There is no run for")

    def test_nobody_is_asked_to_start_a_month_that_has_not_begun(self):
        self.paid(JUNE)
        self.assertContains(self.page_of(self.manager), "Nothing waits for you.")

    def test_a_paid_run_is_the_latest_one_and_not_the_current_one(self):
        self.paid(MAY)
        self.assertContains(self.page_of(self.manager), "Latest run")
        workflow.create(JUNE, self.manager)
        self.assertContains(self.page_of(self.manager), "Current run")

    def test_a_draft_waits_for_the_manager(self):
        workflow.create(JUNE, self.manager)
        self.assertContains(self.page_of(self.manager), "June 2026 is a draft.")

    def test_a_calculated_run_waits_for_the_approver_and_not_for_who_calculated_it(self):
        workflow.calculate(workflow.create(JUNE, self.both), self.both)
        self.assertContains(self.page_of(self.approver), "waits for approval")
        self.assertNotContains(self.page_of(self.both), "waits for approval")

    def test_an_approved_run_waits_for_its_payment(self):
        self.approved(JUNE)
        self.assertContains(self.page_of(self.manager), "waits for payment")

    def test_a_staff_member_sees_their_latest_payslip_and_no_run(self):
        self.paid(MAY)
        answer = self.page_of(self.member)
        self.assertContains(answer, "2026-05-0001")
        self.assertContains(answer, "My last twelve months")
        self.assertNotContains(answer, "Current run")

    def test_without_any_run_the_present_month_is_the_next(self):
        self.assertEqual(next_month(), JUNE)

    def test_the_chart_adds_up_the_approved_payslips_of_each_month(self):
        self.paid(MAY)
        bars = {bar.month: bar.parts for bar in twelve_months(Payslip.objects, TODAY).bars}
        self.assertEqual(len(bars), 12)
        self.assertEqual(bars[MAY], (Decimal(8100), Decimal(900), Decimal(450)))
        self.assertEqual(bars[JUNE], (0, 0, 0))


class ChartTests(SimpleTestCase):
    def test_the_scale_has_round_numbers_and_holds_the_largest_bar(self):
        for largest, step in (("0", "1"), ("7", "2"), ("9500", "2500"), ("158000", "50000")):
            self.assertEqual(round_step(Decimal(largest)), Decimal(step))

    def test_bars_are_stacked_without_gaps_up_to_their_total(self):
        chart = Chart([Bar(MAY, (Decimal(2), Decimal(1), Decimal(1)))])
        boxes = chart.rectangles()
        self.assertEqual(boxes[0].y + boxes[0].height, chart.baseline)
        self.assertAlmostEqual(boxes[1].y + boxes[1].height, boxes[0].y, places=1)
        self.assertEqual(boxes[2].y, chart.y(Decimal(4)))

    def test_a_chart_of_nothing_is_not_drawn(self):
        self.assertFalse(Chart([Bar(MAY, (Decimal(0),) * 3)]))

    def test_large_figures_are_shortened(self):
        texts = [short(Decimal(number)) for number in (0, 500, 2500, 5_000_000)]
        self.assertEqual(texts, ["0", "500", "2.5 k", "5 M"])
