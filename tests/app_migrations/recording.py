"""Runs the real recorder as a child process against a separate database, and creates small Django apps for it."""

from __future__ import annotations

import json
import subprocess
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path

import psycopg
from django.conf import settings as greenroom_settings

from greenroom.addons.postgres.drivers import server
from greenroom.app_migrations.drivers import recorder
from tests.checks.dyno_side import DJANGO, environment
from tests.checks.hosting import SETTINGS

HEAD = "from django.db import migrations, models\nfrom django.contrib.postgres.operations import AddIndexConcurrently\n"
APP = {**DJANGO, "conf/settings.py": SETTINGS}


def migration(operations: str, *, after: str = "0001_initial", before: str = "", more: str = "") -> str:
    """A migration file of the app shop."""
    return (
        f"{HEAD}{before}\nclass Migration(migrations.Migration):\n    {more}\n"
        f"    dependencies = [('shop', {after!r})]\n    operations = [{operations}]\n"
    )


@contextmanager
def database():
    """The URL of an empty database that is dropped at the end."""
    own = greenroom_settings.DATABASES["default"]
    name = f"rec_{uuid.uuid4().hex[:12]}"
    base = f"postgres://{own['USER']}:{own['PASSWORD']}@{own['HOST']}:{own['PORT']}"
    with psycopg.connect(f"{base}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield f"{base}/{name}"
    finally:
        with server.connect() as connection:
            server.drop_database(connection, name)


def manage(folder: Path, url: str, *words: str, **env: str) -> None:
    """``python manage.py WORDS``."""
    argv = [sys.executable, "manage.py", *words]
    done = subprocess.run(
        argv,
        cwd=folder,
        env=environment(DATABASE_URL=url, SECRET_KEY="x", **env),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def record(folder: Path, url: str, job: dict | None = None, *, program: str = sys.executable, **env: str) -> dict:
    """Run the recorder and return its whole document."""
    out = folder.parent / "out"
    out.mkdir(exist_ok=True)
    (out / recorder.FILE).unlink(missing_ok=True)
    argv = [program, "-", str(out)]
    text = recorder.script("django", {"job": "forward", "budget": 60, **(job or {})})
    variables = environment(DATABASE_URL=url, SECRET_KEY="x", **env)
    done = subprocess.run(argv, input=text, cwd=folder, env=variables, capture_output=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return json.loads((out / recorder.FILE).read_text())


def back(folder: Path, url: str, document: dict) -> dict:
    """The recorder's document for reversing the same migrations."""
    job = {"job": "reverse", "plan": document["pending"], "gone": document["gone"], "added": document["added"]}
    return record(folder, url, job)
