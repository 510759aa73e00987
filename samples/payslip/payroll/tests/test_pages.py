"""The pages, and access to them by role."""

from decimal import Decimal

from django.urls import reverse

from payroll import workflow
from payroll.models import PayRun
from payroll.templatetags.payroll_format import rate
from payroll.tests.helpers import JUNE, MAY, PayrollTestCase, make_user


class OwnPayslipTests(PayrollTestCase):
    def test_a_staff_member_sees_their_own_payslip_and_its_pdf(self):
        slip = self.paid().payslips.get(staff=self.sina)
        self.as_user(self.member)
        self.assertContains(self.client.get(reverse("payslip", args=[slip.pk])), "3,600.00")
        pdf = self.client.get(reverse("payslip-pdf", args=[slip.pk]))
        self.assertEqual(pdf["Content-Type"], "application/pdf")
        self.assertTrue(pdf.content.startswith(b"%PDF-"))

    def test_somebody_elses_payslip_is_not_found(self):
        slip = self.paid().payslips.get(staff=self.tom)
        self.as_user(self.member)
        for name in ("payslip", "payslip-pdf"):
            self.assertEqual(self.client.get(reverse(name, args=[slip.pk])).status_code, 404)

    def test_ones_own_payslip_is_not_found_before_it_is_approved(self):
        slip = self.calculated().payslips.get(staff=self.sina)
        self.as_user(self.member)
        self.assertEqual(self.client.get(reverse("payslip", args=[slip.pk])).status_code, 404)
        self.assertContains(self.client.get(reverse("my-payslips")), "no payslip of yours yet")

    def test_a_replaced_payslip_leads_to_its_correction_once_that_is_approved(self):
        slip = self.paid().payslips.get(staff=self.sina)
        self.fly(self.sina, 1)
        run = workflow.correct(slip, self.manager)
        workflow.calculate(run, self.manager)
        self.as_user(self.member)
        address = reverse("payslip", args=[slip.pk])
        self.assertNotContains(self.client.get(address), "is replaced by")
        workflow.approve(run, self.approver)
        self.assertContains(self.client.get(address), "is replaced by")

    def test_the_list_of_ones_own_payslips_leaves_out_everybody_elses(self):
        self.paid()
        self.as_user(self.member)
        answer = self.client.get(reverse("my-payslips"))
        self.assertContains(answer, "2026-05-0001")
        self.assertNotContains(answer, "2026-05-0002")

    def test_a_user_who_is_no_staff_member_is_told_so(self):
        self.as_user(make_user("nobody"))
        self.assertContains(self.client.get(reverse("my-payslips")), "linked to your staff number")
        self.assertContains(self.client.get("/"), "The chart begins with the first approved month")


class FiguresOnPagesTests(PayrollTestCase):
    def test_payslips_of_nothing_are_named_and_lead_to_their_page(self):
        self.person("S-3", "Nora Vogt", 0)
        run = self.calculated()
        self.as_user(self.manager)
        answer = self.client.get(reverse("run", args=[run.pk]))
        slip = run.payslips.get(staff_name="Nora Vogt")
        self.assertContains(answer, "1 payslip comes to nothing:")
        self.assertContains(answer, f'<a href="{reverse("payslip", args=[slip.pk])}">Nora Vogt</a>.')

    def test_amounts_of_the_history_look_like_all_other_amounts(self):
        run = self.calculated()
        self.as_user(self.manager)
        self.assertContains(self.client.get(reverse("run", args=[run.pk])), "net: 8,100.00")

    def test_own_rates_keep_their_third_and_fourth_decimal(self):
        for value, shown in (("5800", "5,800.00"), ("44.5", "44.50"), ("0.125", "0.125")):
            self.assertEqual(rate(Decimal(value)), shown)


class ForbiddenTests(PayrollTestCase):
    def addresses(self):
        run = self.paid()
        return [
            reverse("runs"),
            reverse("run", args=[run.pk]),
            reverse("run-csv", args=[run.pk]),
            reverse("run-new"),
            reverse("units", args=[MAY]),
            reverse("units-import", args=[MAY]),
            reverse("units-template", args=[MAY]),
            reverse("staff-list"),
            reverse("staff-member", args=[self.tom.pk]),
            reverse("audit-trail"),
        ]

    def test_a_staff_member_may_not_open_any_page_of_the_payroll(self):
        addresses = self.addresses()
        self.as_user(self.member)
        for address in addresses:
            with self.subTest(address):
                self.assertEqual(self.client.get(address).status_code, 403)

    def test_a_stranger_is_asked_to_sign_in_everywhere(self):
        for address in ["/", reverse("my-payslips"), *self.addresses()]:
            with self.subTest(address):
                answer = self.client.get(address)
                self.assertRedirects(answer, f"{reverse('sign-in')}?next={address}")

    def test_a_staff_member_may_not_take_any_step(self):
        run = self.calculated()
        self.as_user(self.member)
        for name in ("calculate", "approve", "pay"):
            address = reverse("run-step", args=[run.pk, name])
            self.assertEqual(self.client.post(address).status_code, 403)
        self.assertEqual(PayRun.objects.get().status, "calculated")

    def test_a_step_is_not_taken_by_following_a_link(self):
        run = self.calculated()
        self.as_user(self.approver)
        address = reverse("run-step", args=[run.pk, "approve"])
        self.assertEqual(self.client.get(address).status_code, 405)

    def test_a_step_that_does_not_exist_is_not_found(self):
        run = self.calculated()
        self.as_user(self.approver)
        self.assertEqual(self.client.post(f"/runs/{run.pk}/destroy/").status_code, 404)


class RunPageTests(PayrollTestCase):
    def step(self, user, name: str, **data):
        self.as_user(user)
        address = f"/runs/{PayRun.objects.first().pk}/{name}/"
        return self.client.post(address, data, follow=True)

    def test_a_month_goes_from_start_to_paid_on_the_pages(self):
        self.as_user(self.manager)
        answer = self.client.post(reverse("run-new"), {"month": "2026-05"}, follow=True)
        self.assertContains(answer, "Enter or import the units of May 2026")
        self.assertContains(self.step(self.manager, "calculate"), "The run is calculated.")
        self.assertContains(self.step(self.approver, "approve"), "The run is approved")
        self.assertContains(self.step(self.manager, "pay"), "The run is marked as paid.")

    def test_whoever_calculated_is_told_that_another_person_approves(self):
        workflow.calculate(workflow.create(MAY, self.both), self.both)
        self.as_user(self.both)
        answer = self.client.get(f"/runs/{PayRun.objects.get().pk}/")
        self.assertContains(answer, "so another person approves it")
        self.assertNotContains(answer, ">Approve<")
        self.assertContains(self.step(self.both, "approve"), "another person has to approve it")

    def test_sending_back_needs_a_reason(self):
        self.calculated()
        self.assertContains(self.step(self.approver, "send-back"), "Say what has to be changed")
        answer = self.step(self.approver, "send-back", reason="Tom is missing")
        self.assertContains(answer, "Tom is missing")
        answer = self.step(self.approver, "send-back", reason="Again")
        self.assertContains(answer, "cannot be sent back now")

    def test_discarding_is_for_runs_that_are_not_approved(self):
        self.approved()
        self.assertContains(self.step(self.manager, "discard"), "cannot be discarded now")
        workflow.create(JUNE, self.manager)
        self.assertContains(self.step(self.manager, "discard"), "The run is discarded.")

    def test_a_negative_net_pay_is_shown_before_anybody_tries_to_approve(self):
        self.rate(self.insurance, 120, self.tom)
        run = self.calculated()
        self.as_user(self.approver)
        answer = self.client.get(reverse("run", args=[run.pk]))
        self.assertContains(answer, "The net pay is below zero for Tom Alder")

    def test_the_search_finds_a_payslip_by_name_or_number(self):
        run = self.calculated()
        self.as_user(self.manager)
        address = reverse("run", args=[run.pk])
        for text in ("alder", "s-2"):
            answer = self.client.get(address, {"q": text})
            self.assertContains(answer, "Tom Alder")
            self.assertNotContains(answer, "Sina Blum")
        self.assertContains(self.client.get(address, {"q": "zz"}), "Nobody in this run matches")

    def test_starting_a_month_twice_or_a_senseless_one_is_explained_in_the_form(self):
        self.calculated()
        self.as_user(self.manager)
        answer = self.client.post(reverse("run-new"), {"month": "2026-05"})
        self.assertContains(answer, "There is a run for May 2026 already")
        answer = self.client.post(reverse("run-new"), {"month": "May"})
        self.assertContains(answer, "Enter a month as year and number")

    def test_a_correction_is_opened_from_the_payslip(self):
        slip = self.paid().payslips.get(staff=self.tom)
        self.as_user(self.manager)
        address = reverse("payslip-correct", args=[slip.pk])
        answer = self.client.post(address, follow=True)
        self.assertContains(answer, "A correction of 2026-05-0002 is open")
        self.assertContains(self.client.post(address, follow=True), "has a correction already")

    def test_an_empty_list_says_how_to_begin(self):
        self.as_user(self.manager)
        self.assertContains(self.client.get(reverse("runs")), "There is no pay run yet")


class ExportTests(PayrollTestCase):
    def rows(self, run) -> list[list[str]]:
        self.as_user(self.manager)
        answer = self.client.get(reverse("run-csv", args=[run.pk]))
        text = answer.content.decode("utf-8-sig")
        return [line.split(",") for line in text.splitlines()]

    def test_the_whole_run_is_a_table_with_a_column_for_each_component(self):
        self.fly(self.sina, 3)
        rows = self.rows(self.paid())
        self.assertEqual(rows[0][6:10], ["salary", "allowance", "insurance", "employer"])
        self.assertEqual(rows[1][:4], ["2026-05-0001", "", "S-1", "Sina Blum"])
        self.assertEqual(rows[1][6:10], ["4000.00", "60.00", "406.00", "200.00"])
        self.assertEqual(rows[2][7], "")

    def test_a_name_that_looks_like_a_formula_is_harmless_in_a_spreadsheet(self):
        self.tom.name = "=1+2"
        self.tom.save()
        self.assertEqual(self.rows(self.calculated())[2][3], "'=1+2")


class StaffPageTests(PayrollTestCase):
    def test_a_thousand_people_come_in_pages_and_can_be_searched(self):
        for index in range(60):
            self.person(f"X-{index:03}", f"Person {index:03}", 1000)
        self.as_user(self.approver)
        first = self.client.get(reverse("staff-list"))
        self.assertContains(first, "Page 1 of 2")
        self.assertContains(self.client.get(reverse("staff-list"), {"page": 2}), "Person 059")
        found = self.client.get(reverse("staff-list"), {"q": "person 059"})
        self.assertContains(found, "Person 059")
        self.assertNotContains(found, "Person 058")

    def test_one_staff_member_is_shown_with_rates_and_payslips(self):
        self.paid()
        self.as_user(self.manager)
        answer = self.client.get(reverse("staff-member", args=[self.tom.pk]))
        self.assertContains(answer, "2026-05-0002")
        self.assertContains(answer, "Salary")
