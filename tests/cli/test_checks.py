"""checks:info --sarif prints only the log on standard output."""

from __future__ import annotations

import base64
import gzip
import json
import re

import pytest

from tests.cli.rows import APP, SHA, T0, delivery


def test_sarif_is_printed_and_nothing_else(at_server, greenroom):
    result = greenroom("checks:info", "scan", "--sarif", "-a", APP)
    assert result.exit_code == 0, result.stderr
    assert json.loads(result.stdout) == {"version": "2.1.0", "runs": []}
    assert at_server.asked("GET")[-1].path.endswith("/sarif")


WITHHELD = "withheld: `tests` failed: 2 of 214, first: payroll.tests.Net.test_x; v12 keeps running"


@pytest.mark.parametrize(
    ("colour", "text", "code"),
    [("red", WITHHELD, 1), ("blocked", "withheld: x", 1), ("pending", "waiting: y", 3), ("green", "", 0)],
)
def test_checks_says_in_a_paragraph_why_and_tells_scripts_by_its_exit_code(at_server, greenroom, colour, text, code):
    at_server.on(
        "GET", f"/apps/{APP}/deliveries", [delivery("refused", verdict={"colour": colour, "reasons": [], "text": text})]
    )
    result = greenroom("checks", "-a", APP, "--exit-code")
    assert (result.exit_code, text in result.stdout) == (code, True), result.stderr
    assert greenroom("checks", "-a", APP).exit_code == 0
    assert at_server.asked("GET")[-1].query["sha"] == SHA


def test_who_let_a_commit_pass_and_whether_it_still_counts_is_shown_with_its_checks(at_server, greenroom):
    row = {
        "sha": SHA,
        "checks": ["tests"],
        "reason": "the till is being repaired",
        "actor": "bob@example.com",
        "holds": False,
        "created_at": T0,
    }
    at_server.on("GET", f"/apps/{APP}/overrides", [row, {**row, "holds": True, "checks": ["scan", "lint"]}])
    void, good = greenroom("checks", "-a", APP).stdout.splitlines()[-2:]
    assert void.startswith("tests overridden by bob@example.com, ")
    assert void.endswith(": the till is being repaired (void: a check was run again)")
    assert good.startswith("scan, lint overridden by")
    assert good.endswith("repaired")


def test_a_sarif_file_is_sent_gzipped_and_a_check_that_failed_is_exit_code_1(at_server, greenroom, tmp_path):
    (tmp_path / "b.sarif").write_text('{"version": "2.1.0", "runs": []}')
    result = greenroom("checks:upload", "bandit", str(tmp_path / "b.sarif"), "--root", "/ci/w", "-a", APP)
    assert (result.exit_code, "scan/bandit" in result.stdout) == (1, True), result.stderr
    sent = at_server.asked("POST")[-1].body
    assert (sent["name"], sent["root"], gzip.decompress(base64.b64decode(sent["sarif"]))) == (
        "bandit",
        "/ci/w",
        b'{"version": "2.1.0", "runs": []}',
    )
    missing = greenroom("checks:upload", "bandit", "nothing.sarif", "-a", APP)
    assert (missing.exit_code, "Cannot read" in missing.stderr) == (1, True)


def test_a_finding_is_ignored_with_reason_and_end(at_server, greenroom):
    result = greenroom(
        "checks:ignore", "3fa9c01d", "--reason", "not reachable, TICKET-12", "--until", "2026-12-31", "-a", APP
    )
    assert result.exit_code == 0, result.stderr
    sent = at_server.asked("POST")[-1].body
    assert (sent["fingerprint"], sent["reason"], sent["until"][:10] >= "2026-12-30") == (
        "3fa9c01d",
        "not reachable, TICKET-12",
        True,
    )
    assert "greenroom checks:rerun scan" in result.stderr
    assert "TICKET-12" in greenroom("checks:ignores", "-a", APP).stdout
    assert greenroom("checks:unignore", "3fa9c01d", "-a", APP).exit_code == 0


def test_the_policy_is_shown_and_changed(at_server, greenroom):
    shown = greenroom("checks:policy", "-a", APP).stdout
    assert "one person" in shown
    assert re.search(r"stale after: +2h$", shown, re.MULTILINE)
    assert "two people" in greenroom("checks:policy", "--two-people", "--stale-after", "2h", "-a", APP).stdout
    assert at_server.asked("PATCH")[-1].body == {"two_people": True, "stale_after": 120}
    assert greenroom("checks:policy", "--stale-after", "soon", "-a", APP).exit_code == 1
