"""Coordinates of a stacked bar chart, which a template draws as SVG. Widths are in SVG user units."""

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal

WIDTH, HEIGHT = 400, 190
LEFT, TOP, BOTTOM = 44, 10, 24
SERIES = ("Net pay", "Deductions", "Employer contributions")


@dataclass(frozen=True)
class Bar:
    month: dt.date
    parts: tuple[Decimal, ...]

    @property
    def total(self) -> Decimal:
        return sum(self.parts, Decimal(0))


@dataclass(frozen=True)
class Rectangle:
    x: float
    y: float
    width: float
    height: float
    series: int
    title: str


class Chart:
    """Bars from the bottom up, with round numbers on the scale."""

    width, height = WIDTH, HEIGHT
    baseline = HEIGHT - BOTTOM
    left = LEFT
    series = SERIES

    def __init__(self, bars: list[Bar]) -> None:
        self.bars = bars
        self.step = round_step(max((bar.total for bar in bars), default=Decimal(0)))
        self.top = self.step * 4

    def __bool__(self) -> bool:
        return any(bar.total for bar in self.bars)

    def y(self, amount: Decimal) -> float:
        room = self.baseline - TOP
        return round(self.baseline - float(amount / self.top) * room, 2)

    def scale(self) -> list[tuple[float, str]]:
        return [(self.y(self.step * index), short(self.step * index)) for index in range(5)]

    def totals(self) -> list[tuple[str, Decimal]]:
        return [
            (name, sum((bar.parts[index] for bar in self.bars), Decimal(0)))
            for index, name in enumerate(SERIES)
        ]

    def rectangles(self) -> list[Rectangle]:
        found = []
        for index, bar in enumerate(self.bars):
            below = Decimal(0)
            for series, amount in enumerate(bar.parts):
                if amount > 0:
                    y, height = self.y(below + amount), self.y(below) - self.y(below + amount)
                    title = f"{bar.month:%B %Y}, {SERIES[series].lower()}: {amount:,.2f}"
                    box = (round(self.x(index), 2), y, round(self.slot * 0.7, 2), round(height, 2))
                    found.append(Rectangle(*box, series, title))
                    below += amount
        return found

    @property
    def slot(self) -> float:
        return (WIDTH - LEFT) / max(1, len(self.bars))

    def x(self, index: int) -> float:
        return LEFT + self.slot * (index + 0.15)

    def labels(self) -> list[tuple[float, str]]:
        middle = self.slot * 0.35
        return [
            (round(self.x(i) + middle, 2), f"{bar.month:%b}") for i, bar in enumerate(self.bars)
        ]


def round_step(largest: Decimal) -> Decimal:
    """A quarter of the scale: 1, 2, 2.5 or 5 times a power of ten, so that four steps cover the maximum."""
    step = Decimal(1)
    while step * 4 < largest:
        for factor in (Decimal(2), Decimal("2.5"), Decimal(5), Decimal(10)):
            if step * factor * 4 >= largest:
                return step * factor
        step *= 10
    return step


def short(amount: Decimal) -> str:
    if amount >= 1_000_000:
        return f"{(amount / 1_000_000).normalize():f} M"
    if amount >= 1_000:
        return f"{(amount / 1_000).normalize():f} k"
    return f"{amount.normalize():f}"
