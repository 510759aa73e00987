"""One month from units to a paid run, by three users, in the order of the work in an office."""

import pytest
from conftest import PASSWORD
from person import Person


@pytest.fixture(scope="module")
def people(browser, base_url):
    names = ("paula", "anton", "stella")
    all_three = {name: Person(browser, base_url).sign_in(name, PASSWORD) for name in names}
    yield all_three
    for one in all_three.values():
        one.leave()


def test_one_month_from_units_to_a_paid_run_by_three_people(people):
    paula, anton, stella = people.values()
    run_address = start_and_enter(paula)
    calculate(paula)

    anton.go("/")
    anton.reads("is calculated and waits for approval")
    anton.picture("dashboard-approver")
    anton.follow("Look and approve")
    anton.press("Approve")
    anton.reads("The run is approved")

    paula.go(run_address)
    paula.press("Mark as paid")
    paula.reads("The run is marked as paid.")
    paula.picture("run-paid")
    look_at_own_payslip(stella)
    for one in people.values():
        assert one.complaints == []


def start_and_enter(paula: Person) -> str:
    paula.go("/")
    paula.picture("dashboard-manager")
    paula.follow("Start the run")
    paula.press("Start the run")
    paula.reads("What comes next")
    run_address = paula.page.url
    paula.page.get_by_role("link", name="Units of").click()
    hours = paula.page.get_by_label("Hours of Dario Fontana")
    hours.fill("many")
    paula.press("Save this page")
    paula.reads("Enter a number such as 12.5.")
    paula.picture("units-error")
    paula.page.get_by_label("Hours of Dario Fontana").fill("88.5")
    paula.page.get_by_label("Flights of Stella Rossi").fill("17")
    paula.press("Save this page")
    paula.reads("2 values saved.")
    import_file(paula, "staff_number,hours,flights\nS-0007,91,x\nS-9999,1,1\n")
    paula.reads("Nothing was imported")
    paula.picture("import-problems")
    choose_file(paula, "staff_number,hours,flights\nS-0007,91,4\nS-0011,120.25,\n")
    paula.reads("2 rows read. 3 values saved.")
    paula.picture("units")
    paula.go(run_address)
    return run_address


def import_file(paula: Person, text: str) -> None:
    paula.follow("Import from CSV")
    choose_file(paula, text)


def choose_file(paula: Person, text: str) -> None:
    file = {"name": "units.csv", "mimeType": "text/csv", "buffer": text.encode()}
    paula.page.get_by_label("CSV file").set_input_files(file)
    paula.press("Import")


def calculate(paula: Person) -> None:
    paula.picture("run-draft")
    paula.press("Calculate")
    paula.reads("The run is calculated.")
    paula.reads("so another person approves it")
    assert paula.page.get_by_role("button", name="Approve").count() == 0
    paula.picture("run-calculated")


def look_at_own_payslip(stella: Person) -> None:
    stella.go("/")
    stella.picture("dashboard-staff")
    stella.page.locator("section[aria-labelledby=latest] .lead a").click()
    stella.reads("17.00 flights at 48.00")
    stella.picture("payslip")
    pdf = stella.fetch(stella.page.url.rstrip("/") + ".pdf")
    assert pdf == {"status": 200, "type": "application/pdf", "start": "%PDF-"}
    number = int(stella.page.url.rstrip("/").rsplit("/", 1)[1])
    assert stella.complaints == []
    assert stella.fetch(f"/payslips/{number - 1}/")["status"] == 404
    assert stella.fetch("/runs/")["status"] == 403
    stella.complaints.clear()  # The browser logs an error for both responses, as expected.


def test_a_paid_payslip_is_corrected_by_a_new_one_that_refers_to_it(people):
    paula, anton, stella = people.values()
    stella.go("/payslips/")
    stella.page.locator("tbody th a").first.click()
    address = stella.page.url
    paula.go(address)
    paula.page.get_by_text("Correct this payslip").click()
    paula.press("Open a correction")
    paula.reads("A correction of")
    run_address = paula.page.url
    paula.page.get_by_role("link", name="Units of").click()
    paula.page.get_by_label("Flights of Stella Rossi").fill("20")
    paula.press("Save this page")
    paula.go(run_address)
    paula.press("Calculate")
    anton.go(run_address)
    anton.press("Approve")
    stella.go(address)
    stella.reads("This payslip is replaced by")
    stella.page.locator(".message a").click()
    stella.reads("Still to be paid")
    stella.picture("payslip-correction")


def test_signing_in_and_out_works_with_the_keyboard_alone(browser, base_url):
    person = Person(browser, base_url)
    person.go("/")
    person.page.keyboard.press("Tab")
    assert person.page.evaluate("document.activeElement.textContent") in ("Skip to the content", "")
    person.page.get_by_label("Username").focus()
    person.page.keyboard.type("stella")
    person.page.keyboard.press("Tab")
    person.page.keyboard.type(PASSWORD)
    person.page.keyboard.press("Enter")
    person.reads("Good to see you, Stella")
    person.page.keyboard.press("Tab")
    assert person.page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        person.page.keyboard.press("Tab")
        if person.page.evaluate("document.activeElement.textContent") == "Sign out":
            break
    person.page.keyboard.press("Enter")
    person.page.get_by_role("heading", name="Sign in").wait_for()
    person.leave()
