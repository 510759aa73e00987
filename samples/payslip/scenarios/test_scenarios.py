"""Each scenario does what its line in README.md says. Run with `python -m pytest scenarios`."""

import json
import os
import re
import signal
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
NAMES = sorted(patch.stem for patch in HERE.glob("*.patch"))
NEW_STAFF = "from payroll.models import *; StaffMember.objects.create(number='N-1', name='New')"
LIST_STAFF = "from payroll.models import *; print(list(StaffMember.objects.all()))"
NEW_RUN = (
    "import datetime; from payroll.models import *; "
    "PayRun.objects.create(month=datetime.date(2031, 5, 1))"
)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def status_of(address: str) -> int:
    try:
        with urllib.request.urlopen(address, timeout=60) as answer:  # noqa: S310
            return answer.status
    except urllib.error.HTTPError as problem:
        return problem.code


def wait_until_bound(port: int, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return True
        time.sleep(0.1)
    return False


def stop(process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    process.communicate(timeout=20)


def test_every_patch_has_its_line_and_every_line_its_patch():
    listed = re.findall(r"^\| `([a-z0-9-]+)\.patch`", (HERE / "README.md").read_text(), re.M)
    assert sorted(listed) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_patch_applies_and_the_system_check_still_passes(release, name):
    made = release(name).manage("check", BANK_CONTRACT="7")
    assert made.returncode == 0, made.stderr


def test_the_harmless_migration_suits_old_and_new_code(release):
    old, new = release(), release("harmless-migration")
    new.migrate()
    assert old.python(NEW_STAFF).returncode == 0
    assert "New" in new.python(LIST_STAFF).stdout


def test_the_renamed_column_breaks_new_code_before_and_old_code_after(release):
    old, new = release(), release("renamed-column")
    old.migrate()
    assert old.python(NEW_STAFF).returncode == 0
    before = new.python(LIST_STAFF)
    assert before.returncode != 0 and "iban" in before.stderr
    new.migrate()
    assert "New" in new.python(LIST_STAFF).stdout
    after = old.python(LIST_STAFF)
    assert after.returncode != 0 and "bank_account" in after.stderr


def test_old_code_cannot_start_a_run_on_a_not_null_column_without_default(release):
    old, new = release(), release("not-null-without-default")
    new.migrate()
    failed = old.python(NEW_RUN)
    assert failed.returncode != 0 and "NOT NULL" in failed.stderr
    assert new.python(NEW_RUN).returncode == 0


def test_the_slow_index_takes_its_time_where_there_are_lines_and_only_there(release):
    old, new = release(), release("slow-index")
    old.migrate()
    assert old.manage("seed_demo").returncode == 0
    sql = new.manage("sqlmigrate", "payroll", "0004").stdout
    assert "CREATE INDEX" in sql and "CONCURRENTLY" not in sql
    start = time.monotonic()
    assert new.manage("migrate", "-v0", SLOW_INDEX_SECONDS="6").returncode == 0
    assert time.monotonic() - start > 6
    start = time.monotonic()
    tests = new.manage("test", "payslip.tests.test_health", SLOW_INDEX_SECONDS="60")
    assert tests.returncode == 0 and time.monotonic() - start < 50


def test_the_failing_test_fails_and_is_named(release):
    tests = release("failing-test").manage("test", "payroll.tests.test_calculation")
    assert tests.returncode == 1
    assert "FAIL: test_half_a_cent_is_rounded_away_from_zero" in tests.stderr


def test_the_flaky_test_fails_the_first_time_and_passes_the_second(release):
    made = release("flaky-test")
    codes = [made.manage("test", "payroll.tests.test_rates_cache").returncode for _ in range(3)]
    assert codes == [1, 0, 1]


def test_the_scan_finds_a_command_put_into_a_shell(release):
    pytest.importorskip("ruff")
    rules = ["ruff", "check", "--no-cache", "--select", "E9,F,S,B,DJ,PLE,T10", "."]
    clean = release().run(sys.executable, "-m", *rules)
    assert clean.returncode == 0, clean.stdout
    found = release("scan-finding").run(sys.executable, "-m", *rules)
    assert found.returncode == 1
    assert "S602" in found.stdout and "dump_units.py" in found.stdout
    assert "Found 1 error" in found.stdout


def test_a_migration_is_missing(release):
    check = ("makemigrations", "--check", "--dry-run")
    assert release().manage(*check).returncode == 0
    made = release("missing-migration").manage(*check)
    assert made.returncode == 1 and "Alter field name on staffmember" in made.stdout


def test_the_release_crashes_at_boot_and_its_tests_do_not_see_it(release):
    made = release("boot-crash")
    process = made.start(made.web_command(), PORT=str(free_port()))
    _, log = process.communicate(timeout=60)
    assert process.returncode != 0
    assert "No module named 'payslip_profiler'" in log
    assert made.manage("test", "payslip.tests.test_configuration").returncode == 0


def test_the_release_runs_and_never_binds(release):
    port = free_port()
    made = release("never-binds")
    process = made.start(made.web_command(), PORT=str(port), DYNO=f"test-{os.getpid()}")
    try:
        assert not wait_until_bound(port, 6)
        assert process.poll() is None
    finally:
        stop(process)


def test_the_release_answers_500_on_its_health_path_only(release):
    port = free_port()
    made = release("health-500")
    assert made.manage("collectstatic", "--noinput", "-v0").returncode == 0
    process = made.start(made.web_command(), PORT=str(port))
    try:
        assert wait_until_bound(port, 60)
        assert status_of(f"http://127.0.0.1:{port}/healthz") == 500
        assert status_of(f"http://127.0.0.1:{port}/sign-in/") == 200
    finally:
        stop(process)
    assert made.manage("test", "payslip.tests.test_health").returncode == 0


def test_the_release_needs_a_new_variable_that_app_json_names(release):
    made = release("new-required-variable")
    without = made.manage("check")
    assert without.returncode != 0
    assert "the environment variable BANK_CONTRACT is not set" in without.stderr
    app = json.loads((made.folder / "app.json").read_text())
    assert app["env"]["BANK_CONTRACT"]["required"] is True
    test_environment = app["environments"]["test"]["env"]
    tests = made.manage("test", "payslip.tests.test_configuration", **test_environment)
    assert tests.returncode == 0, tests.stderr


def test_a_missing_static_file_stops_the_build(release):
    made = release("missing-static-file").manage("collectstatic", "--noinput")
    assert made.returncode != 0
    assert "img/paper.png" in made.stderr + made.stdout
