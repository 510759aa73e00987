"""Calculates one payslip from plain values; uses neither the database nor the web.

Rounding: every line is rounded once, to the cent, half away from zero, when it is created.
Percentages are calculated from rounded lines. Totals are sums of rounded lines and are
never rounded again, so the lines always add up to the totals.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal

from payroll.models.kinds import Kind, Method

CENT = Decimal("0.01")
ZERO = Decimal("0.00")


class CalculationError(Exception):
    """The components contradict each other; the message says which and what to change."""


@dataclass(frozen=True)
class Component:
    code: str
    name: str
    kind: str
    method: str
    unit_code: str = ""
    unit_name: str = ""
    bases: frozenset[str] = frozenset()
    prorated: bool = True


@dataclass(frozen=True)
class Circumstances:
    """The input for one person in one month: days, rates and units by code."""

    days_employed: int
    days_in_month: int
    rates: Mapping[str, Decimal]
    units: Mapping[str, Decimal]


@dataclass(frozen=True)
class Line:
    code: str
    name: str
    kind: str
    basis: str
    amount: Decimal


@dataclass(frozen=True)
class Result:
    lines: tuple[Line, ...]

    def total(self, kind: str) -> Decimal:
        return sum((line.amount for line in self.lines if line.kind == kind), ZERO)

    @property
    def gross(self) -> Decimal:
        return self.total(Kind.EARNING)

    @property
    def deductions(self) -> Decimal:
        return self.total(Kind.DEDUCTION)

    @property
    def employer(self) -> Decimal:
        return self.total(Kind.EMPLOYER)

    @property
    def net(self) -> Decimal:
        return self.gross - self.deductions


def to_cents(amount: Decimal) -> Decimal:
    """The one place where money is rounded."""
    return amount.quantize(CENT, rounding=ROUND_HALF_UP)


def plain(number: Decimal) -> str:
    """Format a number for display: thousands separators, and its own decimals, at least two."""
    text = f"{number.normalize():f}"
    decimals = max(2, len(text.partition(".")[2]))
    return f"{number:,.{decimals}f}"


def check_order(components: Iterable[Component]) -> None:
    """Check that each percentage refers to earlier components only."""
    seen: set[str] = set()
    for component in components:
        if component.method == Method.PERCENTAGE and not component.bases:
            raise CalculationError(
                f"“{component.name}” is a percentage of nothing. Choose its bases in the admin."
            )
        if late := component.bases - seen:
            raise CalculationError(
                f"“{component.name}” is a percentage of {', '.join(sorted(late))}, which does not "
                "come before it. Change the order of the components in the admin."
            )
        seen.add(component.code)


def calculate(components: Iterable[Component], person: Circumstances) -> Result:
    """The lines of one payslip, without components that have no rate and without zero lines."""
    lines: list[Line] = []
    signed: dict[str, Decimal] = {}
    for component in components:
        rate = person.rates.get(component.code)
        if rate is None:
            continue
        exact, basis = METHODS[component.method](component, rate, person, signed)
        amount = to_cents(exact)
        if amount == 0:
            continue
        lines.append(Line(component.code, component.name, component.kind, basis, amount))
        signed[component.code] = -amount if component.kind == Kind.DEDUCTION else amount
    return Result(tuple(lines))


def fixed(component, rate, person, signed) -> tuple[Decimal, str]:
    if not component.prorated or person.days_employed == person.days_in_month:
        return rate, ""
    share = f"{person.days_employed} of {person.days_in_month} days of {plain(rate)}"
    return rate * person.days_employed / person.days_in_month, share


def per_unit(component, rate, person, signed) -> tuple[Decimal, str]:
    quantity = person.units.get(component.unit_code, ZERO)
    return rate * quantity, f"{plain(quantity)} {component.unit_name.lower()} at {plain(rate)}"


def percentage(component, rate, person, signed) -> tuple[Decimal, str]:
    """Deductions among the bases reduce the sum; a negative sum counts as zero."""
    base = max(ZERO, sum((signed.get(code, ZERO) for code in component.bases), ZERO))
    return base * rate / 100, f"{plain(rate)} % of {plain(base)}"


METHODS = {Method.FIXED: fixed, Method.PER_UNIT: per_unit, Method.PERCENTAGE: percentage}
