"""Parsing of the output of real test runs, kept in ``corpus``."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.checks.inside import outputs

CORPUS = Path(__file__).parent / "corpus"
BAD = "shop.test_bad.Bad"
ALL_BAD = [
    f"{BAD}.test_errors",
    "shop.test_bad.BadSetup.setUpClass",
    f"{BAD}.test_fails",
    f"{BAD}.test_sub",
    f"{BAD}.test_unexpected",
]
PLAIN = ["test_plain.Plain.test_errors", "test_plain.Setup.setUpClass", "test_plain.Plain.test_fails"]


def text(name: str) -> str:
    return (CORPUS / name).read_text()


@pytest.mark.parametrize(
    ("name", "tests", "skipped", "failed"),
    [
        ("django-ok.txt", 4, 1, []),
        ("django-failures.txt", 5, 0, ALL_BAD),
        ("django-buffered.txt", 5, 0, ALL_BAD),
        ("django-nothing.txt", 0, 0, []),
        ("django-parallel.txt", None, 0, []),
        ("unittest-3.8.txt", 3, 0, PLAIN),
        ("unittest-3.13.txt", 3, 0, PLAIN),
        ("unittest-nothing.txt", 0, 0, []),
        ("pytest-failures.txt", 8, 1, ["test_p.py::test_fails", "test_p.py::test_param[2]", "test_p.py::test_error"]),
        ("pytest-ok-colour.txt", 1, 0, []),
        ("pytest-nothing.txt", 0, 0, []),
    ],
)
def test_counts_and_names_are_those_of_the_run(name, tests, skipped, failed):
    counted = outputs.read_text(text(name))
    assert (counted.tests, counted.skipped, counted.failed) == (tests, skipped, failed)


def test_a_failing_test_keeps_its_own_traceback():
    failures = outputs.read_text(text("django-failures.txt")).failures
    assert failures[0].output.startswith("Traceback")
    assert failures[0].output.endswith("ZeroDivisionError: division by zero")
    assert failures[2].output.startswith("The net salary is right.")
    assert failures[2].kind == "failure"
    assert failures[0].kind == "error"


def test_a_module_that_cannot_be_imported_is_named():
    counted = outputs.read_text(text("django-verbose-broken-import.txt"))
    assert "shop.test_broken" in counted.failed
    assert any("nothing_of_this_name" in item.output for item in counted.failures)


def test_the_slowest_tests_are_read_when_the_runner_prints_them():
    counted = outputs.read_text(text("unittest-durations.txt"))
    assert [name for name, _ in counted.slowest] == ["test_plain.Plain.test_ok"]
    assert "durations" not in counted.failures[-1].output


def test_two_runs_in_one_output_are_added_up():
    counted = outputs.read_text(text("django-ok.txt") + text("django-failures.txt"))
    assert counted.tests == 9
    assert counted.failed == ALL_BAD


@pytest.mark.parametrize(
    ("name", "tests", "skipped", "failed"),
    [
        ("pytest-failures.xml", 8, 2, ["test_p.test_fails", "test_p.test_error", "test_p.test_param[2]"]),
        ("pytest-nothing.xml", 0, 0, []),
        ("pytest-collection.xml", 1, 0, ["test_q"]),
    ],
)
def test_junit_files_of_pytest_are_counted(name, tests, skipped, failed):
    counted = outputs.read_junit(text(name))
    assert (counted.tests, counted.skipped, counted.failed) == (tests, skipped, failed)


def test_a_file_that_is_no_xml_is_refused():
    with pytest.raises(ValueError, match="not XML"):
        outputs.read_junit("<testsuite")


def test_output_without_any_count_tells_nothing():
    assert outputs.read_text("all good\n").tests is None


def test_a_line_that_only_looks_like_a_header_is_not_a_failure():
    assert outputs.read_text("FAIL: me (a.b)\nRan 1 test in 0.1s\n\nOK\n").failures == []


def test_a_long_output_keeps_its_end():
    short = outputs.shorten("a" * 50_000 + "the end", 1000)
    assert short.endswith("the end")
    assert len(short) < 1100


@pytest.mark.parametrize(
    ("line", "tests", "bad"),
    [
        ("3 passed, 4 subtests passed in 0.01s", 3, 0),
        ("============ 1 failed, 2 passed, 1 skipped, 3 subtests passed in 1.20s ============", 4, 1),
        ("1 passed, 2 subtests failed in 0.10s", 1, 1),
        ("=== no tests ran in 0.01s ===", 0, 0),
        ("=== no tests collected in 0.01s ===", 0, 0),
        ("2 passed in 0.10s\n  py311: OK\n=== 3 passed, 1 warning in 0.20s ===", 5, 0),
        ("5 deselected in 0.10s", 0, 0),
    ],
)
def test_the_last_lines_of_pytest_are_counted(line, tests, bad):
    counted = outputs.read_text(f"collected\n{line}\n")
    assert (counted.tests, counted.bad) == (tests, bad)
