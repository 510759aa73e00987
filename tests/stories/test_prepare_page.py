"""``django-admin startproject`` goes live with what ``greenroom prepare`` writes, and no config var set by hand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stories.team import Team

NAME = "s-prepared"


@pytest.fixture
def team(installation, tmp_path):
    sample = tmp_path / "project"
    sample.mkdir()
    subprocess.run(
        [sys.executable, "-m", "django", "startproject", "mysite", str(sample)],
        check=True,
        capture_output=True,
        timeout=60,
    )
    said = subprocess.run(
        [str(Path(sys.executable).parent / "greenroom"), "prepare", "--yes", str(sample)],
        check=True,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "+SECRET_KEY = os.environ[" in said.stdout
    team = Team(installation, tmp_path / "work", NAME, sample=sample)
    yield team
    team.destroy()


def test_a_new_project_goes_live_after_prepare(team):
    (team.work / "mysite" / "tests.py").write_text(
        "from django.test import TestCase\n\n\nclass Pages(TestCase):\n    def test_sign_in(self):\n"
        "        self.assertContains(self.client.get('/admin/login/'), 'Django')\n"
    )
    team.write("mysite/urls.py", (team.work / "mysite" / "urls.py").read_text() + WELCOME)
    team.commit("A first page")
    said = team.push()
    assert team.delivery()["state"] == "live", said
    team.greenroom("run", "--", "python", "manage.py", "migrate", "--no-input")
    status, page, _ = team.get("/admin/login/")
    style = re.search(r'href="(/static/admin/css/base\.[0-9a-f]{12}\.css)"', page)
    assert status == 200
    assert style, page
    assert team.get(style[1])[0] == 200


WELCOME = (
    "\n\nfrom django.http import HttpResponse\n\nurlpatterns += [path('', lambda request: HttpResponse('It works'))]\n"
)
