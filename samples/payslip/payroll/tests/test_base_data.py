"""Tests of employment, rates and units over time: the values of a month, and the errors that are refused."""

import datetime as dt
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.test import SimpleTestCase

from payroll.inputs import employed_in, results_for
from payroll.models import ComponentRate, EmploymentPeriod, StaffMember
from payroll.months import last_day, parse, shift
from payroll.tests.helpers import JUNE, MAY, PayrollTestCase


class MonthTests(SimpleTestCase):
    def test_february_ends_on_the_29th_in_a_leap_year(self):
        self.assertEqual(last_day(dt.date(2028, 2, 1)), dt.date(2028, 2, 29))

    def test_months_go_on_over_the_new_year(self):
        self.assertEqual(shift(dt.date(2026, 11, 1), 2), dt.date(2027, 1, 1))
        self.assertEqual(shift(dt.date(2026, 1, 1), -1), dt.date(2025, 12, 1))

    def test_a_month_is_read_from_year_and_number(self):
        self.assertEqual(parse("2026-07"), dt.date(2026, 7, 1))
        with self.assertRaises(ValueError):
            parse("July")


class EmploymentTests(PayrollTestCase):
    def days(self, number: str, month=MAY) -> int:
        return next((one.days for one in employed_in(month) if one.staff.number == number), 0)

    def test_whoever_joins_in_the_month_counts_from_that_day(self):
        self.person("S-3", "Uma", 3100, starts=dt.date(2026, 5, 22))
        self.assertEqual(self.days("S-3"), 10)
        gross = {one.staff.number: result.gross for one, result in results_for(MAY)}
        self.assertEqual(gross["S-3"], Decimal("1000.00"))

    def test_whoever_leaves_in_the_month_counts_up_to_that_day(self):
        self.person("S-3", "Uma", 3100, ends=dt.date(2026, 5, 2))
        self.assertEqual((self.days("S-3"), self.days("S-3", JUNE)), (2, 0))

    def test_two_periods_in_one_month_are_added_up_and_the_last_job_is_named(self):
        uma = self.person("S-3", "Uma", 3100, ends=dt.date(2026, 5, 10))
        EmploymentPeriod.objects.create(staff=uma, starts=dt.date(2026, 5, 22), job_title="Chief")
        one = next(one for one in employed_in(MAY) if one.staff == uma)
        self.assertEqual((one.days, one.job_title), (20, "Chief"))

    def test_overlapping_periods_are_refused(self):
        again = EmploymentPeriod(staff=self.tom, starts=MAY, job_title="Chief")
        with self.assertRaisesMessage(ValidationError, "overlaps another period"):
            again.full_clean()

    def test_a_period_that_ends_before_it_starts_is_refused(self):
        uma = StaffMember.objects.create(number="S-3", name="Uma")
        wrong = EmploymentPeriod(staff=uma, starts=JUNE, ends=MAY, job_title="Pilot")
        with self.assertRaisesMessage(ValidationError, "The last day is before the first day."):
            wrong.full_clean()


class RateTests(PayrollTestCase):
    def insurance_of(self, name: str, month=MAY) -> Decimal:
        return next(r.deductions for one, r in results_for(month) if one.staff.name == name)

    def test_a_persons_own_rate_goes_before_the_general_one(self):
        self.rate(self.insurance, 8, self.tom)
        self.assertEqual(self.insurance_of("Tom Alder"), Decimal(400))
        self.assertEqual(self.insurance_of("Sina Blum"), Decimal(400))

    def test_a_rate_counts_only_in_its_months(self):
        ComponentRate.objects.filter(component=self.insurance).update(valid_to=dt.date(2026, 5, 31))
        self.rate(self.insurance, 11, since=JUNE)
        self.assertEqual(self.insurance_of("Tom Alder"), Decimal(500))
        self.assertEqual(self.insurance_of("Tom Alder", JUNE), Decimal(550))

    def test_rates_begin_and_end_with_a_month(self):
        rate = ComponentRate(
            component=self.salary,
            value=1,
            valid_from=dt.date(2026, 5, 2),
            valid_to=dt.date(2026, 6, 29),
        )
        with self.assertRaises(ValidationError) as caught:
            rate.full_clean()
        self.assertEqual(
            caught.exception.message_dict["valid_from"], ["Choose the first day of a month."]
        )
        self.assertEqual(
            caught.exception.message_dict["valid_to"], ["Choose the last day of a month."]
        )

    def test_a_rate_that_ends_before_it_starts_is_refused(self):
        rate = ComponentRate(
            component=self.hours_component(), value=1, valid_from=JUNE, valid_to=last_day(MAY)
        )
        with self.assertRaises(ValidationError):
            rate.full_clean()

    def hours_component(self):
        return self.component(90, "wage", "earning", "per_unit", self.hours)

    def test_overlapping_rates_for_the_same_person_are_refused(self):
        again = ComponentRate(component=self.salary, staff=self.tom, value=1, valid_from=MAY)
        with self.assertRaisesMessage(ValidationError, "overlaps another rate"):
            again.full_clean()


class AdminTests(PayrollTestCase):
    def setUp(self):
        self.manager.is_staff = True
        self.manager.save()
        self.as_user(self.manager)

    def component_form(self, **changes) -> dict:
        return {
            "code": "levy",
            "name": "Levy",
            "kind": "deduction",
            "method": "percentage",
            "order": 35,
            "bases": [self.salary.pk],
            **changes,
        }

    def test_a_percentage_of_an_earlier_component_is_saved(self):
        answer = self.client.post("/admin/payroll/paycomponent/add/", self.component_form())
        self.assertEqual(answer.status_code, 302)

    def test_a_percentage_of_a_later_component_is_refused_where_it_is_entered(self):
        form = self.component_form(order=5)
        answer = self.client.post("/admin/payroll/paycomponent/add/", form)
        self.assertContains(answer, "Salary does not come before this component")

    def test_a_percentage_needs_bases_and_the_others_have_none(self):
        answer = self.client.post("/admin/payroll/paycomponent/add/", self.component_form(bases=[]))
        self.assertContains(answer, "Choose what the percentage is taken of.")
        form = self.component_form(method="fixed")
        answer = self.client.post("/admin/payroll/paycomponent/add/", form)
        self.assertContains(answer, "Only a percentage has bases.")

    def test_a_staff_member_who_has_payslips_is_not_deleted(self):
        self.paid()
        address = f"/admin/payroll/staffmember/{self.tom.pk}/delete/"
        self.client.post(address, {"post": "yes"})
        self.assertTrue(StaffMember.objects.filter(pk=self.tom.pk).exists())
