"""``greenroom prepare`` changes the settings of startproject and the files next to manage.py."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from greenroom.buildpacks.rules import preparation, settings_edits
from tests.prepare_page import block, changed


@pytest.fixture(scope="module")
def started(tmp_path_factory) -> dict[str, bytes]:
    """The files of ``startproject mysite``."""
    folder = tmp_path_factory.mktemp("project")
    subprocess.run([sys.executable, "-m", "django", "startproject", "mysite", str(folder)], check=True, timeout=60)
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.py")}


def planned(files: dict[str, bytes]) -> preparation.Plan:
    return preparation.plan(preparation.Project(files.get, set(files), (3, 12)))


def after(files: dict[str, bytes]) -> dict[str, bytes]:
    return files | {change.path: change.after.encode() for change in planned(files).changes}


def settings(text: str) -> settings_edits.Edited:
    return settings_edits.edit(text)


def test_a_new_project_gets_the_changes_of_the_page_and_no_others(started):
    files = after(started)
    page = changed(started["mysite/settings.py"].decode(), block("diff", "+import os"))
    ours, theirs = (ast.parse(text).body[1:] for text in (files["mysite/settings.py"], page))
    assert [ast.dump(node) for node in ours] == [ast.dump(node) for node in theirs]
    assert set(files["requirements.txt"].decode().split()) == set(block("", "Django"))
    assert files["Procfile"] == b"web: gunicorn mysite.wsgi --bind 0.0.0.0:$PORT\n"
    assert files[".python-version"] == b"3.12\n"
    assert json.loads(files["app.json"])["env"]["SECRET_KEY"]["generator"] == "secret"
    assert set(files) - set(started) == {"requirements.txt", "Procfile", ".python-version", ".gitignore", "app.json"}


def test_a_second_run_changes_nothing(started):
    plan = planned(after(started))
    assert (plan.changes, plan.commands, plan.advice) == ([], [], [])


def test_the_settings_keep_their_quotes_comments_and_line_ends(started):
    text = started["mysite/settings.py"].decode()
    for variant in (text, text.replace("'", '"'), text.replace("\n", "\r\n")):
        made = settings(variant).text
        quote = '"' if variant.count('"') > variant.count("'") else "'"
        assert f"os.environ[{quote}SECRET_KEY{quote}]" in made
        assert "# SECURITY WARNING: don" in made
        assert made.count("\r\n") in (0, made.count("\n"))
        compile(made, "settings", "exec")


def test_the_changed_settings_load_with_and_without_the_variables_of_a_server(started, tmp_path: Path):
    (tmp_path / "dj_database_url.py").write_text("def config(default, **_):\n    return {'url': default}\n")
    for name, data in after(started).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    script = (
        "from mysite import settings as s; print(s.DEBUG, s.SECRET_KEY, s.STATIC_ROOT.name, s.DATABASES['default'])"
    )
    env = {**os.environ, "SECRET_KEY": "x", "DEBUG": "1", "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", script], env=env, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.startswith(f"True x staticfiles {{'url': 'sqlite:///{tmp_path}/db.sqlite3'")


@pytest.mark.parametrize(
    ("text", "there"),
    [
        ('SECRET_KEY = os.getenv("KEY")', 'os.getenv("KEY")'),
        ("DEBUG = False", "DEBUG = False"),
        ('ALLOWED_HOSTS = ["*"]', '["*"]'),
        ("ALLOWED_HOSTS = hosts()", "hosts()"),
        ("DATABASES = env.db()", "env.db()"),
        ("MIDDLEWARE = base + [X]", "base + [X]"),
        ('STATIC_URL = "/static/"\nSTATIC_ROOT = here("x")', 'here("x")'),
    ],
)
def test_what_the_team_has_decided_stays(text, there):
    edited = settings(text + "\n")
    assert (edited.text, edited.changes) == (text + "\n", [])
    assert there in edited.text


def test_hosts_and_other_engines(started):
    assert (
        'ALLOWED_HOSTS = ["shop.example", ".localhost", "127.0.0.1"]'
        in settings('ALLOWED_HOSTS = ["shop.example"]').text
    )
    mysql = 'DATABASES = {"default": {"ENGINE": "django.db.backends.mysql", "NAME": "shop"}}\n'
    edited = settings(mysql)
    assert edited.text == mysql
    assert edited.advice == ["DATABASES ignores DATABASE_URL: its default is django.db.backends.mysql"]
    two = mysql.replace("mysql", "sqlite3").replace("}}", '}, "old": {}}')
    assert settings(two).advice


def test_a_package_that_fills_in_the_settings_is_left_to_it():
    text = "import django_heroku\nALLOWED_HOSTS = []\nDEBUG = True\ndjango_heroku.settings(locals())\n"
    edited = settings(text)
    assert "ALLOWED_HOSTS = []" in edited.text
    assert edited.changes == ["DEBUG is off unless the variable DEBUG is 1"]


def test_a_name_of_any_kind_becomes_the_default_of_the_url():
    for name in ('os.path.join(BASE_DIR, "db.sqlite3")', '"db.sqlite3"', "DB", "f'{A}/\"x\"'"):
        made = settings(f'DATABASES = {{"default": {{"ENGINE": "django.db.backends.sqlite3", "NAME": {name}}}}}\n').text
        compile(made, "settings", "exec")
        assert "dj_database_url.config(" in made
        assert made.startswith("import dj_database_url") or "\nimport dj_database_url" in made


@pytest.mark.parametrize(
    ("files", "command"),
    [
        ({"uv.lock": b'name = "django"\n'}, "uv add 'psycopg[binary]' dj-database-url whitenoise gunicorn"),
        ({"poetry.lock": b'name = "django"\nname = "gunicorn"\n'}, "poetry add"),
        ({"Pipfile.lock": b'{"default": {"django": {}}}'}, "pipenv install"),
        ({"pyproject.toml": b'[project]\ndependencies = ["Django>=5"]\n'}, "uv add"),
    ],
)
def test_locked_projects_get_the_command_of_their_package_manager(started, files, command):
    plan = planned(started | files)
    assert "requirements.txt" not in {change.path for change in plan.changes}
    assert len(plan.commands) == 1
    assert set(command.split()) <= set(plan.commands[0].split())
    assert "'Django" not in plan.commands[0]


def test_requirements_are_added_to_those_that_are_there_or_included(started):
    there = {
        "requirements.txt": b"-r requirements/base.txt\nwhitenoise==6.9",
        "requirements/base.txt": b"DJANGO==5.2\npsycopg2",
    }
    assert after(started | there)["requirements.txt"].decode().split("\n")[2:] == ["dj-database-url", "gunicorn", ""]


def test_errors_name_the_file(started):
    with pytest.raises(ValueError, match=r"there is no manage\.py here"):
        planned({})
    with pytest.raises(ValueError, match=r"mysite/settings\.py is not valid Python"):
        planned(started | {"mysite/settings.py": b"x ="})
    with pytest.raises(ValueError, match=r"app\.json is not valid JSON"):
        planned(started | {"app.json": b"{"})
    with pytest.raises(ValueError, match=r"requirements\.txt is not UTF-8"):
        planned(started | {"requirements.txt": b"\xff\xfe"})
