"""A home with a running local engine, an app with a repository and a slug in it, and the suite's PostgreSQL for its
dynos.
"""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
from django.conf import settings as django_settings

from greenroom.addons.postgres.actions import throwaways
from greenroom.checks import actions, steps
from greenroom.checks.models import CheckRun
from greenroom.engine.local.client import LocalEngine
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import mounts
from tests.checks.dyno_side import DJANGO, write
from tests.engine import database_client
from tests.engine.database_client import same_minor  # noqa: F401 -- for the tests with this host

SYSTEM_PYTHON = "/usr/bin/python3"
PACKAGES = ("django", "asgiref", "sqlparse", *database_client.PACKAGES)
SETTINGS = """import os
from urllib.parse import urlsplit
url = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = os.environ["SECRET_KEY"]
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.postgresql", "NAME": url.path[1:], "USER": url.username,
    "PASSWORD": url.password, "HOST": url.hostname, "PORT": url.port}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
TESTS = """from django.test import TestCase
from shop.models import Item
class Items(TestCase):
    def test_an_item_is_stored(self):
        Item.objects.create(name="tea")
        self.assertEqual(Item.objects.count(), 1)
    def test_files_can_be_written(self):
        open("/app/written", "w").close()
"""
FILES = {**DJANGO, "conf/settings.py": SETTINGS, "shop/tests.py": TESTS}


@pytest.fixture(scope="module")
def engine_home():
    """A home with a running supervisor and one environment ``envs/e`` that has Django."""
    home = Path(tempfile.mkdtemp(prefix="greenroom-checks-"))
    home.chmod(0o755)
    env = home / "envs" / "e"
    subprocess.run([SYSTEM_PYTHON, "-m", "venv", "--without-pip", str(env)], check=True)
    site = next(env.glob("lib/python*/site-packages"))
    spec = importlib.util.find_spec("django")
    assert spec
    source = Path(spec.origin).parent.parent
    for name in (*PACKAGES, *(path.name for path in source.glob("psycopg*.dist-info"))):
        if (source / name).is_dir():
            shutil.copytree(source / name, site / name)
        elif (source / name).exists():
            shutil.copy(source / name, site / name)
    log = (home / "supervisor.log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "greenroom.engine.local.supervisor", "--home", str(home)], stdout=log, stderr=log
    )
    yield home
    for state in LocalEngine(home).list():
        LocalEngine(home).forget(state.id)
    process.kill()
    process.wait(10)
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def engine(engine_home):
    return LocalEngine(engine_home)


@pytest.fixture
def server(engine_home, settings):
    """Serve the suite's PostgreSQL on the socket where dynos expect the embedded one."""
    own = django_settings.DATABASES["default"]
    port = int(own["PORT"])
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "embedded", "pg_port": port}
    path = engine_home / "run" / "postgres" / f".s.PGSQL.{port}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    path.chmod(0o777)
    listener.listen(20)
    threading.Thread(target=serve, args=(listener, (own["HOST"], port)), daemon=True).start()
    yield
    listener.close()


def serve(listener, target) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        other = socket.create_connection(target)
        for one, two in ((client, other), (other, client)):
            threading.Thread(target=pump, args=(one, two), daemon=True).start()


def pump(one, two) -> None:
    try:
        while data := one.recv(65536):
            two.sendall(data)
        two.shutdown(socket.SHUT_WR)
    except OSError:
        two.close()


class Journey:
    """One app with a repository and, once it is built, a slug. ``check`` runs a builtin check to its end."""

    def __init__(self, app, home, engine):
        self.app, self.home, self.engine, self.said, self.deployed = app, home, engine, [], ""
        self.slug = None
        self.work = home / "work" / app.id.hex

    def commit(self, files) -> str:
        git = ["git", "-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-C", str(write(self.work, files))]
        bare = self.home / self.app.repo_folder
        if not bare.exists():
            subprocess.run([*git, "init", "-q", "-b", "master"], check=True)
            subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
        for words in (["add", "-A"], ["commit", "-qm", "work"], ["push", "-q", str(bare), "HEAD:master"]):
            subprocess.run([*git, *words], check=True)
        self.sha = subprocess.run(
            [*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        ).stdout.strip()
        return self.sha

    def build(self, files, **app_json) -> None:
        digest = self.sha.ljust(64, "0")
        write(self.home / "slugs" / digest / "app", files)
        (self.home / "slugs" / digest / "app" / ".heroku" / "python").mkdir(parents=True)
        facts = {"digest": digest, "commit": self.sha, "env_key": "e", "is_django": True, "app_json": app_json}
        self.slug = Slug.objects.create(app=self.app, **facts)

    def step(self, name) -> CheckRun:
        run = actions.begin(app=self.app, sha=self.sha, names=[name])[0]
        seen = mounts(self.slug) if self.slug else None
        common = {"run": run, "engine": self.engine, "home": self.home, "say": self.said.append}
        if name == "tests":
            return steps.advance_tests(slug=self.slug, mounts=seen, **common)
        return steps.advance_scan(
            app=self.app, sha=self.sha, deployed_sha=self.deployed, slug=self.slug, mounts=seen, **common
        )

    def check(self, name, seconds=60) -> CheckRun:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            run = self.step(name)
            if run.status == "completed":
                return run
            time.sleep(0.02)
        raise AssertionError(f"{name} did not end within {seconds} s: {self.engine.list()} {self.said}")


@pytest.fixture(name="journey")
def a_journey(shop, engine_home, engine, server):
    journey = Journey(shop, engine_home, engine)
    yield journey
    for run in CheckRun.objects.filter(name="tests"):
        throwaways.drop(label=f"test-{run.id.hex}")
