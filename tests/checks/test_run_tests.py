"""An app's tests are run as its developers would run them, and counted."""

from __future__ import annotations

import pytest

from tests.checks.dyno_side import DJANGO, result, run, write

GOOD = (
    "from django.test import TestCase\nclass Good(TestCase):\n    def test_one(self):\n        pass\n    def"
    " test_two(self):\n        pass\n"
)
BAD = (
    "from django.test import TestCase\nclass Bad(TestCase):\n    def test_net(self):\n        self.assertEqual(1, 2)\n "
    "   def test_ok(self):\n        pass\n"
)
FLAKY = """import os
from django.test import TestCase
class Sometimes(TestCase):
    def test_first_time(self):
        mark = os.path.join(os.path.dirname(__file__), "mark")
        seen = os.path.exists(mark)
        open(mark, "w").close()
        self.assertTrue(seen, "the first time it fails")
    def test_ok(self):
        pass
"""


@pytest.fixture
def tested(tmp_path):
    def do(files, *, setup="", test="", **env):
        app = write(tmp_path / "app", files)
        return result("tests", home=tmp_path / "home", cwd=app, wish={"setup": setup, "test": test}, **env)

    return do


def test_a_django_app_without_a_command_is_tested_with_manage_py(tested):
    found = tested({**DJANGO, "shop/tests.py": GOOD})
    assert found["command"] == "python manage.py test --noinput"
    assert (found["outcome"], found["tests"], found["failures"], found["runs"]) == ("success", 2, [], 1)


def test_a_failing_test_is_named_with_its_output_and_was_tried_twice(tested):
    found = tested({**DJANGO, "shop/tests.py": BAD})
    assert (found["outcome"], found["tests"], found["failed"], found["runs"]) == ("failure", 2, 1, 2)
    assert found["failures"][0]["name"] == "shop.tests.Bad.test_net"
    assert "AssertionError: 1 != 2" in found["failures"][0]["output"]


def test_a_test_that_passes_the_second_time_is_flaky_and_not_hidden(tested):
    found = tested({**DJANGO, "shop/tests.py": FLAKY})
    assert (found["outcome"], found["flaky"], found["runs"]) == ("success", ["shop.tests.Sometimes.test_first_time"], 2)
    assert "the first time it fails" in found["flaky_output"][0]["output"]


def test_a_flaky_test_beside_a_failing_one_leaves_the_failure(tested):
    found = tested({**DJANGO, "shop/tests.py": FLAKY, "shop/test_bad.py": BAD})
    assert found["outcome"] == "failure"
    assert found["flaky"] == ["shop.tests.Sometimes.test_first_time"]
    assert [item["name"] for item in found["failures"]] == ["shop.test_bad.Bad.test_net"]


def test_no_test_at_all_is_a_failure(tested):
    found = tested(DJANGO)
    assert (found["outcome"], found["tests"], found["empty"]) == ("failure", 0, True)
    assert "no tests found" in found["detail"]


def test_only_skipped_tests_are_a_failure(tested):
    skipped = (
        "import unittest\nclass T(unittest.TestCase):\n    @unittest.skip('x')\n    def test_a(self):\n        pass\n"
    )
    assert tested({"test_a.py": skipped})["detail"] == "all 1 tests were skipped"


def test_no_manage_py_and_no_tests_is_an_error(tested):
    found = tested({"app.py": ""})
    assert (found["outcome"], found["runs"]) == ("error", 0)
    assert "no manage.py" in found["detail"]


def test_the_app_s_own_commands_come_first(tested):
    test = "echo prepared $(cat made) && python manage.py test shop"
    found = tested({**DJANGO, "shop/tests.py": GOOD}, setup="echo by-setup > made", test=test)
    assert (found["outcome"], found["tests"], found["kind"]) == ("success", 2, "script")
    assert "prepared by-setup" in found["tail"]


def test_a_set_up_that_fails_is_an_error_and_no_test_runs(tested):
    found = tested({**DJANGO, "shop/tests.py": GOOD}, setup="echo no such wheel; exit 3")
    assert (found["outcome"], found["detail"], found["runs"]) == ("error", "test-setup ended with exit code 3", 0)
    assert "no such wheel" in found["tail"]


def test_a_command_that_does_not_exist_is_named_and_is_the_app_s_to_mend(tested):
    found = tested({}, test="nosuchrunner --fast")
    assert (found["outcome"], found["runs"]) == ("failure", 1)
    assert "was not found" in found["detail"]
    assert "nosuchrunner: command not found" in found["detail"]


@pytest.mark.parametrize(
    "command",
    [
        "python -c 'raise SystemExit(\"No module named pytest\")'",
        "echo 'bash: line 1: pytest: command not found'; exit 127",
    ],
)
def test_a_pytest_that_is_missing_is_named_with_what_to_do(tested, command):
    found = tested({}, test=command)
    assert found["outcome"] == "failure"
    assert "add pytest to requirements-test.txt" in found["detail"]


def test_a_command_that_was_killed_is_tried_once_more(tested):
    found = tested({}, test="[ -e seen ] || { touch seen; kill -9 $$; }; echo '2 passed in 0.1s'")
    assert (found["outcome"], found["runs"]) == ("success", 2)


def test_a_number_of_failures_without_names_is_told_once(tested):
    found = tested({}, test="echo '1 failed, 2 passed, 1 skipped in 0.2s'; exit 1")
    assert (found["outcome"], found["detail"]) == ("failure", "1 of 4 tests failed; the output contains no names")


def test_no_tests_ran_is_no_success_though_the_command_succeeds(tested):
    found = tested({}, test="echo '=== no tests ran in 0.01s ==='; true")
    assert (found["outcome"], found["empty"]) == ("failure", True)


def test_a_command_that_counts_nothing_is_judged_by_its_exit_code(tested):
    assert tested({}, test="echo fine") | {} != {}
    assert tested({}, test="echo fine")["tests"] is None
    assert tested({}, test="echo fine")["outcome"] == "success"
    failed = tested({}, test="echo bad; exit 4")
    assert (failed["outcome"], failed["detail"]) == ("failure", "the test command ended with exit code 4")


def test_passing_tests_with_a_failing_command_fail(tested):
    files = {"test_a.py": "import unittest\nclass T(unittest.TestCase):\n    def test_a(self):\n        pass\n"}
    found = tested(files, test="python -m unittest; exit 2")
    assert (found["outcome"], found["runs"]) == ("failure", 1)
    assert found["detail"] == "the test command ended with exit code 2 although 1 test passed"


PYTEST = {
    "pytest.ini": "[pytest]\naddopts = -p no:django\n",
    "test_a.py": "def test_one():\n    pass\ndef test_two():\n    assert 1 == 2\n",
}


def test_pytest_is_used_when_it_is_configured_and_its_xml_is_read(tested):
    found = tested(PYTEST)
    assert (found["command"], found["source"], found["tests"]) == ("pytest", "junit", 2)
    assert [item["name"] for item in found["failures"]] == ["test_a.test_two"]


def test_a_flaky_pytest_test_is_found(tested):
    body = FLAKY.replace("from django.test import TestCase", "from unittest import TestCase")
    found = tested({"pytest.ini": PYTEST["pytest.ini"], "test_a.py": body})
    assert (found["outcome"], found["flaky"]) == ("success", ["test_a.Sometimes.test_first_time"])


def test_a_script_that_runs_both_kinds_of_tests_is_counted_whole(tested):
    files = {**DJANGO, **PYTEST, "shop/tests.py": GOOD, "test_a.py": "def test_one():\n    pass\n"}
    found = tested(files, test="python manage.py test shop && pytest test_a.py")
    assert (found["outcome"], found["tests"]) == ("success", 3)


def test_a_class_whose_set_up_fails_is_repeated_as_a_whole(tested):
    body = FLAKY.replace(
        "    def test_first_time(self):", "    @classmethod\n    def setUpClass(cls):\n        super().setUpClass()"
    ).replace('self.assertTrue(seen, "the first time it fails")', "assert seen")
    found = tested({**DJANGO, "shop/tests.py": body})
    assert (found["outcome"], found["flaky"]) == ("success", ["shop.tests.Sometimes.setUpClass"])


def test_pytest_options_of_the_app_are_kept(tested):
    found = tested({**PYTEST}, PYTEST_ADDOPTS="-k one")
    assert (found["outcome"], found["tests"]) == ("success", 1)


def test_pytest_without_tests_is_a_failure(tested):
    assert tested({"pytest.ini": PYTEST["pytest.ini"]})["outcome"] == "failure"


def test_pytest_in_the_requirements_is_enough(tested):
    found = tested(
        {"requirements-test.txt": "pytest==8.3  # runner\n", "test_a.py": "def test_a():\n    pass\n"},
        PYTEST_ADDOPTS="-p no:django",
    )
    assert (found["command"], found["outcome"]) == ("pytest", "success")


def test_many_failures_are_not_repeated(tested):
    body = "".join(f"def test_{number}():\n    assert 0\n" for number in range(25))
    found = tested({**PYTEST, "test_a.py": body})
    assert (found["failed"], found["runs"]) == (25, 1)


@pytest.mark.neighbours
def test_the_output_is_passed_on_as_it_comes(tmp_path):
    app = write(tmp_path / "app", {})
    done = run("tests", home=tmp_path / "home", cwd=app, wish={"test": "echo to the log; echo and errors >&2"})
    assert "to the log\nand errors\n" in done.stdout


def test_a_parallel_run_that_breaks_down_is_an_error_not_a_failure(tested):
    words = "Unfortunately, tracebacks cannot be pickled, making it impossible"
    found = tested({}, test=f"echo '{words}'; exit 1")
    assert found["outcome"] == "error"
    assert "tblib" in found["detail"]
