"""The main job, end to end on a running installation: pushes, the gate, releases that fail, migrations by hand,
rollback.
"""

from __future__ import annotations

import pytest

from tests.stories.conftest import QUICK
from tests.stories.team import live_team


@pytest.fixture
def ready(team):
    """An app with its secret set and its first push live."""
    team.set_secret()
    team.push()
    team.assert_live()
    return team


@pytest.fixture(scope="module")
def shared(installation, tmp_path_factory):
    """One live app for the tests that leave it as it was."""
    team = live_team(installation, tmp_path_factory.mktemp("shared") / "work", "s-shared", QUICK)
    yield team
    team.destroy()


@pytest.fixture
def serving(shared):
    """The shared app; at the end its checkout has the content of the commit that serves, on top of what was pushed."""
    yield shared
    shared.git("checkout", "-q", "--force", "master")
    shared.take_back()
    shared.commit("As before")


@pytest.mark.whole_suite
def test_first_push_to_live(team):
    team.set_secret()
    output = team.push()
    row = team.assert_live()
    assert row["verdict"]["colour"] == "green"
    assert {check["name"]: check["conclusion"] for check in row["checks"]} == {"tests": "success", "scan": "success"}
    assert "deployed to Greenroom" in output
    status, page, _ = team.get("/sign-in/")
    assert status == 200
    assert "<form" in page


def test_a_missing_secret_key_refuses_the_release_and_is_named(team):
    output = team.push()
    row = team.delivery()
    assert row["state"] == "refused"
    assert "SECRET_KEY" in row["reason"]
    assert f"greenroom config:set SECRET_KEY=... -a {team.name}" in output
    status, _, headers = team.get("/")
    assert (status, headers["greenroom-error"]) == (503, "H81")


def test_the_log_holds_what_everybody_said(serving):
    serving.get("/healthz")
    text = serving.wait_for(lambda: serving.greenroom("logs", "-n", "500").stdout, lambda log: "heroku[router]" in log)
    assert "app[api]: Release v" in text
    assert "heroku[web.1]: State changed from starting to up" in text
    assert "app[web.1]: " in text


def test_removing_a_required_var_is_refused_and_what_ran_keeps_running(serving):
    before = [dyno["id"] for dyno in serving.dynos()]
    result = serving.greenroom("config:unset", "SECRET_KEY", check=False)
    assert result.returncode == 1
    assert "SECRET_KEY" in result.stdout + result.stderr
    assert serving.get("/healthz")[0] == 200
    assert [dyno["id"] for dyno in serving.dynos()] == before
    serving.set_secret()  # else later releases of the shared app are refused too


def test_a_red_test_withholds_the_deployment(serving):
    serving.write(
        "payroll/tests/test_story.py",
        "from django.test import SimpleTestCase\n\n\nclass Story(SimpleTestCase):\n    def"
        " test_that_one_is_two(self):\n        self.assertEqual(1, 2)\n",
    )
    serving.commit("A red test")
    output = serving.push()
    row = serving.delivery()
    assert row["state"] == "refused"
    assert row["verdict"]["colour"] == "red"
    assert "test_that_one_is_two" in output
    assert "keeps running" in output
    serving.assert_live(serving.good)


def test_a_scan_finding_withholds_the_deployment(serving):
    serving.write(
        "payroll/report.py",
        '"""Reports."""\n\nimport subprocess\n\n\ndef show(name):\n    """Show it."""\n    return subprocess.run(f"ls'
        ' {name}", shell=True)\n',
    )
    serving.commit("A shell string")
    output = serving.push()
    row = serving.delivery()
    assert row["state"] == "refused"
    assert {check["name"]: check["conclusion"] for check in row["checks"]}["scan"] == "failure"
    assert "payroll/report.py" in output
    assert "S602" in output


def test_a_crashing_release_never_takes_traffic(ready):
    good = ready.sha
    wsgi = ready.work / "payslip" / "wsgi.py"
    wsgi.write_text(wsgi.read_text() + '\nraise SystemExit("boom at boot")\n')
    ready.commit("Crashes at boot")
    output = ready.push()
    row = ready.delivery()
    assert row["state"] == "failed"
    assert "never took traffic" in output
    status, _, _ = ready.get("/healthz")
    assert status == 200
    assert ready.place.api("GET", f"/apps/{ready.name}/releases?limit=1")[1][0]["status"] == "failed"
    ready.assert_live(good)


def test_pending_migrations_are_shown_run_by_hand_and_gone(ready):
    first = ready.read("migrations")
    assert first["status"] == "ok"
    assert any(name.startswith("payroll.") for name in first["pending"])
    result = ready.greenroom("run", "--", "python", "manage.py", "migrate")
    assert "Applying" in result.stdout
    ready.wait_for(lambda: ready.read("migrations"), lambda now: now["status"] == "ok" and not now["pending"])
    run = ready.wait_for(lambda: ready.read("migrations")["runs"][0], lambda row: row["finished_at"])
    assert run["exit_code"] == 0
    assert run["actor"] == "admin@greenroom.localhost"
    assert run["before"]
    assert run["after"] == []


def test_rollback_brings_code_and_config_back_and_pauses_deployment(ready):
    first = ready.delivery()["release"]["version"]
    ready.greenroom("config:set", "COLOUR=blue")
    ready.write("templates/accounts/marker.txt", "second\n")
    ready.commit("Second")
    ready.push()
    ready.assert_live()
    ready.greenroom("rollback", f"v{first}")
    row = ready.wait_for(
        lambda: ready.place.api("GET", f"/apps/{ready.name}/releases?limit=1")[1][0],
        lambda r: r["status"] == "succeeded",
    )
    assert row["description"] == f"Rollback to v{first}"
    assert "COLOUR" not in ready.read("config")
    ready.write("templates/accounts/marker.txt", "third\n")
    ready.commit("Third")
    assert "paused" in ready.push()


def test_run_hands_stdin_output_and_exit_code_through(serving):
    result = serving.greenroom(
        "run",
        "--",
        "python",
        "-c",
        "import sys; print(sys.stdin.read().upper()); sys.exit(7)",
        stdin="hello\n",
        check=False,
    )
    assert result.returncode == 7
    assert "HELLO" in result.stdout


def test_scale_to_zero_has_a_page_and_comes_back(serving):
    serving.greenroom("ps:scale", "web=0")
    serving.wait_for(lambda: serving.get("/"), lambda answer: answer[2].get("greenroom-error") == "H14")
    serving.greenroom("ps:scale", "web=2")
    serving.wait_for(lambda: serving.get("/healthz"), lambda answer: answer[0] == 200)
    serving.wait_for(
        serving.dynos, lambda rows: sorted(row["name"] for row in rows if row["state"] == "up") == ["web.1", "web.2"]
    )
    serving.greenroom("ps:scale", "web=1")


def test_other_branches_are_kept_and_not_deployed(serving):
    serving.git("checkout", "-q", "-b", "feature")
    serving.commit("On a branch")
    output = serving.push("HEAD:feature")
    assert "not deployed" in output.lower() or "master" in output
    assert serving.delivery() == {}


def test_force_pushes_to_master_are_refused(serving):
    serving.git("reset", "-q", "--soft", "greenroom/master")
    serving.git("commit", "--amend", "--allow-empty", "-m", "Rewritten")
    result = serving.git("push", "--force", "greenroom", "HEAD:master", check=False)
    assert result.returncode != 0
    assert "force" in result.stderr.lower() or "non-fast-forward" in result.stderr.lower()
    serving.git("reset", "-q", "--soft", "greenroom/master")
