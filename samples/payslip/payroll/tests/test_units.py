"""Units of a month, by form and by CSV. A file with one wrong row changes nothing."""

import datetime as dt
from decimal import Decimal

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from audit.models import AuditEntry
from payroll.models import UnitEntry
from payroll.tests.helpers import MAY, PayrollTestCase
from payroll.unitimport import LARGEST_FILE, read


def stored() -> dict[tuple[str, str], Decimal]:
    rows = UnitEntry.objects.values_list("staff__number", "unit_type__code", "quantity")
    return {(number, unit): quantity for number, unit, quantity in rows}


class ReadingTests(PayrollTestCase):
    def problems(self, text: str | bytes) -> list[tuple[int, str]]:
        data = text if isinstance(text, bytes) else text.encode()
        reading = read(data, MAY)
        self.assertEqual(reading.cells, {}, "nothing may be taken from a wrong file")
        return [(problem.line, problem.advice) for problem in reading.problems]

    def test_commas_semicolons_and_a_byte_order_mark_are_all_understood(self):
        for text in (
            "staff_number,flights\nS-1,4.5\n",
            "staff_number;flights\nS-1;4,5\n",
            "\ufeffStaff_Number,Flights\r\nS-1,4.5\r\n\r\n",
        ):
            reading = read(text.encode(), MAY)
            self.assertEqual(reading.cells, {(self.sina.pk, self.flights.pk): Decimal("4.5")})

    def test_every_wrong_row_is_told_with_its_line(self):
        text = "staff_number,flights\nS-1,many\nS-9,1\nS-2,-1\nS-2\n"
        self.assertEqual(
            self.problems(text),
            [
                (2, "This is not a number. Write it like 12.5."),
                (3, "Nobody has this staff number. Check it in the list of staff."),
                (4, "Units cannot be negative. Correct the month in which they were too many."),
                (5, "This line has 1 columns instead of 2."),
            ],
        )

    def test_odd_numbers_are_refused(self):
        for value, advice in (
            ("NaN", "This is not a number"),
            ("1.005", "at most two decimals"),
            ("99999999", "too much"),
        ):
            problems = self.problems(f"staff_number,flights\nS-1,{value}\n")
            self.assertIn(advice, problems[0][1])

    def test_a_person_stands_on_one_line_only(self):
        problems = self.problems("staff_number,flights\nS-1,1\nS-1,2\n")
        self.assertEqual(problems[0][0], 3)
        self.assertIn("is on line 2 already", problems[0][1])

    def test_whoever_is_not_employed_in_the_month_is_refused(self):
        self.person("S-3", "Uma", 3000, starts=dt.date(2026, 6, 1))
        problems = self.problems("staff_number,flights\nS-3,1\n")
        self.assertEqual(problems, [(2, "This person is not employed in May 2026.")])

    def test_a_wrong_header_says_which_columns_there_are(self):
        self.assertIn("staff_number, flights, hours", self.problems("name,flights\n")[0][1])
        self.assertIn("no such unit", self.problems("staff_number,miles\nS-1,1\n")[0][1])
        self.assertIn("twice", self.problems("staff_number,flights,flights\nS-1,1,1\n")[0][1])
        self.assertIn("staff_number", self.problems("")[0][1])

    def test_a_file_without_rows_is_refused(self):
        self.assertIn("no line below", self.problems("staff_number,flights\n")[0][1])

    def test_what_is_not_text_is_refused(self):
        self.assertIn("not UTF-8", self.problems(b"staff_number,fl\xff\n")[0][1])
        self.assertIn("not readable", self.problems('staff_number,flights\nS-1,"4\n')[0][1])


class ImportingTests(PayrollTestCase):
    def setUp(self):
        self.as_user(self.manager)
        self.address = reverse("units-import", args=[MAY])

    def send(self, text: str):
        file = SimpleUploadedFile("units.csv", text.encode())
        return self.client.post(self.address, {"file": file}, follow=True)

    def test_the_page_shows_no_error_before_a_file_was_sent(self):
        self.assertNotContains(self.client.get(self.address), "Choose the CSV file to import.")
        self.assertContains(self.client.post(self.address), "Choose the CSV file to import.")

    def test_a_good_file_is_imported_whole(self):
        answer = self.send("staff_number,flights,hours\nS-1,3,\nS-2,,8.25\n")
        self.assertContains(answer, "2 rows read. 2 values saved.")
        expected = {("S-1", "flights"): Decimal(3), ("S-2", "hours"): Decimal("8.25")}
        self.assertEqual(stored(), expected)

    def test_one_wrong_row_keeps_the_whole_file_out(self):
        answer = self.send("staff_number,flights\nS-1,3\nS-2,x\n")
        self.assertContains(answer, "Nothing was imported")
        self.assertContains(answer, "This is not a number.")
        self.assertEqual(stored(), {})

    def test_an_empty_cell_leaves_what_is_entered_already(self):
        self.fly(self.sina, 5)
        self.send("staff_number,flights,hours\nS-1,,2\n")
        self.assertEqual(stored()["S-1", "flights"], Decimal(5))

    def test_importing_the_same_file_again_changes_nothing(self):
        for _ in range(2):
            answer = self.send("staff_number,flights\nS-1,3\n")
        self.assertContains(answer, "Nothing was different")
        self.assertEqual(AuditEntry.objects.filter(action="units imported").count(), 1)

    def test_a_missing_and_an_oversized_file_say_what_to_do(self):
        self.assertContains(self.client.post(self.address), "Choose the CSV file to import.")
        self.assertContains(self.send("x" * (LARGEST_FILE + 1)), "larger than 1 MB")

    def test_the_file_to_fill_in_can_be_imported_as_it_is(self):
        self.fly(self.sina, 5)
        template = self.client.get(reverse("units-template", args=[MAY])).content.decode()
        self.assertIn("S-1,5.00,", template)
        self.assertContains(self.send(template), "Nothing was different")


class EnteringTests(PayrollTestCase):
    def setUp(self):
        self.as_user(self.manager)
        self.address = reverse("units", args=[MAY])
        self.cell = f"u-{self.sina.pk}-{self.flights.pk}"

    def test_entered_units_are_saved_and_told_in_the_audit_trail(self):
        self.client.post(self.address, {self.cell: "4.5"})
        self.assertEqual(stored(), {("S-1", "flights"): Decimal("4.5")})
        entry = AuditEntry.objects.get(action="units entered")
        self.assertEqual(entry.changes, {"S-1 Sina Blum, Flights": [None, "4.5"]})
        self.assertEqual(entry.actor, self.manager)

    def test_changing_and_emptying_a_field_changes_and_removes_the_units(self):
        self.fly(self.sina, 5)
        self.client.post(self.address, {self.cell: "6"})
        self.assertEqual(stored(), {("S-1", "flights"): Decimal(6)})
        self.client.post(self.address, {self.cell: ""})
        self.assertEqual(stored(), {})

    def test_a_wrong_field_is_marked_and_nothing_is_saved(self):
        other = f"u-{self.tom.pk}-{self.hours.pk}"
        answer = self.client.post(self.address, {self.cell: "lots", other: "3"})
        self.assertContains(answer, "Enter a number such as 12.5.")
        self.assertEqual(stored(), {})

    def test_the_search_narrows_the_people(self):
        answer = self.client.get(self.address, {"q": "tom"})
        self.assertContains(answer, "Flights of Tom Alder")
        self.assertNotContains(answer, "Flights of Sina Blum")

    def test_a_month_of_a_paid_run_says_that_only_corrections_see_changes(self):
        self.paid()
        self.assertContains(self.client.get(self.address), "counts only for corrections")

    def test_an_impossible_month_is_not_found(self):
        self.assertEqual(self.client.get("/units/2026-13/").status_code, 404)

    def test_the_units_of_the_open_run_come_first(self):
        self.calculated()
        self.assertRedirects(self.client.get("/units/"), self.address)
