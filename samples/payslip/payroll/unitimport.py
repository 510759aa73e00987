"""Imports the units of a month from a CSV file. If any row is invalid, it reports all errors and imports nothing."""

import csv
import datetime as dt
import io
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation

from payroll.inputs import employed_in
from payroll.models import StaffMember, UnitType
from payroll.unitentry import Cell

LARGEST_FILE = 1_000_000
LARGEST = Decimal("9999999.99")
STAFF_COLUMN = "staff_number"


@dataclass(frozen=True)
class Problem:
    line: int
    column: str
    value: str
    advice: str


@dataclass
class Reading:
    """The result of reading a file: the cells, or the errors."""

    cells: dict[Cell, Decimal] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    rows: int = 0

    def complain(self, line: int, column: str, value: str, advice: str) -> None:
        self.problems.append(Problem(line, column, value, advice))


def read(data: bytes, month: dt.date) -> Reading:
    reading = Reading()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        reading.complain(1, "", "", "The file is not UTF-8 text. Save it as “CSV UTF-8”.")
        return reading
    first = text.partition("\n")[0]
    delimiter = ";" if first.count(";") > first.count(",") else ","
    try:
        rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
    except csv.Error as problem:
        reading.complain(1, "", "", f"The file is not readable as CSV: {problem}.")
        return reading
    header = [name.strip().lower() for name in rows[0]] if rows else []
    units = units_of(header, reading)
    if units:
        read_rows(rows[1:], header, units, month, reading, comma=delimiter == ";")
    if reading.problems:
        reading.cells = {}
    return reading


def units_of(header: list[str], reading: Reading) -> dict[int, UnitType]:
    """The unit type of each column, by its position; reports errors in the header."""
    known = {unit.code: unit for unit in UnitType.objects.all()}
    example = ", ".join([STAFF_COLUMN, *known])
    if header[:1] != [STAFF_COLUMN] or len(header) < 2:
        first = header[0] if header else ""
        reading.complain(
            1, STAFF_COLUMN, first, f"The first line has to name the columns: {example}."
        )
        return {}
    units = {}
    for position, name in enumerate(header[1:], start=1):
        if name not in known:
            reading.complain(
                1, name, name, f"There is no such unit. The units are: {', '.join(known)}."
            )
        elif header.count(name) > 1:
            reading.complain(1, name, name, "This column is there twice. Keep one of them.")
        else:
            units[position] = known[name]
    return {} if reading.problems else units


def read_rows(rows, header, units, month: dt.date, reading: Reading, comma: bool) -> None:
    numbers = dict(StaffMember.objects.values_list("number", "pk"))
    employed = {one.staff.pk for one in employed_in(month)}
    seen: dict[str, int] = {}
    for line, row in enumerate(rows, start=2):
        if not any(cell.strip() for cell in row):
            continue
        reading.rows += 1
        number = row[0].strip()
        if len(row) != len(header):
            advice = f"This line has {len(row)} columns instead of {len(header)}."
            reading.complain(line, "", number, advice)
            continue
        if advice := trouble_with(number, numbers, employed, month, seen.get(number)):
            reading.complain(line, STAFF_COLUMN, number, advice)
            continue
        seen[number] = line
        read_cells(line, row, numbers[number], units, reading, comma)
    if not reading.rows and not reading.problems:
        reading.complain(2, "", "", "There is no line below the column names.")


def trouble_with(number, numbers, employed, month, earlier: int | None) -> str:
    if earlier:
        return f"This person is on line {earlier} already. Put all units on one line."
    if number not in numbers:
        return "Nobody has this staff number. Check it in the list of staff."
    if numbers[number] not in employed:
        return f"This person is not employed in {month:%B %Y}."
    return ""


def read_cells(line, row, staff: int, units: dict[int, UnitType], reading, comma: bool) -> None:
    for position, unit in units.items():
        text = row[position].strip()
        if not text:
            continue
        try:
            quantity = Decimal(text.replace(",", ".") if comma else text)
        except InvalidOperation:
            reading.complain(line, unit.code, text, "This is not a number. Write it like 12.5.")
            continue
        if advice := trouble_with_quantity(quantity):
            reading.complain(line, unit.code, text, advice)
        else:
            reading.cells[staff, unit.pk] = quantity


def trouble_with_quantity(quantity: Decimal) -> str:
    if not quantity.is_finite():
        return "This is not a number. Write it like 12.5."
    if quantity < 0:
        return "Units cannot be negative. Correct the month in which they were too many."
    if quantity > LARGEST:
        return f"This is too much; the most is {LARGEST}."
    if quantity != quantity.quantize(Decimal("0.01")):
        return "Use at most two decimals."
    return ""
