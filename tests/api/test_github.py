"""External statuses and check runs: GitHub's shapes, limits and errors, tokens for one app's checks, and the effects of
a report.
"""

from __future__ import annotations

import json
import os
import subprocess

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.checks import actions as checks
from greenroom.checks import queries
from greenroom.checks.actions import external_reports
from greenroom.checks.models import CheckRun, Status
from greenroom.deliveries.models import Delivery
from greenroom.slugs.models import Slug
from tests.api.github_shapes import problems

pytestmark = pytest.mark.django_db
ROOT = "/api/v3/repos/anybody/shop"
RUN = {"name": "ci/build", "status": "in_progress"}


def git(folder, *words):
    env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    who = ["-c", "user.name=a", "-c", "user.email=a@example.com"]
    done = subprocess.run(
        ["git", *who, "-C", str(folder), *words], capture_output=True, text=True, check=True, env=env, input=""
    )
    return done.stdout.strip()


@pytest.fixture
def sha(shop):
    """A commit in the app's repository, on two branches and under a tag."""
    folder = settings.HOME / shop.repo_folder
    folder.mkdir(parents=True, exist_ok=True)
    git(folder, "init", "--bare", "-q", "-b", "master")
    commit = git(folder, "commit-tree", git(folder, "mktree"), "-m", shop.id.hex)
    git(folder, "update-ref", "refs/heads/master", commit)
    git(folder, "update-ref", "refs/heads/feature/x", commit)
    git(folder, "update-ref", "refs/tags/v1", commit)
    return commit


class Api:
    """A client with a token. ``word``: the scheme in the Authorization header."""

    def __init__(self, plain, word="Bearer"):
        self.client = Client(headers={"Authorization": f"{word} {plain}"})

    def __call__(self, method, path, body=None):
        text = "" if body is None else body if isinstance(body, str) else json.dumps(body)
        return self.client.generic(
            method,
            ROOT + path if path.startswith(("/statuses", "/check-runs", "/commits")) else path,
            text,
            content_type="application/json",
        )


def token(actor, *scopes, **limits):
    account = Account.objects.get(pk=actor.account_id)
    return accounts.create_token(actor=actor, account=account, scopes=scopes or ("checks:write",), **limits)


@pytest.fixture
def ci(alice, shop):
    """A token for two checks of the shop."""
    return Api(token(alice, app=shop, checks=("ci/build", "Lint"))[1])


@pytest.fixture
def api(alice):
    return Api(token(alice, "global")[1])


def run(shop, name="ci/build"):
    return queries.latest_of(shop, CheckRun.objects.first().sha, name)


# ---- statuses --------------------------------------------------------------------------------------------------------


def test_a_status_has_githubs_shape_and_moves_the_check(ci, shop, sha):
    body = {
        "state": "pending",
        "context": "ci/build",
        "description": "started",
        "target_url": "https://ci.example.com/1",
    }
    answer = ci("POST", f"/statuses/{sha}", body)
    assert answer.status_code == 201, answer.content
    assert not problems(answer.json(), "status")
    assert {key: answer.json()[key] for key in body} == body
    assert (run(shop).status, run(shop).conclusion) == ("in_progress", "")
    assert ci("POST", f"/statuses/{sha}", {**body, "state": "success"}).status_code == 201
    assert (run(shop).attempt, run(shop).conclusion, run(shop).url) == (1, "success", "https://ci.example.com/1")


def test_pending_after_an_end_is_a_new_attempt_that_counts(ci, shop, sha):
    for state in ("success", "pending"):
        ci("POST", f"/statuses/{sha}", {"state": state, "context": "ci/build"})
    assert (run(shop).attempt, run(shop).status) == (2, "in_progress")
    assert checks.judge(app=shop, sha=sha, required=["ci/build"]).colour == "pending"


@pytest.mark.parametrize(
    ("states", "combined"),
    [
        ({}, "pending"),
        ({"ci/build": "success"}, "success"),
        ({"ci/build": "success", "lint": "pending"}, "pending"),
        ({"ci/build": "error", "lint": "pending"}, "failure"),
        ({"ci/build": "failure", "lint": "success"}, "failure"),
    ],
)
def test_the_combined_state_is_the_worst_of_the_newest(ci, sha, states, combined):
    for context, state in states.items():
        ci("POST", f"/statuses/{sha}", {"state": "failure", "context": context.upper()})
        ci("POST", f"/statuses/{sha}", {"state": state, "context": context})
    body = ci("GET", f"/commits/{sha}/status").json()
    assert not problems(body, "combined-commit-status")
    assert (body["state"], body["total_count"], len(body["statuses"])) == (combined, len(states), len(states))


@pytest.mark.parametrize(
    "ref", ["heads/master", "master", "main", "heads/main", "heads/feature/x", "feature/x", "tags/v1"]
)
def test_a_branch_or_tag_names_its_commit(ci, sha, ref):
    assert ci("GET", f"/commits/{ref}/status").json()["sha"] == sha


def test_statuses_are_listed_newest_first_and_paged(ci, sha):
    for number in range(5):
        ci("POST", f"/statuses/{sha}", {"state": "pending", "context": "ci/build", "description": f"step {number}"})
    answer = ci("GET", f"/commits/{sha}/statuses?per_page=2&page=2")
    assert [row["description"] for row in answer.json()] == ["step 2", "step 1"]
    assert "page=3" in answer["Link"]
    assert 'rel="next"' in answer["Link"]
    assert "Link" not in ci("GET", f"/commits/{sha}/statuses?per_page=2&page=3")
    assert not [text for row in answer.json() for text in problems(row, "status")]
    assert ci("GET", f"/statuses/{sha}?per_page=2&page=2").json() == answer.json()


def test_a_context_takes_a_thousand_statuses_and_no_more(ci, shop, alice, sha):
    rows = [
        Status(app=shop, sha=sha, context="CI/build", state="pending") for _ in range(external_reports.MAX_STATUSES)
    ]
    Status.objects.bulk_create(rows)
    assert ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 422
    assert ci("POST", f"/statuses/{sha}", {"state": "success", "context": "lint"}).status_code == 201


def test_a_status_without_a_context_is_called_default(api, shop, sha):
    assert api("POST", f"/statuses/{sha}", {"state": "success"}).json()["context"] == "default"


# ---- check runs ------------------------------------------------------------------------------------------------------


def annotation(**changes):
    return {"path": "a.py", "start_line": 3, "end_line": 4, "annotation_level": "warning", "message": "hm", **changes}


def test_a_check_run_is_opened_changed_and_read_in_githubs_shape(ci, shop, sha):
    answer = ci(
        "POST", "/check-runs", {**RUN, "head_sha": sha, "external_id": "42", "details_url": "https://ci.example.com/2"}
    )
    assert answer.status_code == 201, answer.content
    number = answer.json()["id"]
    assert not problems(answer.json(), "check-run")
    output = {"title": "2 of 9", "summary": "two failed", "text": "long", "annotations": [annotation(title="W1")]}
    changed = ci(
        "PATCH",
        f"/check-runs/{number}",
        {"conclusion": "failure", "completed_at": "2026-11-23T09:11:42Z", "output": output},
    )
    assert changed.status_code == 200, changed.content
    row = changed.json()
    assert not problems(row, "check-run")
    assert (row["id"], row["status"], row["conclusion"], row["completed_at"]) == (
        number,
        "completed",
        "failure",
        "2026-11-23T09:11:42Z",
    )
    assert (row["output"]["title"], row["output"]["text"], row["output"]["annotations_count"]) == ("2 of 9", "long", 1)
    assert (row["external_id"], row["details_url"]) == ("42", "https://ci.example.com/2")
    assert ci("GET", f"/check-runs/{number}").json() == row
    listed = ci("GET", f"/check-runs/{number}/annotations").json()
    assert not problems(listed[0], "check-annotation")
    assert {key: listed[0][key] for key in annotation()} == annotation()


def test_all_that_is_said_of_an_annotation_is_given_back(ci, api, shop, sha):
    said = {
        "path": "a.py",
        "start_line": 3,
        "end_line": 3,
        "start_column": 5,
        "end_column": 9,
        "annotation_level": "failure",
        "message": "m",
        "title": "t" * 255,
        "raw_details": "line one\nline two",
    }
    output = {"title": "t", "summary": "s", "annotations": [said]}
    number = ci(
        "POST", "/check-runs", {"name": "lint", "head_sha": sha, "conclusion": "failure", "output": output}
    ).json()["id"]
    listed = ci("GET", f"/check-runs/{number}/annotations").json()
    assert not problems(listed[0], "check-annotation")
    assert {key: listed[0][key] for key in said} == said


def test_annotations_are_added_to_those_that_are_there_even_after_the_end(ci, sha):
    number = ci("POST", "/check-runs", {"name": "lint", "head_sha": sha, "conclusion": "success"}).json()["id"]
    output = {"title": "t", "summary": "s", "annotations": [annotation()] * 50}
    for _ in range(2):
        answer = ci("PATCH", f"/check-runs/{number}", {"output": output})
        assert answer.status_code == 200, answer.content
    assert answer.json()["output"]["annotations_count"] == 100
    assert answer.json()["conclusion"] == "success"


def test_another_run_of_the_name_is_a_new_attempt_and_the_newest_counts(ci, shop, sha):
    for conclusion in ("failure", "success"):
        ci("POST", "/check-runs", {"name": "ci/build", "head_sha": sha, "conclusion": conclusion})
    assert checks.judge(app=shop, sha=sha, required=["lint"]).colour == "pending"
    newest = ci("GET", f"/commits/{sha}/check-runs").json()
    assert [row["conclusion"] for row in newest["check_runs"]] == ["success"]
    every = ci("GET", f"/commits/{sha}/check-runs?filter=all&check_name=CI/build&status=completed").json()
    assert every["total_count"] == 2
    assert not [text for row in every["check_runs"] for text in problems(row, "check-run")]


def test_a_run_that_another_takes_the_place_of_is_cancelled(ci, shop, sha):
    first = ci("POST", "/check-runs", {**RUN, "head_sha": sha}).json()["id"]
    second = ci("POST", "/check-runs", {**RUN, "head_sha": sha}).json()["id"]
    assert ci("GET", f"/check-runs/{first}").json()["conclusion"] == "cancelled"
    assert ci("PATCH", f"/check-runs/{first}", {"conclusion": "success"}).status_code == 409
    assert ci("PATCH", f"/check-runs/{second}", {"conclusion": "success"}).status_code == 200


def test_the_end_of_a_run_is_its_end(ci, sha):
    number = ci("POST", "/check-runs", {"name": "lint", "head_sha": sha, "conclusion": "failure"}).json()["id"]
    assert ci("PATCH", f"/check-runs/{number}", {"conclusion": "success"}).status_code == 409
    assert ci("PATCH", f"/check-runs/{number}", {"status": "in_progress"}).status_code == 409


def test_a_rerun_that_was_asked_for_is_the_run_that_is_opened_next(ci, alice, shop, sha):
    ci("POST", "/check-runs", {"name": "lint", "head_sha": sha, "conclusion": "failure"})
    waiting = checks.rerun(app=shop, sha=sha, actor=alice, name="lint")[0]
    assert (
        ci("POST", "/check-runs", {"name": "lint", "head_sha": sha, "status": "in_progress"}).json()["id"]
        == waiting.number
    )


def test_a_check_run_is_requested_again_by_its_number(ci, api, shop, sha):
    number = ci("POST", "/check-runs", {"name": "lint", "head_sha": sha, "conclusion": "failure"}).json()["id"]
    answer = ci("POST", f"/check-runs/{number}/rerequest")
    assert (answer.status_code, answer.json()) == (201, {})
    assert ci("GET", f"/check-runs/{number}").json()["conclusion"] == "failure"
    assert (run(shop, "lint").attempt, run(shop, "lint").status) == (2, "queued")
    refused = ci("POST", f"/check-runs/{number}/rerequest")
    assert refused.status_code == 422
    assert not problems(refused.json(), "basic-error")
    assert ci("POST", "/check-runs/999/rerequest").status_code == 404
    (tests,) = checks.begin(app=shop, sha=sha, names=["tests"])
    CheckRun.objects.filter(pk=tests.pk).update(status="completed", conclusion="failure")
    assert (
        ci("POST", f"/check-runs/{tests.number}/rerequest").status_code == 403
    )  # a token for reports cannot start Greenroom's own checks
    assert api("POST", f"/check-runs/{tests.number}/rerequest").status_code == 201


def test_builtin_runs_are_shown_with_conclusions_that_github_has(ci, shop, sha):
    checks.begin(app=shop, sha=sha, names=["tests", "scan"])
    CheckRun.objects.filter(name="tests").update(status="completed", conclusion="error")
    CheckRun.objects.filter(name="scan").update(status="completed", conclusion="stale")
    rows = ci("GET", f"/commits/{sha}/check-runs").json()["check_runs"]
    assert not [text for row in rows for text in problems(row, "check-run")]
    assert {row["name"]: row["conclusion"] for row in rows} == {"tests": "failure", "scan": "timed_out"}


# ---- refusals --------------------------------------------------------------------------------------------------------

BAD_STATUS = {
    "state": [{}, {"state": None}, {"state": "green"}, {"state": 3}],
    "context": [{"state": "success", "context": "x" * 101}, {"state": "success", "context": ["x"]}],
    "description": [{"state": "success", "description": "x" * 141}, {"state": "success", "description": {}}],
    "target_url": [
        {"state": "success", "target_url": url}
        for url in ("javascript:alert(1)", "ftp://x/", "https://", "http://[", 5)
    ],
}


@pytest.mark.parametrize(("field", "body"), [(field, body) for field, bodies in BAD_STATUS.items() for body in bodies])
def test_a_bad_status_is_refused_by_field(api, sha, field, body):
    answer = api("POST", f"/statuses/{sha}", body)
    assert answer.status_code == 422
    assert not problems(answer.json(), "validation-error")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert not Status.objects.exists()


BAD_RUN = [
    ("name", {"name": ""}),
    ("name", {"name": "x" * 101}),
    ("head_sha", {"head_sha": None}),
    ("status", {"status": "waiting"}),
    ("conclusion", {"status": "completed"}),
    ("conclusion", {"conclusion": "stale"}),
    ("conclusion", {"conclusion": "error"}),
    ("details_url", {"details_url": "file:///etc/passwd"}),
    ("started_at", {"started_at": "yesterday"}),
    ("external_id", {"external_id": 4}),
    ("output", {"output": "fine"}),
    ("output.title", {"output": {"summary": "s"}}),
    ("output.summary", {"output": {"title": "t"}}),
    ("output.summary", {"output": {"title": "t", "summary": "x" * 65_536}}),
    ("output.text", {"output": {"title": "t", "summary": "s", "text": "x" * 65_536}}),
    ("actions", {"actions": [{}] * 4}),
    ("output.annotations", {"output": {"title": "t", "summary": "s", "annotations": [annotation()] * 51}}),
    *(
        (
            f"output.annotations[0].{field}",
            {"output": {"title": "t", "summary": "s", "annotations": [annotation(**{field: bad})]}},
        )
        for field, bad in (
            ("path", ""),
            ("start_line", "3"),
            ("start_line", -1),
            ("end_line", 2),
            ("annotation_level", "fatal"),
            ("message", None),
            ("message", "x" * (64 * 1024 + 1)),
            ("title", "x" * 256),
            ("start_column", 1),
            ("end_column", 1),
            ("raw_details", "x" * (64 * 1024 + 1)),
            ("raw_details", 7),
        )
    ),
]


@pytest.mark.parametrize(("field", "changes"), BAD_RUN)
def test_a_bad_check_run_is_refused_by_field(api, sha, field, changes):
    answer = api("POST", "/check-runs", {**RUN, "head_sha": sha, **changes})
    assert answer.status_code == 422, answer.content
    assert not problems(answer.json(), "validation-error")
    assert field in [error["field"] for error in answer.json()["errors"]]
    assert not CheckRun.objects.exists()


@pytest.mark.parametrize(
    "body", ["{", "[]", '"x"', "null", '{"output": {"annotations": "x"}}', '{"name": {}, "head_sha": []}']
)
@pytest.mark.parametrize("path", ["/statuses/{sha}", "/check-runs"])
def test_a_broken_body_is_refused_and_never_a_500(api, sha, path, body):
    assert api("POST", path.format(sha=sha), body).status_code in (400, 422)


@pytest.mark.parametrize("bad", ["0" * 40, "master", "abc", "f" * 40, "-x"])
def test_a_commit_that_the_app_does_not_have_is_refused(api, shop, sha, bad):
    for answer in (
        api("POST", f"/statuses/{bad}", {"state": "success"}),
        api("POST", "/check-runs", {**RUN, "head_sha": bad}),
    ):
        assert answer.status_code == 422
        assert answer.json()["message"] == f"No commit found for SHA: {bad}"
        assert not problems(answer.json(), "basic-error")
    if bad != "master":
        assert api("GET", f"/commits/{bad}/status").status_code == 404


@pytest.mark.parametrize("name", ["tests", "Scan", " TESTS "])
def test_a_builtin_check_cannot_be_reported(api, sha, name):
    assert api("POST", f"/statuses/{sha}", {"state": "success", "context": name}).status_code == 422
    assert api("POST", "/check-runs", {"name": name, "head_sha": sha, "conclusion": "success"}).status_code == 422


def test_a_builtin_run_cannot_be_changed_by_its_number(api, shop, sha):
    for run_ in checks.begin(app=shop, sha=sha, names=["tests", "scan"]):
        assert api("PATCH", f"/check-runs/{run_.number}", {"conclusion": "success"}).status_code == 422
        CheckRun.objects.filter(pk=run_.pk).update(status="completed", conclusion="failure")
        assert api("PATCH", f"/check-runs/{run_.number}", {"output": {"title": "t", "summary": "s"}}).status_code == 422


@pytest.mark.parametrize("number", ["0", "-1", "999", "x", "9" * 30])
def test_a_number_that_no_run_has_is_not_found(api, sha, number):
    for method, path in (("GET", ""), ("PATCH", ""), ("GET", "/annotations")):
        assert api(method, f"/check-runs/{number}{path}", {} if method == "PATCH" else None).status_code == 404


def test_a_run_cannot_be_renamed(api, sha):
    number = api("POST", "/check-runs", {**RUN, "head_sha": sha}).json()["id"]
    assert api("PATCH", f"/check-runs/{number}", {"name": "other"}).status_code == 422
    assert api("PATCH", f"/check-runs/{number}", {"name": "CI/Build"}).status_code == 200


# ---- tokens ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["Bearer", "token", "Token"])
def test_both_words_of_the_header_are_understood(alice, shop, sha, word):
    api = Api(token(alice, app=shop, checks=("ci/build",))[1], word)
    assert api("POST", f"/statuses/{sha}", {"state": "success", "context": "CI/BUILD"}).status_code == 201


def test_a_token_reports_its_own_checks_alone(ci, api, sha):
    number = api("POST", "/check-runs", {"name": "deploy", "head_sha": sha, "status": "in_progress"}).json()["id"]
    answers = [
        ci("POST", f"/statuses/{sha}", {"state": "success", "context": "deploy"}),
        ci("POST", f"/statuses/{sha}", {"state": "success"}),
        ci("POST", "/check-runs", {"name": "deploy", "head_sha": sha}),
        ci("PATCH", f"/check-runs/{number}", {"conclusion": "success"}),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert not problems(answers[0].json(), "basic-error")


def test_a_token_of_one_app_sees_no_other(alice, shop, sha):
    from greenroom.apps import actions as apps

    apps.create(actor=alice, name="other")
    api = Api(token(alice, app=shop, checks=("ci/build",))[1])
    for path in ("/api/v3/repos/x/other/check-runs/1", "/apps/other"):
        assert api("GET", path).status_code == 404
    assert (
        api("POST", f"/api/v3/repos/x/other/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code
        == 404
    )


def test_a_token_for_reports_can_do_nothing_else(ci, shop, alice, home):
    from greenroom.entrypoints.api.routing import ROUTES
    from greenroom.pipelines import actions as pipelines

    pipeline = pipelines.create(actor=alice, name="pipeline")
    pipelines.couple(actor=alice, pipeline=pipeline, app=shop, stage="staging", home=home)
    for row in ROUTES:
        if row.permission in ("checks:report", "checks:read", "public"):
            continue
        path = row.pattern.replace("{app}", "shop").replace("{", "").replace("}", "")
        denied = 404 if "{pipeline}" in row.pattern else 403  # pipelines are hidden from a token for one app
        assert ci(row.method, path, {}).status_code == denied, f"{row.method} {path}"


def test_a_token_dies_with_its_owners_role(alice, bob, shop, sha):
    from greenroom.apps import actions as apps

    api = Api(token(bob, app=shop, checks=("ci/build",))[1])
    assert api("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 201
    apps.remove_collaborator(actor=alice, app=shop, email=bob.email)
    assert api("POST", f"/statuses/{sha}", {"state": "failure", "context": "ci/build"}).status_code == 404


@pytest.mark.parametrize(
    "limits",
    [
        {"scopes": ("global",), "checks": ("x",)},
        {"checks": ("x",)},
        {"app": True},
        {"app": True, "checks": (" ",)},
        {"app": True, "checks": ("x" * 101,)},
        {"app": True, "checks": tuple(map(str, range(51)))},
        {"app": True, "checks": ("x",), "scopes": ("write", "checks:write")},
    ],
)
def test_a_token_cannot_be_limited_in_a_way_that_would_not_hold(alice, shop, limits):
    from greenroom.basics.errors import UserError

    scopes = limits.pop("scopes", ("checks:write",))
    if limits.pop("app", False):
        limits["app"] = shop
    with pytest.raises(UserError):
        token(alice, *scopes, **limits)


def test_an_operator_makes_lists_and_ends_tokens_for_reports(api, bob, shop, sha):
    answer = api("POST", "/apps/shop/check-tokens", {"checks": ["ci/build"], "pin": True, "expires_in": 60})
    assert answer.status_code == 201, answer.content
    plain = answer.json()["token"]
    assert Api(plain)("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 201
    listed = api("GET", "/apps/shop/check-tokens").json()
    assert [(row["checks"], row["pinned"]) for row in listed] == [(["ci/build"], ["ci/build"])]
    assert plain not in json.dumps(listed)
    assert plain not in json.dumps(list(AuditEntry.objects.values_list("detail", flat=True)))
    assert Api(token(bob, "global")[1])("POST", "/apps/shop/check-tokens", {"checks": ["x"]}).status_code == 403
    assert api("DELETE", f"/apps/shop/check-tokens/{answer.json()['id']}").status_code == 200
    assert Api(plain)("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 401


@pytest.mark.parametrize(
    "body",
    [{}, {"checks": "x"}, {"checks": []}, {"checks": [3]}, {"checks": ["tests"]}, {"checks": ["x"], "expires_in": -1}],
)
def test_a_bad_wish_for_a_token_is_refused(api, shop, body):
    assert api("POST", "/apps/shop/check-tokens", body).status_code == 422


# ---- pins ------------------------------------------------------------------------------------------------------------


def pinned(api):
    return Api(api("POST", "/apps/shop/check-tokens", {"checks": ["ci/build"], "pin": True}).json()["token"])


def test_a_pinned_check_is_reported_by_its_token_alone(api, ci, shop, sha):
    own = pinned(api)
    for other in (api, ci):
        assert other("POST", f"/statuses/{sha}", {"state": "success", "context": "CI/build"}).status_code == 403
        assert (
            other("POST", "/check-runs", {"name": "ci/build", "head_sha": sha, "conclusion": "success"}).status_code
            == 403
        )
    assert own("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 201
    number = run(shop).number
    assert api("PATCH", f"/check-runs/{number}", {"output": {"title": "t", "summary": "s"}}).status_code == 403


def test_a_report_from_before_the_pin_does_not_count(api, ci, shop, sha):
    shop.required_checks = ["ci/build"]
    ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"})
    for name in ("tests", "scan"):
        CheckRun.objects.create(app=shop, sha=sha, name=name, status="completed", conclusion="success")
    assert checks.judge(app=shop, sha=sha, required=["tests", "scan", "ci/build"]).colour == "green"
    own = pinned(api)
    verdict = checks.judge(app=shop, sha=sha, required=["tests", "scan", "ci/build"])
    assert verdict.colour == "blocked"
    assert "pinned" in verdict.reasons[0]
    own("POST", "/check-runs", {"name": "ci/build", "head_sha": sha, "conclusion": "success"})
    assert checks.judge(app=shop, sha=sha, required=["tests", "scan", "ci/build"]).colour == "green"


def test_an_unpinned_check_takes_all_reports_again(api, ci, sha):
    pinned(api)
    assert api("DELETE", "/apps/shop/pins/ci/build").status_code == 200
    assert ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 201
    assert api("DELETE", "/apps/shop/pins/ci/build").status_code == 404


# ---- effects of a report ---------------------------------------------------------------------------------------------


@pytest.fixture
def delivery(shop, sha):
    """A delivery that the verdict withheld because ``ci/build`` had failed."""
    from greenroom.builds.models import Build

    slug = Slug.objects.create(app=shop, digest="d" * 64, commit=sha, env_key="e")
    build = Build.objects.create(app=shop, commit=sha, status="succeeded", slug=slug)
    shop.required_checks = ["ci/build"]
    shop.save()
    for name in ("tests", "scan"):
        CheckRun.objects.create(app=shop, sha=sha, name=name, builtin=True, status="completed", conclusion="success")
    return Delivery.objects.create(
        app=shop, seq=1, kind="push", sha=sha, build=build, state="refused", reason="withheld: x"
    )


def test_a_report_that_makes_a_withheld_commit_green_opens_its_delivery_again(ci, sha, delivery):
    ci("POST", f"/statuses/{sha}", {"state": "failure", "context": "ci/build"})
    delivery.refresh_from_db()
    assert delivery.state == "refused"
    ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"})
    delivery.refresh_from_db()
    assert (delivery.state, delivery.finished_at) == ("checking", None)


def test_a_report_opens_nothing_behind_a_newer_live_commit_or_a_pause(ci, shop, sha, delivery):
    newer = Delivery.objects.create(app=shop, seq=2, kind="push", sha="f" * 40, state="live")
    assert ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"}).status_code == 201
    delivery.refresh_from_db()
    assert delivery.state == "refused"
    newer.delete()
    Delivery.objects.filter(pk=delivery.pk).update(reason="automatic deployment is paused: lunch")
    ci("POST", f"/statuses/{sha}", {"state": "failure", "context": "ci/build"})
    ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"})
    delivery.refresh_from_db()
    assert delivery.state == "refused"


@pytest.mark.django_db(transaction=True)
def test_a_report_wakes_the_worker(ci, sha):
    from django.db import connections

    listener = connections.create_connection("default")
    try:
        with listener.cursor() as cursor:
            cursor.execute("LISTEN greenroom_deliveries")
        ci("POST", f"/statuses/{sha}", {"state": "success", "context": "ci/build"})
        assert connection.vendor == "postgresql"
        assert next(iter(listener.connection.notifies(timeout=5, stop_after=1))).channel == "greenroom_deliveries"
    finally:
        listener.close()
