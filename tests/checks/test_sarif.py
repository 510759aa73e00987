"""Findings as SARIF 2.1.0: the fields that the standard requires, and those that readers need to find the location."""

from __future__ import annotations

import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account
from greenroom.checks import actions
from greenroom.checks.models import Annotation
from greenroom.checks.rules import sarif

SHA = "a" * 40
ONE = {
    "tool": "ruff",
    "rule": "S608",
    "path": "app/db file.py",
    "line": 7,
    "end_line": 0,
    "column": 5,
    "severity": 1,
    "message": "SQL injection",
    "fingerprint": "f" * 64,
    "new": True,
}


def log(*findings, conclusion="failure", **more):
    return sarif.log_of(
        name="scan", sha=SHA, conclusion=conclusion, findings=findings, versions={"ruff": "0.17.6"}, **more
    )


def test_each_tool_is_a_run_with_its_rules_and_version():
    whole = log(
        ONE,
        {**ONE, "rule": "B006", "severity": 2, "new": False},
        {**ONE, "tool": "detect-secrets", "rule": "Secret Keyword"},
    )
    assert (whole["version"], whole["$schema"]) == ("2.1.0", sarif.SCHEMA)
    secrets, ruff = whole["runs"]
    assert ruff["tool"]["driver"] == {"name": "ruff", "rules": [{"id": "B006"}, {"id": "S608"}], "version": "0.17.6"}
    assert secrets["tool"]["driver"] == {"name": "detect-secrets", "rules": [{"id": "Secret Keyword"}]}
    assert [ruff["tool"]["driver"]["rules"][row["ruleIndex"]]["id"] for row in ruff["results"]] == ["S608", "B006"]
    assert [row["baselineState"] for row in ruff["results"]] == ["new", "unchanged"]


def test_a_result_has_message_place_and_fingerprint():
    row = log(ONE)["runs"][0]["results"][0]
    assert row["message"] == {"text": "SQL injection"}
    place = row["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "app/db%20file.py", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 7, "startColumn": 5},
    }
    assert row["partialFingerprints"] == {"greenroom/v1": "f" * 64}


@pytest.mark.parametrize(("severity", "level"), [(1, "error"), (2, "error"), (3, "warning"), (4, "note")])
def test_levels(severity, level):
    assert log({**ONE, "severity": severity})["runs"][0]["results"][0]["level"] == level


def test_what_a_finding_lacks_is_left_out_and_the_rest_still_stands():
    row = log({**ONE, "rule": "", "message": "", "line": 0, "column": 0, "end_line": 3, "fingerprint": ""})["runs"][0][
        "results"
    ][0]
    assert not {"ruleId", "ruleIndex", "partialFingerprints"} & set(row)
    assert row["message"]["text"] == "finding"
    assert row["locations"][0]["physicalLocation"]["region"] == {"startLine": 1, "endLine": 3}


@pytest.mark.parametrize(
    ("conclusion", "done"), [("success", True), ("failure", True), ("error", False), ("timed_out", False), ("", False)]
)
def test_a_scan_that_found_nothing_is_a_run_without_results_and_says_whether_it_looked(conclusion, done):
    (run,) = log(conclusion=conclusion)["runs"]
    assert (run["results"], run["tool"]["driver"]["name"], run["invocations"]) == (
        [],
        "scan",
        [{"executionSuccessful": done}],
    )


@pytest.mark.django_db
def test_the_api_gives_the_log_of_a_check_run_to_whoever_may_see_the_app(alice, charlie, shop):
    run = actions.report(app=shop, sha=SHA, name="lint", status="completed", conclusion="failure", annotations=[])
    Annotation.objects.create(check_run=run, **ONE)

    def get(actor):
        token = accounts.create_token(
            actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=("global",)
        )[1]
        return Client(headers={"Authorization": f"Bearer {token}"}).get(f"/apps/{shop.name}/checks/{run.id}/sarif")

    answer = get(alice)
    assert (answer.status_code, answer["Content-Type"]) == (200, "application/sarif+json")
    assert answer.json()["runs"][0]["results"][0]["ruleId"] == "S608"
    assert get(charlie).status_code in (403, 404)
