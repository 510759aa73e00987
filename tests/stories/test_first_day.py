"""The main workflow, end to end on a running installation: pushes, the gate, failed releases, migrations by hand,
rollback.
"""

from __future__ import annotations

import pytest

from tests.stories.conftest import QUICK
from tests.stories.team import live_team
from tests.stories.test_without_loss import Clients


@pytest.fixture(scope="module")
def shared(installation, tmp_path_factory):
    """One live app for the tests that leave it as it was."""
    team = live_team(installation, tmp_path_factory.mktemp("shared") / "work", "s-shared", QUICK)
    yield team
    team.destroy()


@pytest.fixture
def serving(shared):
    """The shared app; at the end its checkout has the content of the live commit, on top of the pushed ones."""
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


def test_a_crashing_release_never_takes_traffic(serving):
    before = [dyno["id"] for dyno in serving.dynos()]
    wsgi = serving.work / "payslip" / "wsgi.py"
    wsgi.write_text(wsgi.read_text() + '\nraise SystemExit("boom at boot")\n')
    serving.write("greenroom.toml", (serving.work / "greenroom.toml").read_text() + "[policy]\nhealth_timeout = 10\n")
    serving.commit("Crashes at boot")
    with Clients(serving, 4) as clients:
        output = serving.push()
    assert clients.bad == []
    assert clients.good > 10
    assert serving.delivery()["state"] == "failed"
    assert "never took traffic" in output
    assert "boom at boot" in serving.greenroom("logs", "-n", "500").stdout
    assert serving.place.api("GET", f"/apps/{serving.name}/releases?limit=1")[1][0]["status"] == "failed"
    assert [dyno["id"] for dyno in serving.dynos()] == before
    serving.assert_live(serving.good)


def test_pending_migrations_are_shown_run_by_hand_and_gone(serving):
    first = serving.read("migrations")
    assert first["status"] == "ok"
    assert any(name.startswith("payroll.") for name in first["pending"])
    result = serving.greenroom("run", "--", "python", "manage.py", "migrate")
    assert "Applying" in result.stdout
    serving.wait_for(lambda: serving.read("migrations"), lambda now: now["status"] == "ok" and not now["pending"])
    run = serving.wait_for(lambda: serving.read("migrations")["runs"][0], lambda row: row["finished_at"])
    assert run["exit_code"] == 0
    assert run["actor"] == "admin@greenroom.localhost"
    assert run["before"]
    assert run["after"] == []


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
    assert "feature was stored; only master (also called main) is deployed." in output
    assert remote(serving, "feature") == serving.sha
    assert serving.delivery() == {}


def remote(team, branch: str) -> str:
    """The commit of a branch in Greenroom's repository."""
    return team.git("ls-remote", "greenroom", f"refs/heads/{branch}").stdout.split()[0]


def test_force_pushes_to_master_are_refused(serving):
    before = remote(serving, "master")
    serving.git("reset", "-q", "--soft", before)
    serving.git("commit", "--amend", "--allow-empty", "-m", "Rewritten")
    result = serving.git("push", "--force", "greenroom", "HEAD:master", check=False)
    assert result.returncode != 0
    assert "Force pushes to it are refused" in result.stderr
    assert remote(serving, "master") == before
    assert serving.delivery() == {}
    serving.git("reset", "-q", "--soft", before)


def marker(team) -> str:
    """A file of the live code, read in a one-off dyno; ``none`` if it does not exist."""
    return team.greenroom(
        "run", "--", "sh", "-c", "cat templates/accounts/marker.txt 2>/dev/null || echo none"
    ).stdout.strip()


def test_rollback_brings_code_and_config_back_and_pauses_deployment(serving):
    """The last test: the app stays paused."""
    first = next(row for row in serving.place.api("GET", f"/apps/{serving.name}/releases")[1] if row["current"])
    serving.write("templates/accounts/marker.txt", "second\n")
    serving.commit("Second")
    serving.push()
    serving.assert_live()
    serving.greenroom("config:set", "COLOUR=blue")
    assert marker(serving) == "second"
    assert serving.read("config")["COLOUR"] == "blue"
    serving.greenroom("rollback", f"v{first['version']}")
    row = serving.wait_for(
        lambda: serving.place.api("GET", f"/apps/{serving.name}/releases?limit=1")[1][0],
        lambda r: r["status"] == "succeeded",
    )
    assert row["description"] == f"Rollback to v{first['version']}"
    assert row["slug"]["digest"] == first["slug"]["digest"]
    assert marker(serving) == "none"
    assert "COLOUR" not in serving.read("config")
    serving.write("templates/accounts/marker.txt", "third\n")
    serving.commit("Third")
    assert "paused" in serving.push()
    assert serving.delivery()["state"] == "refused"
    assert marker(serving) == "none"
