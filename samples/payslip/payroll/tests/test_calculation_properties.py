"""Properties of every payslip, for any rates, units and components, tested with Hypothesis."""

import unittest
from decimal import Decimal

from payroll.calculation import CENT, ZERO, Circumstances, Component, calculate, check_order

try:
    from hypothesis import given, settings
    from hypothesis import strategies as st
except ImportError as missing:  # Tests in a slug also run without requirements-test.txt.
    raise unittest.SkipTest("install requirements-test.txt for these") from missing

KINDS = st.sampled_from(["earning", "deduction", "employer"])
RATES = st.decimals(min_value=0, max_value=99_999, places=4)
QUANTITIES = st.decimals(min_value=0, max_value=9_999, places=2)
UNITS = ["hours", "flights"]


@st.composite
def component_lists(draw):
    """Up to twelve components; percentages refer to earlier ones."""
    components = []
    for index in range(draw(st.integers(min_value=1, max_value=12))):
        earlier = [component.code for component in components]
        methods = ["fixed", "per_unit"] + (["percentage"] if earlier else [])
        method = draw(st.sampled_from(methods))
        bases = st.frozensets(st.sampled_from(earlier), min_size=1) if earlier else None
        components.append(
            Component(
                code=f"c{index}",
                name=f"Component {index}",
                kind=draw(KINDS),
                method=method,
                unit_code=draw(st.sampled_from(UNITS)) if method == "per_unit" else "",
                bases=draw(bases) if method == "percentage" else frozenset(),
                prorated=draw(st.booleans()),
            )
        )
    return components


@st.composite
def payslips(draw):
    components = draw(component_lists())
    codes = [component.code for component in components]
    days = draw(st.integers(min_value=28, max_value=31))
    person = Circumstances(
        days_employed=draw(st.integers(min_value=0, max_value=days)),
        days_in_month=days,
        rates=draw(st.dictionaries(st.sampled_from(codes), RATES)),
        units=draw(st.dictionaries(st.sampled_from(UNITS), QUANTITIES)),
    )
    return components, person


class EveryPayslipTests(unittest.TestCase):
    @settings(max_examples=300, deadline=None)
    @given(payslips())
    def test_the_sum_of_the_lines_equals_the_total(self, case):
        components, person = case
        check_order(components)
        result = calculate(components, person)
        signs = {"earning": 1, "deduction": -1, "employer": 0}
        signed = sum((line.amount * signs[line.kind] for line in result.lines), ZERO)
        self.assertEqual(signed, result.net)
        self.assertEqual(result.gross - result.deductions, result.net)

    @settings(max_examples=150, deadline=None)
    @given(payslips())
    def test_every_line_is_a_whole_number_of_cents_and_not_nothing(self, case):
        for line in calculate(*case).lines:
            self.assertEqual(line.amount, line.amount.quantize(CENT))
            self.assertGreater(line.amount, 0)

    @settings(max_examples=150, deadline=None)
    @given(payslips())
    def test_the_same_figures_always_give_the_same_payslip(self, case):
        self.assertEqual(calculate(*case), calculate(*case))

    @settings(max_examples=150, deadline=None)
    @given(RATES, st.integers(min_value=0, max_value=31))
    def test_two_halves_of_a_month_differ_from_the_whole_by_at_most_a_cent(self, rate, days):
        salary = [Component("salary", "Salary", "earning", "fixed")]
        first = calculate(salary, Circumstances(days, 31, {"salary": rate}, {}))
        second = calculate(salary, Circumstances(31 - days, 31, {"salary": rate}, {}))
        whole = calculate(salary, Circumstances(31, 31, {"salary": rate}, {}))
        self.assertLessEqual(abs(first.gross + second.gross - whole.gross), Decimal("0.01"))
