"""``django-admin startproject`` goes live with the changes in docs/howto/prepare-a-django-project.md and no others."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stories.team import Team

PAGE = Path(__file__).parent.parent.parent / "docs" / "howto" / "prepare-a-django-project.md"
NAME = "s-prepared"


def block(language: str, begin: str) -> list[str]:
    """The lines of the page's code block in this language whose first line starts with this text."""
    found = re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return next(text for text in found if text.startswith(begin)).splitlines()


def same(shown: str, real: str) -> bool:
    """Whether a line of the page matches this line of a file; ``...`` matches anything."""
    return re.fullmatch(re.escape(shown.rstrip()).replace(re.escape("..."), ".*"), real.rstrip()) is not None


def changed(text: str, diff: list[str]) -> str:
    """A file after the page's diff. Blank lines separate the hunks; each hunk starts at its first line in the file."""
    lines = text.replace("'", '"').splitlines()
    for hunk in "\n".join(diff).split("\n\n"):
        rows = hunk.splitlines()
        old = [row[1:] for row in rows if row[0] in " -"]
        if not any(row[0] in " -" for row in rows):
            raise AssertionError(f"nothing tells where this belongs: {hunk}")
        place = [index for index, line in enumerate(lines) if same(old[0], line)]
        assert len(place) == 1, (old[0], place)
        at = place[0]
        for row in rows:
            if row[0] == "+":
                lines.insert(at, row[1:])
                at += 1
                continue
            at = next(index for index in range(at, len(lines)) if same(row[1:], lines[index]))
            if row[0] == "-":
                del lines[at]
            else:
                at += 1
    return "\n".join(lines) + "\n"


def cells() -> dict[str, str]:
    """File -> the first word in backticks of its content, from the page's table of files."""
    rows = re.findall(r"^\| `([^`]+)` \| .*?`([^`]+)`", PAGE.read_text(), re.MULTILINE)
    return {name: content for name, content in rows if name in ("Procfile", ".python-version")}


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
    settings = sample / "mysite" / "settings.py"
    settings.write_text(changed(settings.read_text(), block("diff", "+import os")))
    (sample / "requirements.txt").write_text("\n".join(block("", "Django")) + "\n")
    (sample / "Procfile").write_text(cells()["Procfile"] + "\n")
    (sample / ".python-version").write_text(f"{sys.version_info[0]}.{sys.version_info[1]}\n")
    team = Team(installation, tmp_path / "work", NAME, sample=sample)
    yield team
    team.destroy()


def test_a_new_project_goes_live_with_the_changes_of_the_page(team):
    team.set_secret()
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
