"""Tests of the calculation of one payslip, without the database."""

from decimal import Decimal

from django.test import SimpleTestCase

from payroll.calculation import (
    CalculationError,
    Circumstances,
    Component,
    calculate,
    check_order,
    plain,
    to_cents,
)

SALARY = Component("salary", "Salary", "earning", "fixed")
EXPENSES = Component("expenses", "Expenses", "earning", "fixed", prorated=False)
WAGE = Component("wage", "Wage", "earning", "per_unit", unit_code="hours", unit_name="Hours")
FUND = Component("fund", "Fund", "deduction", "percentage", bases=frozenset({"salary", "wage"}))
TAX = Component("tax", "Tax", "deduction", "percentage", bases=frozenset({"salary", "fund"}))
EMPLOYER = Component("er", "Fund", "employer", "percentage", bases=frozenset({"salary"}))


def work_out(*components, days=30, of=30, units=None, **rates):
    exact = {code: Decimal(rate) for code, rate in rates.items()}
    amounts = {code: Decimal(quantity) for code, quantity in (units or {}).items()}
    return calculate(components, Circumstances(days, of, exact, amounts))


def amounts(result) -> dict[str, str]:
    return {line.code: str(line.amount) for line in result.lines}


class RoundingTests(SimpleTestCase):
    def test_half_a_cent_is_rounded_away_from_zero(self):
        self.assertEqual(to_cents(Decimal("0.005")), Decimal("0.01"))
        self.assertEqual(to_cents(Decimal("0.015")), Decimal("0.02"))
        self.assertEqual(to_cents(Decimal("-0.005")), Decimal("-0.01"))

    def test_less_than_half_a_cent_is_dropped(self):
        self.assertEqual(to_cents(Decimal("0.0049999")), Decimal("0.00"))

    def test_a_percentage_is_taken_of_the_rounded_line(self):
        result = work_out(WAGE, FUND, units={"hours": "0.15"}, wage="0.1", fund="50")
        self.assertEqual(amounts(result), {"wage": "0.02", "fund": "0.01"})


class LineTests(SimpleTestCase):
    def test_a_whole_month_pays_the_whole_salary(self):
        self.assertEqual(amounts(work_out(SALARY, salary=5000)), {"salary": "5000.00"})

    def test_a_part_month_pays_by_calendar_days(self):
        result = work_out(SALARY, days=21, of=31, salary=5000)
        self.assertEqual(amounts(result), {"salary": "3387.10"})
        self.assertEqual(result.lines[0].basis, "21 of 31 days of 5,000.00")

    def test_what_is_not_prorated_is_paid_in_full_in_a_part_month(self):
        result = work_out(EXPENSES, days=1, of=31, expenses=120)
        self.assertEqual(amounts(result), {"expenses": "120.00"})

    def test_units_are_multiplied_by_their_rate(self):
        result = work_out(WAGE, units={"hours": "120.25"}, wage="31.2")
        self.assertEqual(amounts(result), {"wage": "3751.80"})
        self.assertEqual(result.lines[0].basis, "120.25 hours at 31.20")

    def test_without_units_there_is_no_line(self):
        self.assertEqual(work_out(WAGE, wage=30).lines, ())

    def test_without_a_rate_there_is_no_line(self):
        self.assertEqual(work_out(SALARY, WAGE, units={"hours": 9}).lines, ())

    def test_a_deduction_among_the_bases_lowers_them(self):
        result = work_out(SALARY, FUND, TAX, salary=1000, fund=10, tax=20)
        self.assertEqual(amounts(result)["tax"], "180.00")

    def test_a_percentage_of_less_than_nothing_is_nothing(self):
        result = work_out(SALARY, FUND, TAX, salary=100, fund=150, tax=20)
        self.assertNotIn("tax", amounts(result))

    def test_employer_contributions_do_not_touch_the_net_pay(self):
        result = work_out(SALARY, EMPLOYER, salary=1000, er=7)
        self.assertEqual((result.net, result.employer), (Decimal(1000), Decimal(70)))

    def test_net_pay_is_gross_pay_less_deductions(self):
        result = work_out(SALARY, FUND, salary=1000, fund="5.3")
        self.assertEqual(result.net, Decimal("947.00"))
        self.assertEqual(result.gross - result.deductions, result.net)


class OrderTests(SimpleTestCase):
    def test_a_percentage_of_what_comes_later_is_refused_by_name(self):
        with self.assertRaisesMessage(CalculationError, "“Fund” is a percentage of salary, wage"):
            check_order([FUND, SALARY, WAGE])

    def test_a_percentage_of_itself_is_refused(self):
        odd = Component("odd", "Odd", "deduction", "percentage", bases=frozenset({"odd"}))
        with self.assertRaises(CalculationError):
            check_order([odd])

    def test_a_percentage_of_nothing_is_refused(self):
        empty = Component("empty", "Empty", "deduction", "percentage")
        with self.assertRaisesMessage(CalculationError, "is a percentage of nothing"):
            check_order([empty])

    def test_bases_that_come_earlier_are_fine(self):
        check_order([SALARY, WAGE, FUND, TAX])


class PlainNumberTests(SimpleTestCase):
    def test_people_read_two_decimals_or_as_many_as_there_are(self):
        for number, text in (("5.3000", "5.30"), ("8.3333", "8.3333"), ("12000", "12,000.00")):
            self.assertEqual(plain(Decimal(number)), text)
