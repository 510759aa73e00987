"""``greenroom prepare``: shows, asks, writes, commits; needs no installation."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

MANAGE = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'shop.settings')\n"
SETTINGS = "SECRET_KEY = 'django-insecure-x'\nDEBUG = True\n"
WRITTEN = {".gitignore", ".python-version", "Procfile", "app.json", "requirements.txt", "shop/settings.py"}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A small project in the current folder."""
    folder = tmp_path / "folder"
    for name, text in (("manage.py", MANAGE), ("shop/settings.py", SETTINGS), ("shop/wsgi.py", MANAGE)):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    (folder / ".venv" / "lib").mkdir(parents=True)
    (folder / ".venv" / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.12.4\n")
    (folder / ".venv" / "lib" / "manage.py").write_text("not the project's")
    return folder


def files(folder: Path) -> set[str]:
    names = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    return {name for name in names if not name.startswith((".venv/", ".git/"))}


def test_it_shows_a_diff_and_writes_nothing_without_an_answer(project, greenroom):
    result = greenroom("prepare")
    assert result.exit_code == 1
    assert "-SECRET_KEY = 'django-insecure-x'" in result.stdout
    assert "+web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT" in result.stdout
    assert "Nothing was written." in result.stderr
    assert "greenroom prepare --yes" in result.stderr
    assert greenroom("prepare", "--dry-run", "--yes").exit_code == 0
    assert files(project) == {"manage.py", "shop/settings.py", "shop/wsgi.py"}


def test_it_writes_keeps_modes_and_is_done_the_second_time(project, greenroom):
    (project / "shop" / "settings.py").chmod(0o600)
    result = greenroom("prepare", "--yes")
    assert result.exit_code == 0
    assert files(project) >= WRITTEN
    assert (project / ".python-version").read_text() == "3.12\n"
    assert (project / "shop" / "settings.py").stat().st_mode & 0o777 == 0o600
    assert "os.environ" in (project / "shop" / "settings.py").read_text()
    assert "greenroom create" in result.stderr
    again = greenroom("prepare")
    assert (again.exit_code, again.stdout) == (0, "Nothing to change: the project has what a deployment needs.\n")


def test_json_is_the_plan(project, greenroom):
    plan = json.loads(greenroom("prepare", "--json").stdout)
    assert {change["path"] for change in plan["changes"]} == WRITTEN
    settings = next(change for change in plan["changes"] if change["path"] == "shop/settings.py")
    assert settings["new"] is False
    assert "+DEBUG = os.environ.get('DEBUG') == '1'" in settings["diff"]
    assert files(project) == {"manage.py", "shop/settings.py", "shop/wsgi.py"}


def test_commit_makes_a_repository_or_commits_the_written_files_only(project, greenroom):
    for name, value in (("user.name", "Alice"), ("user.email", "alice@example.com")):
        subprocess.run(["git", "config", "--global", name, value], check=True)
    assert greenroom("prepare", "--yes", "--commit").exit_code == 0
    tracked = subprocess.run(["git", "ls-files"], check=True, capture_output=True, text=True).stdout.split()
    assert set(tracked) == WRITTEN | {"manage.py", "shop/wsgi.py"}
    (project / "Procfile").unlink()
    (project / "own.txt").write_text("not committed")
    assert greenroom("prepare", "--yes", "--commit").exit_code == 0
    status = subprocess.run(["git", "status", "--short"], check=True, capture_output=True, text=True).stdout
    assert status == "?? own.txt\n"
    assert "Nothing to commit." in greenroom("prepare", "--commit").stderr


def test_errors_say_where_and_what_to_do(project, greenroom, tmp_path):
    inner = greenroom("prepare", "--yes", str(tmp_path))
    assert inner.exit_code == 1
    assert "there is no manage.py here" in inner.stderr
    assert "hint: greenroom prepare folder" in inner.stderr
    assert greenroom("prepare", "nowhere").exit_code == 2
    (project / "shop" / "settings.py").write_text("x =")
    broken = greenroom("prepare", "--yes")
    assert "shop/settings.py is not valid Python" in broken.stderr
    assert files(project) == {"manage.py", "shop/settings.py", "shop/wsgi.py"}


def test_a_locked_project_is_told_the_command_before_it_commits(project, greenroom):
    (project / "uv.lock").write_text('name = "django"\n')
    result = greenroom("prepare", "--yes", "--commit")
    assert result.exit_code == 1
    assert "hint: uv add " in result.stderr
    assert (project / "Procfile").exists()
