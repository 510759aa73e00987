"""Findings of other tools: the supported contents of a SARIF log, the new ones among its findings, and errors for
invalid logs.
"""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from datetime import timedelta
from pathlib import Path

import jsonschema_rs
import pytest
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account, AuditEntry
from greenroom.basics import clock
from greenroom.basics.errors import ForbiddenError, NotFoundError, UserError
from greenroom.checks import actions, queries
from greenroom.checks.actions import policies, sarif_uploads
from greenroom.checks.builtin import scan_report, scanning
from greenroom.checks.models import CheckRun, Ignore
from greenroom.checks.rules import sarif, sarif_import
from greenroom.entrypoints.api import routing, views_gate, views_scans
from greenroom.git.models import Push
from tests.checks.dyno_side import write

CORPUS = Path(__file__).parent / "corpus" / "sarif"
SCHEMA = json.loads(gzip.decompress((CORPUS / "sarif-2.1.0-rtm.5.json.gz").read_bytes()).replace(b"]?$", b"$"))
"""The standard's schema without a stray ``]?`` in one of its patterns, which strict regex engines refuse."""
BAD = "def f(x):\n    return eval(x)\n"


def result(line=2, path="app/a.py", rule="R1", **more):
    place = {"artifactLocation": {"uri": path}, "region": {"startLine": line, "startColumn": 12}}
    return {
        "ruleId": rule,
        "level": "error",
        "message": {"text": "eval runs text"},
        "locations": [{"physicalLocation": place}],
        **more,
    }


def log(*results, tool="acme scan", **run):
    driver = {"name": tool, "version": "3.1", "rules": [{"id": "R1"}]}
    return {"version": "2.1.0", "runs": [{"tool": {"driver": driver}, "results": list(results), **run}]}


def read(content, *roots):
    return sarif_import.read(json.dumps(content).encode() if isinstance(content, dict) else content, roots)


def rows(content, *roots):
    return list(read(content, *roots)[0].rows)


def test_a_real_log_of_ruff_is_read_plain_and_gzipped():
    data = (CORPUS / "ruff.sarif").read_bytes()
    scans = sarif_import.read(data, ["/home/ci/checkout"])
    assert scans == sarif_import.read(gzip.compress(data), ["/home/ci/checkout/"])
    assert (scans[0].tool, scans[0].done) == ("ruff", True)
    assert {(row.path, row.rule) for row in scans[0].rows} >= {("app/a.py", "S602")}


@pytest.mark.parametrize(
    ("uri", "bases", "roots", "path"),
    [
        ("app/a.py", {}, [], "app/a.py"),
        ("./app/../app/a%20b.py", {}, [], "app/a b.py"),
        ("file:///ci/w/app/a.py", {}, ["/ci/w"], "app/a.py"),
        ("/ci/w/app/a.py", {}, ["/ci", "/ci/w/"], "app/a.py"),
        ("/ci/w/app/a.py", {"SRC": {"uri": "file:///ci/w/"}}, [], "app/a.py"),
    ],
)
def test_paths_become_the_repository_s(uri, bases, roots, path):
    place = {"artifactLocation": {"uri": uri, "uriBaseId": "SRC"}}
    content = log(result(locations=[{"physicalLocation": place}]), originalUriBaseIds=bases)
    assert [row.path for row in rows(content, *roots)] == [path]


@pytest.mark.parametrize(
    ("change", "severity"),
    [
        ({"level": "error"}, 2),
        ({"level": "warning"}, 3),
        ({"level": "note"}, 4),
        ({"level": None}, 3),
        ({"properties": {"security-severity": "9.1"}}, 1),
        ({"properties": {"security-severity": "5"}}, 2),
        ({"properties": {"security-severity": "x"}}, 2),
    ],
)
def test_severity_is_the_level_s_unless_a_security_severity_says_more(change, severity):
    assert rows(log(result(**change)))[0].severity == severity


def test_what_is_no_problem_is_no_finding_and_the_tool_s_own_suppressions_are_known():
    content = log(
        result(kind="pass"),
        result(baselineState="absent"),
        result(suppressions=[{"kind": "inSource", "justification": "fine"}]),
        result(suppressions=[{"kind": "external", "status": "rejected"}]),
    )
    assert [(row.suppressed, row.justification) for row in rows(content)] == [(True, "fine"), (False, "")]


def test_a_message_and_a_level_may_stand_in_the_rule():
    driver = {
        "name": "x",
        "rules": [
            {
                "id": "R9",
                "messageStrings": {"m": {"text": "told by the rule"}},
                "defaultConfiguration": {"level": "note"},
            }
        ],
    }
    content = {
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": [{"ruleIndex": 0, "message": {"id": "m"}}]}],
    }
    row = rows(content)[0]
    assert (row.rule, row.message, row.severity, row.path, row.line) == ("R9", "told by the rule", 4, "", 1)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"<xml/>", "invalid JSON"),
        (b"[]", "expected an object"),
        (b"\x1f\x8bbroken", "corrupt gzip data"),
        ({"version": "2.0.0", "runs": []}, 'at version: only "2.1.0"'),
        ({"version": "2.1.0"}, "at runs: expected a list, found nothing"),
        ({"version": "2.1.0", "runs": []}, "no tool has run"),
        ({"version": "2.1.0", "runs": [7]}, r"at runs\[0\]: expected an object, found 7"),
        ({"version": "2.1.0", "runs": [{"tool": {}}]}, r"at runs\[0\].tool.driver: expected an object"),
        (
            {"version": "2.1.0", "runs": [{"tool": {"driver": {"name": "x"}}}]},
            r"at runs\[0\].results: missing: the tool has not run",
        ),
        (log({"ruleId": "R1"}), r"at runs\[0\].results\[0\].message: expected an object"),
        (log({"message": {}}), "no text, and no text in the rule"),
        (
            log(result(), result(line="7")),
            r"at runs\[0\].results\[1\].locations\[0\].physicalLocation.region.startLine: expected an integer",
        ),
        (log(result(path="../../etc/passwd")), "is outside the repository"),
        (log(result(path="/somewhere/a.py")), "name the checkout with --root"),
        (log(result(path="https://example.com/a.py")), "a path or a file: URI"),
        (log(*[result()] * 5001), "5001 results of acme scan; the maximum is 5000"),
    ],
)
def test_a_log_that_makes_no_sense_gets_an_error_with_the_place(content, words):
    with pytest.raises(UserError, match=words) as caught:
        read(content)
    assert caught.value.id == "bad_sarif"


def test_a_small_file_that_unpacks_to_a_huge_one_is_refused(monkeypatch):
    monkeypatch.setattr(sarif_import, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match="more than"):
        sarif_import.read(gzip.compress(b" " * 100_000))


class Repo:
    """The app's repository. ``commit`` returns the new commit's SHA."""

    def __init__(self, app, home):
        self.app, self.home, self.work = app, home, home / "work"

    def commit(self, files):
        git = ["git", "-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-C", str(write(self.work, files))]
        bare = self.home / self.app.repo_folder
        if not bare.exists():
            subprocess.run([*git, "init", "-q", "-b", "master"], check=True)
            subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
        for words in (["add", "-A"], ["commit", "-qm", "work"], ["push", "-q", str(bare), "HEAD:master"]):
            subprocess.run([*git, *words], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repo(shop, home):
    return Repo(shop, home)


@pytest.fixture
def report(shop, home, bob):
    def do(sha, content, deployed="", name=""):
        check, scan = sarif_uploads.one_of(read(content), name)[0]
        return sarif_uploads.upload(
            app=shop, sha=sha, scan=scan, name=check, deployed_sha=deployed, home=home, actor=bob
        )

    return do


@pytest.mark.django_db
def test_the_first_report_is_known_and_later_only_what_is_new_counts_wherever_it_moved(repo, report, shop):
    first = repo.commit({"app/a.py": BAD, "app/old.py": BAD + "X = 1\n" * 9})
    run = report(first, log(result(), result(path="app/old.py")))
    assert (run.name, run.conclusion, run.title) == (
        "scan/acme-scan",
        "success",
        "2 findings, counted as known: first report of this tool",
    )
    (repo.work / "app/old.py").unlink()
    second = repo.commit({"app/a.py": "# moved down\n\n" + BAD, "app/new.py": BAD + "X = 1\n" * 9})
    moved = report(second, log(result(line=4), result(path="app/new.py")), deployed=first)
    assert (moved.conclusion, moved.title, moved.annotations.filter(new=True).count()) == (
        "success",
        "0 new findings (2 known)",
        0,
    )
    third = repo.commit({"app/b.py": BAD})
    red = report(third, log(result(line=4), result(path="app/b.py"), result(path="app/new.py")), deployed=first)
    assert (red.conclusion, red.title) == ("failure", "1 new finding, first: app/b.py:2 R1 eval runs text")
    row = red.annotations.get(new=True)
    assert (row.path, row.line, row.tool, len(row.fingerprint)) == ("app/b.py", 2, "acme-scan", 64)
    verdict = actions.judge(app=shop, sha=third, required=["scan/acme-scan"])
    assert verdict.reasons == ["`scan/acme-scan` failed: 1 new finding, first: app/b.py:2 R1 eval runs text"]


@pytest.mark.django_db
def test_a_red_report_stays_red_on_the_next_commit_until_it_is_deployed(repo, report):
    first = repo.commit({"app/a.py": "X = 1\n"})
    report(first, log())
    second = repo.commit({"app/a.py": BAD})
    assert report(second, log(result()), deployed=first).conclusion == "failure"
    third = repo.commit({"readme": "x"})
    assert report(third, log(result()), deployed=first).conclusion == "failure"
    assert report(third, log(result())).conclusion == "failure", (
        "also when nothing is deployed: the last report that passed counts"
    )
    assert report(third, log(result()), deployed=second).conclusion == "success"


@pytest.mark.django_db
def test_hints_do_not_block_and_a_tool_that_did_not_end_well_is_an_error(repo, report):
    first = repo.commit({"app/a.py": BAD, ".checkignore": "gen/\n", "gen/b.py": BAD})
    report(first, log())
    assert report(first, log(result(level="note"))).conclusion == "success"
    assert report(first, log(result(path="gen/b.py"))).conclusion == "success", ".checkignore"
    broken = report(first, log(invocations=[{"executionSuccessful": False, "exitCodeDescription": "out of memory"}]))
    assert (broken.conclusion, broken.title) == ("error", "acme scan reports that its run failed: out of memory")


@pytest.mark.django_db
def test_added_suppressions_are_told_and_stand_in_the_log_that_greenroom_gives(repo, report):
    first = repo.commit({"app/a.py": BAD})
    report(first, log())
    quiet = result(suppressions=[{"kind": "inSource", "justification": "checked"}])
    run = report(first, log(quiet))
    assert (run.conclusion, run.notes) == ("success", ["this push adds 1 suppression (acme scan)."])
    findings = [{key: getattr(row, key) for key in sarif.FIELDS} for row in queries.findings(run)]
    whole = sarif.log_of(name=run.name, sha=first, conclusion="success", findings=findings, versions={})
    assert whole["runs"][0]["results"][0]["suppressions"] == [
        {"kind": "inSource", "status": "accepted", "justification": "checked"}
    ]
    jsonschema_rs.Draft4Validator(SCHEMA).validate(whole)


def test_the_log_that_greenroom_gives_holds_to_the_standard_s_schema():
    one = {
        "tool": "ruff",
        "rule": "S608",
        "path": "app/db file.py",
        "line": 7,
        "end_line": 9,
        "column": 5,
        "severity": 1,
        "message": "SQL",
        "fingerprint": "f" * 64,
        "new": False,
        "suppressed": "external",
        "justification": "by bob until 2026-12-01: harmless",
    }
    bare = {
        **one,
        "tool": "",
        "rule": "",
        "message": "",
        "end_line": 0,
        "column": 0,
        "fingerprint": "",
        "suppressed": "",
        "new": True,
    }
    for findings in ([], [one, bare]):
        whole = sarif.log_of(name="scan", sha="a" * 40, conclusion="failure", findings=findings, versions={"ruff": "1"})
        jsonschema_rs.Draft4Validator(SCHEMA).validate(whole)
    kept = next(row for run in whole["runs"] for row in run["results"] if row.get("ruleId"))
    assert (kept["partialFingerprints"], kept["suppressions"][0]["kind"], kept["baselineState"]) == (
        {"greenroom/v1": "f" * 64},
        "external",
        "new",
    )
    with pytest.raises(jsonschema_rs.ValidationError):
        jsonschema_rs.Draft4Validator(SCHEMA).validate({"version": "2.1.0", "runs": [{}]})


@pytest.mark.django_db
def test_an_ignored_finding_passes_until_its_end_and_then_counts_even_where_it_is_deployed(repo, report, shop, alice):
    first = repo.commit({"app/a.py": "X = 1\n"})
    report(first, log())
    second = repo.commit({"app/a.py": BAD})
    red = report(second, log(result()), deployed=first)
    mark = red.annotations.get().fingerprint
    row = policies.ignore(
        app=shop, fingerprint=mark[:12], reason="not reachable", until=clock.now() + timedelta(days=3), actor=alice
    )
    assert AuditEntry.objects.get(action="check.ignore").detail["fingerprint"] == mark
    passed = report(second, log(result()), deployed=first)
    assert passed.conclusion == "success"
    assert passed.notes[0].startswith("1 new finding ignored, first: R1 app/a.py, by alice@example.com until ")
    held = passed.annotations.get()
    assert (held.new, held.suppressed, "not reachable" in held.justification) == (False, "external", True)
    Ignore.objects.filter(pk=row.pk).update(until=clock.now() - timedelta(minutes=1))
    late = report(second, log(result()), deployed=second)
    assert (late.conclusion, "ignore by alice@example.com expired" in late.title) == ("failure", True)
    policies.unignore(app=shop, fingerprint=mark, actor=alice)
    assert report(second, log(result()), deployed=second).conclusion == "success"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"reason": "because"}, UserError, "10 characters"),
        ({"until": timedelta(days=-1)}, UserError, "in the future"),
        ({"until": timedelta(days=400)}, UserError, "within one year"),
        ({"fingerprint": "abc"}, UserError, "too short"),
        ({"fingerprint": "0" * 64}, NotFoundError, "No finding 0"),
    ],
)
def test_an_ignore_without_reason_end_or_finding_is_refused(shop, alice, change, error, words):
    wish = {"fingerprint": "f" * 64, "reason": "not reachable", "until": timedelta(days=1), **change}
    with pytest.raises(error, match=words):
        policies.ignore(app=shop, actor=alice, **{**wish, "until": clock.now() + wish["until"]})
    assert not Ignore.objects.exists()


@pytest.mark.django_db
def test_an_app_may_want_two_people_for_an_override(shop, alice, bob):
    sha = "a" * 40
    Push.objects.create(
        app=shop,
        seq=1,
        ref="refs/heads/master",
        before="0" * 40,
        after=sha,
        account_id=alice.account_id,
        state="recorded",
    )
    run = actions.begin(app=shop, sha=sha, names=["scan"])[0]
    CheckRun.objects.filter(pk=run.pk).update(status="completed", conclusion="failure")
    wish = {"app": shop, "sha": sha, "checks": ["scan"], "reason": "known and harmless"}
    policies.change_policy(app=shop, actor=alice, two_people=True)
    with pytest.raises(ForbiddenError, match="two-person rule"):
        actions.override(actor=alice, **wish)
    actions.override(actor=bob, **wish)
    assert actions.judge(app=shop, sha=sha, required=["scan"]).colour == "green"


@pytest.mark.django_db
def test_a_required_check_of_which_nothing_is_ever_heard_is_stale_after_the_app_s_time(shop, alice):
    sha = "a" * 40
    actions.begin(app=shop, sha=sha, names=["scan"])
    CheckRun.objects.update(created_at=clock.now() - timedelta(minutes=40), status="completed", conclusion="success")
    required = ["scan", "ci/build"]
    assert actions.judge(app=shop, sha=sha, required=required).colour == "pending"
    policies.change_policy(app=shop, actor=alice, stale_after=30)
    verdict = actions.judge(app=shop, sha=sha, required=required)
    assert (verdict.colour, verdict.reasons) == (
        "blocked",
        ["`ci/build` is stale: its provider did not report in time."],
    )
    actions.report(app=shop, sha=sha, name="ci/build", status="completed", conclusion="success")
    assert actions.judge(app=shop, sha=sha, required=required).colour == "green"
    with pytest.raises(UserError, match="5 to 10080"):
        policies.change_policy(app=shop, actor=alice, stale_after=1)


@pytest.fixture
def client(home, monkeypatch, all_views):
    for module in (routing, views_gate, views_scans):
        monkeypatch.setattr(module, "HOME", home)

    def of(actor):
        token = accounts.create_token(
            actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=("global",)
        )[1]
        return Client(headers={"Authorization": f"Bearer {token}"})

    return of


@pytest.mark.django_db
def test_the_api_takes_a_log_in_three_ways_and_ignores_are_for_operators(repo, client, shop, alice, bob, vera):
    sha = repo.commit({"app/a.py": "X = 1\n"})
    data = json.dumps(log(result())).encode()
    packed = base64.b64encode(gzip.compress(data)).decode()
    plain = client(bob).post(f"/apps/shop/scans?sha={sha}&name=acme", data, content_type="application/sarif+json")
    assert (plain.status_code, plain.json()[0]["name"], plain.json()[0]["conclusion"]) == (201, "scan/acme", "success")
    body = client(bob).post("/apps/shop/scans", {"sha": sha, "sarif": packed}, content_type="application/json").json()
    assert body[0]["name"] == "scan/acme-scan"
    wish = {"commit_sha": sha, "ref": "refs/heads/master", "sarif": packed, "checkout_uri": "file:///ci/w"}
    github = client(bob).post("/api/v3/repos/team/shop/code-scanning/sarifs", wish, content_type="application/json")
    assert github.status_code == 202
    assert client(bob).get(github.json()["url"]).json()["processing_status"] == "complete"
    bad = client(bob).post("/apps/shop/scans", {"sha": sha, "sarif": "%%"}, content_type="application/json")
    assert (bad.status_code, bad.json()["id"]) == (422, "bad_sarif")
    assert client(vera).post("/apps/shop/scans", data, content_type="application/sarif+json").status_code == 403
    mark = CheckRun.objects.filter(name="scan/acme").get().annotations.get().fingerprint
    wish = {"fingerprint": mark, "reason": "not reachable", "until": (clock.now() + timedelta(days=2)).isoformat()}
    assert client(bob).post("/apps/shop/ignores", wish, content_type="application/json").status_code == 403
    assert client(alice).post("/apps/shop/ignores", wish, content_type="application/json").status_code == 201
    assert client(vera).get("/apps/shop/ignores").json()[0]["actor"] == "alice@example.com"
    assert client(alice).delete(f"/apps/shop/ignores/{mark[:12]}").status_code == 200
    assert (
        client(alice)
        .patch("/apps/shop/gate", {"two_people": True}, content_type="application/json")
        .json()["two_people"]
        is True
    )
    assert (
        client(bob).patch("/apps/shop/gate", {"two_people": False}, content_type="application/json").status_code == 403
    )
    assert client(alice).patch("/apps/shop/gate", {"two": 1}, content_type="application/json").status_code == 422


@pytest.mark.django_db
def test_a_push_that_asks_for_less_says_so(repo, shop, home):
    first = repo.commit({"greenroom.toml": '[scan]\nscanners = ["bandit", "djlint"]\nmigrations = "error"\n'})
    second = repo.commit({"greenroom.toml": '[scan]\nscanners = ["djlint"]\n'})
    third = repo.commit({"greenroom.toml": "this is not TOML"})

    def wish(sha, deployed):
        return scanning.wish_of(app=shop, home=home, sha=sha, deployed_sha=deployed)

    less = ["this push turns off bandit.", "this push sets migration hazards back to warnings."]
    assert wish(second, first) == {"scanners": ["djlint"], "migrations": "warn", "weaker": less}
    assert wish(first, second)["weaker"] == wish(first, "")["weaker"] == []
    assert wish(third, "") == {"scanners": [], "migrations": "warn", "weaker": []}
    clean = {"outcome": "success", "total": 0, "new": 0, "findings": []}
    assert scan_report.combine(clean, None, notes=less).notes == tuple(less)
