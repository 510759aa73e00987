"""Follows the administrator's page from which Greenroom started, sentence by sentence, with the Heroku CLI and git
alone.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil
from pathlib import Path

import pytest

from tests.stories.conftest import QUICK
from tests.stories.heroku import Heroku
from tests.stories.team import SAMPLE

APP = "ach-payslip-staging"
KEY = "only-for-stories-0123456789-0123456789-0123456789"
RED = (
    "from django.test import SimpleTestCase\n\n\nclass T(SimpleTestCase):\n    def test_it(self):\n       "
    " self.fail('not yet')\n"
)


class Blessed:
    """A checkout of the blessed repository, used in ``shell``."""

    def __init__(self, shell: Heroku, folder: Path) -> None:
        self.shell, self.folder = shell, folder
        ignored = shutil.ignore_patterns("__pycache__", "scenarios", "browser_tests", "benchmarks")
        shutil.copytree(SAMPLE, folder, ignore=ignored)
        data = json.loads((folder / "app.json").read_text())
        data["environments"]["test"]["scripts"]["test"] = QUICK
        (folder / "app.json").write_text(json.dumps(data, indent=2))
        self.change("payroll/tests/test_story.py", '"""Tests that a story adds."""\n')
        shell("git init -q -b master", cwd=folder)
        self.commit("start")

    def change(self, path: str, text: str) -> None:
        (self.folder / path).write_text(text)

    def commit(self, message: str) -> None:
        self.shell("git add -A", cwd=self.folder)
        self.shell(f"git commit -q -m {message}", cwd=self.folder)

    def push(self, ref: str = "HEAD:master") -> str:
        said = self.shell(f"git push heroku {ref}", cwd=self.folder, timeout=300)
        return "\n".join(line.removeprefix("remote: ").rstrip() for line in said.splitlines())


@pytest.fixture(scope="module")
def anton(installation, tmp_path_factory):
    """The administrator, who does the setup."""
    return Heroku(installation, tmp_path_factory.mktemp("anton"))


@pytest.fixture(scope="module")
def paula(installation, tmp_path_factory):
    """A developer with her own token and without a key of the machine."""
    row = installation.api("POST", "/accounts", {"email": "paula@example.com", "name": "Paula"})[1]
    return Heroku(installation, tmp_path_factory.mktemp("paula"), token=row["token"])


@pytest.fixture(scope="module")
def eve(installation, tmp_path_factory):
    """A user with an account and without access to the app."""
    row = installation.api("POST", "/accounts", {"email": "eve@example.com", "name": "Eve"})[1]
    return Heroku(installation, tmp_path_factory.mktemp("eve"), token=row["token"])


def get(installation, path: str) -> tuple[int, str]:
    """A visitor's response at the staging system's URL."""
    connection = http.client.HTTPConnection("127.0.0.1", installation.http_port, timeout=30)
    connection.request("GET", path, headers={"Host": f"{APP}.localhost"})
    answer = connection.getresponse()
    body = answer.read().decode()
    connection.close()
    return answer.status, body


def current(anton: Heroku) -> str:
    """The live commit according to ``heroku releases``; empty before the first one."""
    releases = json.loads(anton(f"heroku releases -a {APP} --json"))
    row = next((row for row in releases if row["current"]), None)
    return row["description"] if row and row["description"].startswith("Deploy") else ""


def test_the_page_can_be_followed_again(installation, anton, paula, eve, tmp_path):
    blessed = a_heroku_application(anton, tmp_path / "blessed")
    the_environment_is_required(installation, anton, blessed)
    said, served = only_what_is_green_is_deployed(anton, blessed)
    only_master_is_deployed(anton, blessed, served)
    static_files_are_collected(installation)
    assert "migrations are pending" in said
    a_human_migrates(installation, paula)
    nobody_else_may(installation, eve)


def a_heroku_application(anton: Heroku, folder: Path) -> Blessed:
    """ "The staging system is a Heroku application ... It is accessible under this URL" """
    assert APP in anton(f"heroku create {APP}")
    blessed = Blessed(anton, folder)
    anton(f"heroku git:remote -a {APP}", cwd=blessed.folder)
    assert f"{APP}.localhost" in anton(f"heroku info -a {APP}")
    anton(f"heroku access:add paula@example.com -a {APP}")
    return blessed


def the_environment_is_required(installation, anton: Heroku, blessed: Blessed) -> None:
    """ "DATABASE_URL will be set automatically ... If one of them is not set, the application will not start." """
    assert anton(f"heroku config:get DATABASE_URL -a {APP}").startswith("postgres://")
    said = blessed.push()
    assert "Using buildpack: heroku/python" in said
    assert "SECRET_KEY" in said
    assert current(anton) == ""
    assert get(installation, "/healthz")[0] == 503
    anton(f"heroku config:set SECRET_KEY={KEY} -a {APP}")


def only_what_is_green_is_deployed(anton: Heroku, blessed: Blessed) -> tuple[str, str]:
    """ "... after all configured CI checks have been run and provide a green status": all unit tests, and the scan

    Returns the output of the green push, and the live release.
    """
    blessed.change("payroll/tests/test_story.py", RED)
    blessed.commit("red")
    assert "`tests` failed" in blessed.push()
    blessed.change("payroll/tests/test_story.py", '"""Tests that a story adds."""\n')
    blessed.commit("green")
    said = blessed.push()
    assert "deployed to Greenroom" in said
    served = current(anton)
    sha = anton("git rev-parse HEAD", cwd=blessed.folder).strip()
    assert served == f"Deploy {sha[:8]}"
    blessed.change(
        "payroll/finding.py", "import subprocess\n\n\ndef run(text):\n    return subprocess.call(text, shell=True)\n"
    )
    blessed.commit("finding")
    assert "`scan` failed" in blessed.push()
    assert current(anton) == served
    return said, served


def only_master_is_deployed(anton: Heroku, blessed: Blessed, served: str) -> None:
    """ "Automatic deployment will only be triggered for the master branch" """
    (blessed.folder / "payroll" / "finding.py").unlink()
    blessed.commit("elsewhere")
    assert "deployed to Greenroom" not in blessed.push("HEAD:refs/heads/feature")
    assert current(anton) == served


def static_files_are_collected(installation) -> None:
    """ "alongside with collecting all static files" """
    status, page = get(installation, "/sign-in/")
    style = re.search(r'href="(/static/[^"]+\.css)"', page)
    assert status == 200
    assert style
    assert re.search(r"\.[0-9a-f]{12}\.css$", style[1])
    assert get(installation, style[1])[0] == 200


def a_human_migrates(installation, paula: Heroku) -> None:
    """ "database migration has to be triggered manually ... issue the following command on your local computer" """
    before = installation.api("GET", f"/apps/{APP}/migrations")[1]
    assert len(before["pending"]) > 10
    assert f"{len(before['pending'])} migrations are pending." in paula(f"heroku ps -a {APP}")
    said = paula(f"heroku run -a {APP} python manage.py migrate")
    assert "Applying payroll.0003_runs_and_payslips... OK" in re.sub(r"\x1b\[[0-9;]*m", "", said)
    assert "No migrations to apply" in paula(f"heroku run -a {APP} python manage.py migrate")
    runs = installation.api("GET", f"/apps/{APP}/migrations")[1]["runs"]
    assert {run["actor"] for run in runs} == {"paula@example.com"}
    assert get(installation, "/readyz")[0] == 200


def nobody_else_may(installation, eve: Heroku) -> None:
    """ "For security and reliability reasons": users without access are refused"""
    for line in (f"heroku run -a {APP} python manage.py migrate", f"heroku config -a {APP}"):
        assert "Couldn't find that app" in eve(line, code=None)
    with pytest.raises(AssertionError, match="ended with 128"):
        eve(f"git ls-remote https://localhost:{installation.api_port + 1}/{APP}.git")
