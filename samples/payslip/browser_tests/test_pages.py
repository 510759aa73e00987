"""Every page at desktop and phone width: no horizontal overflow, no serious axe findings."""

import pytest
from conftest import PASSWORD
from person import Person

PAGES = {
    "sign-in": (None, "/sign-in/"),
    "password-reset": (None, "/password/reset/"),
    "password-reset-sent": (None, "/password/reset/sent/"),
    "password-change": ("stella", "/password/"),
    "dashboard": ("paula", "/"),
    "dashboard-staff": ("stella", "/"),
    "my-payslips": ("stella", "/payslips/"),
    "runs": ("paula", "/runs/"),
    "run-new": ("paula", "/runs/new/"),
    "run": ("paula", "/runs/1/"),
    "payslip": ("paula", "/payslips/3/"),
    "units": ("paula", "/units/"),
    "units-import": ("paula", "/units/2026-01/import/"),
    "staff": ("paula", "/staff/"),
    "staff-member": ("paula", "/staff/3/"),
    "audit-trail": ("paula", "/audit/"),
    "not-found": ("stella", "/payslips/1/"),
    "forbidden": ("stella", "/runs/"),
}


@pytest.fixture(scope="module", params=[("desk", 1280), ("phone", 360)], ids=lambda one: one[0])
def visitors(request, browser, base_url):
    name, width = request.param
    people = {None: Person(browser, base_url, width, 740)}
    for user in ("paula", "stella"):
        people[user] = Person(browser, base_url, width, 740).sign_in(user, PASSWORD)
    yield name, people
    for one in people.values():
        one.leave()


@pytest.mark.parametrize("page", PAGES)
def test_the_page_fits_and_axe_finds_nothing_serious(visitors, page, axe_source):
    size, people = visitors
    user, address = PAGES[page]
    person = people[user]
    person.go(address)
    person.picture(f"{size}-{page}")
    assert person.too_wide() <= 0
    assert person.serious_findings(axe_source) == []
