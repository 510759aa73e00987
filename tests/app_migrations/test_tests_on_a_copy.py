"""An app's own tests on an existing schema: real Django, real pytest, a real PostgreSQL."""

from __future__ import annotations

import json
import subprocess
import sys

import psycopg
import pytest

from greenroom.app_migrations.drivers import recorder
from tests.app_migrations.recording import APP, database, manage
from tests.checks.dyno_side import environment, write
from tests.checks.hosting import TESTS

PASSES = {"shop/tests.py": TESTS.partition("    def test_files")[0]}
BY_PYTEST = {
    "pytest.ini": "[pytest]\nDJANGO_SETTINGS_MODULE = conf.settings\npython_files = check_*.py\n",
    "shop/check_items.py": (
        "import pytest\nfrom shop.models import Item\n@pytest.mark.django_db\ndef test_it():\n   "
        " Item.objects.create(name='tea')\n"
    ),
}


@pytest.fixture(scope="module")
def url():
    """A database; the fixture ``app`` applies the first migration."""
    with database() as url:
        yield url


@pytest.fixture
def app(tmp_path, url):
    folder = write(tmp_path / "app", {**APP, **PASSES})
    manage(folder, url, "migrate", "--verbosity", "0")
    return folder


def run(folder, url, command=None, **env):
    out = folder.parent / "out"
    out.mkdir(exist_ok=True)
    job = {"command": command, "database": url.rpartition("/")[2], "seconds": 60}
    variables = environment(DATABASE_URL=url, SECRET_KEY="x", **env)
    argv = [sys.executable, "-", str(out)]
    subprocess.run(
        argv,
        input=recorder.tests_script("django", job),
        cwd=folder,
        env=variables,
        capture_output=True,
        check=True,
        timeout=120,
    )
    found = json.loads((out / "tests.json").read_text())
    return found["state"], found["detail"]


def test_old_tests_pass_on_their_own_schema_and_fail_on_one_that_their_code_cannot_write_to(app, url):
    assert run(app, url) == ("ok", "")
    assert run(write(app, BY_PYTEST), url) == ("ok", "")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO django_migrations (app, name, applied) VALUES ('shop', '0002_kind', now())")
        connection.execute(
            "ALTER TABLE shop_item ADD COLUMN kind text NOT NULL DEFAULT 'x'; ALTER TABLE shop_item ALTER COLUMN kind"
            " DROP DEFAULT"
        )
    try:
        state, detail = run(app, url)
        assert (state, 'null value in column "kind"' in detail, "1 failed" in detail) == ("fails", True, True)
        state, detail = run(app, url, "python manage.py test --parallel")
        assert (state, 'null value in column "kind"' in detail, "FAILED (errors=1)" in detail) == ("fails", True, True)
    finally:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "ALTER TABLE shop_item DROP COLUMN kind; DELETE FROM django_migrations WHERE name = '0002_kind'"
            )


@pytest.mark.parametrize(
    ("command", "files", "words"),
    [
        ("make test", {}, "neither Django's nor pytest's"),
        ("python manage.py test && echo", {}, "shell text"),
        ("python manage.py test", {"manage.py": "from conf import tool"}, "settings module is unknown"),
        ("missing/pytest", {}, "cannot be started"),
    ],
)
def test_what_cannot_be_run_on_a_copy_is_not_known(app, url, command, files, words):
    state, detail = run(write(app, files), url, command)
    assert (state, words in detail) == ("unknown", True)


def test_tests_on_a_database_of_their_own_say_nothing_of_this_schema(app, url):
    elsewhere = APP["conf/settings.py"] + "DATABASES['default']['NAME'] = 'elsewhere'\n"
    state, detail = run(write(app, {"conf/settings.py": elsewhere}), url)
    assert (state, "another database" in detail) == ("fails", True)
