"""Tests of the unmodified Heroku CLI's pipelines, promotions, CI and review apps, with a small Django app that has a
migration.
"""

from __future__ import annotations

import http.client
import json
import re
import shutil

import pytest

from tests.stories.heroku import Heroku
from tests.stories.team import Team

pytestmark = pytest.mark.story
STAGING, LIVE, SECOND, PIPE = "pipe-staging", "pipe-production", "pipe-second", "pipe"
SETTINGS = """import os
import dj_database_url_of_ours
SECRET_KEY = os.environ.get("SECRET_KEY") or "of the build"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "pipe.urls"
INSTALLED_APPS = ["django.contrib.contenttypes", "notes"]
DATABASES = {"default": dj_database_url_of_ours.parse(os.environ["DATABASE_URL"])}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
URL = """from urllib.parse import unquote, urlsplit


def parse(url):
    at = urlsplit(url)
    return {"ENGINE": "django.db.backends.postgresql", "NAME": at.path[1:], "USER": at.username,
            "PASSWORD": unquote(at.password or ""), "HOST": at.hostname, "PORT": at.port}
"""
URLS = """import os

from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse(f"{os.environ.get('COLOUR', 'grey')} 1"))]
"""
MIGRATION = """from django.db import migrations, models


class Migration(migrations.Migration):
    initial = True
    key = models.BigAutoField(primary_key=True, serialize=False, auto_created=True, verbose_name="ID")
    operations = [migrations.CreateModel("Note", [("id", key)])]
"""
FILES = {
    "requirements.txt": "django==5.2.*\npsycopg[binary]==3.*\nwaitress==3.*\n",
    "Procfile": "web: waitress-serve --listen=127.0.0.1:$PORT pipe.wsgi:application\n",
    "app.json": json.dumps(
        {
            "env": {
                "SECRET_KEY": {"generator": "secret"},
                "COLOUR": {"value": "amber", "required": True},
                "ONLY": {"required": False},
            },
            "environments": {
                "test": {"scripts": {"test": "python -m unittest check"}},
                "review": {"env": {"COLOUR": "violet"}},
            },
        }
    ),
    "check.py": (
        "import os\nimport unittest\n\n\nclass T(unittest.TestCase):\n    def test_colour(self):\n        print('the"
        " test sees', os.environ.get('CI_WORD', 'nothing'))\n        self.assertNotEqual(os.environ.get('CI_WORD'),"
        " 'red')\n"
    ),
    "manage.py": (
        "import os\nimport sys\n\nfrom django.core.management import execute_from_command_line\n\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'pipe.settings')\nexecute_from_command_line(sys.argv)\n"
    ),
    "dj_database_url_of_ours.py": URL,
    "pipe/__init__.py": "",
    "pipe/settings.py": SETTINGS,
    "pipe/urls.py": URLS,
    "pipe/wsgi.py": (
        "import os\n\nfrom django.core.wsgi import get_wsgi_application\n\n"
        "os.environ.setdefault('DJANGO_SETTINGS_MODULE', 'pipe.settings')\napplication = get_wsgi_application()\n"
    ),
    "notes/__init__.py": "",
    "notes/migrations/__init__.py": "",
    "notes/migrations/0001_initial.py": MIGRATION,
    "notes/models.py": "from django.db import models\n\n\nclass Note(models.Model):\n    pass\n",
}


class Pipes:
    """A live staging app, two production apps without code, and one user's Heroku CLI."""

    def __init__(self, place, folder) -> None:
        self.place = place
        sample = folder / "sample"
        for path, text in FILES.items():
            (sample / path).parent.mkdir(parents=True, exist_ok=True)
            (sample / path).write_text(text)
        self.team = Team(place, folder / "work", STAGING, sample=sample)
        said = self.team.push()
        assert self.team.delivery()["state"] == "live", said
        for name in (LIVE, SECOND):
            place.run("create", name)
        self.cli = Heroku(place, folder / "shell")

    def __call__(self, line, code=0, **options):
        return self.cli(f"heroku {line}", code=code, **options)

    def get(self, path):
        return self.place.api("GET", path)[1]

    def stages(self):
        pipeline = self.get(f"/pipelines/{PIPE}")
        return {row["app"]["name"]: row["stage"] for row in self.get(f"/pipelines/{pipeline['id']}/pipeline-couplings")}

    def current(self, app):
        return next((row for row in self.get(f"/apps/{app}/releases") if row["current"] and row["slug"]), None)

    def page(self, app):
        return self.team.get("/", host=f"{app}.localhost")[:2]

    def until(self, read, holds, seconds=60):
        return self.team.wait_for(read, holds, seconds)


@pytest.fixture(scope="module")
def pipes(place, tmp_path_factory):
    made = Pipes(place, tmp_path_factory.mktemp("pipes"))
    made(f"pipelines:create {PIPE} -a {STAGING} -s staging")
    made(f"pipelines:add {PIPE} -a {LIVE} -s production")
    yield made
    for name in (STAGING, LIVE, SECOND):
        place.run("destroy", name, "--confirm", name, check=False)


def test_pipelines_are_made_shown_changed_and_destroyed(pipes):
    assert PIPE in pipes("pipelines")
    assert pipes.stages() == {STAGING: "staging", LIVE: "production"}
    said = pipes(f"pipelines:info {PIPE}")
    assert re.search(rf"{STAGING}\s+staging", said)
    assert re.search(rf"{LIVE}\s+production", said)
    assert "admin@greenroom.localhost" in said
    assert json.loads(pipes(f"pipelines:info {PIPE} --json"))["pipeline"]["name"] == PIPE
    pipes(f"pipelines:add {PIPE} -a {SECOND} -s development")
    pipes(f"pipelines:update -a {SECOND} -s production")
    assert pipes.stages()[SECOND] == "production"
    assert "is already in pipe" in pipes(f"pipelines:add {PIPE} -a {SECOND} -s staging", code=None)
    pipes(f"pipelines:rename {PIPE} pipe-renamed")
    assert "pipe-renamed" in pipes("pipelines")
    pipes(f"pipelines:rename pipe-renamed {PIPE}")
    pipes(f"pipelines:remove -a {SECOND}")
    assert SECOND not in pipes.stages()
    pipes(f"pipelines:create pipe-other -a {SECOND} -s staging")
    pipes("pipelines:destroy pipe-other")
    assert "pipe-other" not in pipes("pipelines")
    assert pipes.get(f"/apps/{SECOND}")["name"] == SECOND, "its apps stay"
    assert "pipe-other" not in json.dumps(pipes.get("/pipelines"))


def test_a_stranger_sees_no_pipeline(pipes, tmp_path):
    made = pipes.place.api("POST", "/accounts", {"email": "mallory@example.com", "name": "Mallory"})[1]
    token = made["token"] if "token" in made else made["access_token"]["token"]
    stranger = Heroku(pipes.place, tmp_path, token)
    assert PIPE not in stranger("heroku pipelines")
    assert "not found" in stranger(f"heroku pipelines:info {PIPE}", code=None).lower()
    assert "Couldn't find" in stranger(f"heroku pipelines:promote -a {STAGING}", code=None)


def test_a_promotion_stops_at_pending_migrations_and_goes_on_when_a_person_has_migrated(pipes):
    source = pipes.current(STAGING)
    pipes(f"config:set COLOUR=blue -a {LIVE}")
    said = pipes(f"pipelines:promote -a {STAGING}", code=1)
    assert "Promotion to some apps failed" in said
    assert "2 migrations are pending" in said.replace("\n", " ") or "pending in pipe-production" in said
    assert f"greenroom run -a {LIVE} python manage.py migrate" in re.sub(r"\s+", " ", said)
    assert "Held" in said, "the delivery's lines are shown as they come"
    assert pipes.current(LIVE) is None
    held = pipes.get(f"/apps/{LIVE}/releases")[0]
    assert (held["status"], held["kind"], held["description"]) == (
        "pending",
        "promote",
        f"Promote {STAGING} v{source['version']} {source['slug']['commit'][:8]}",
    )
    pipes(f"run --no-tty --exit-code -a {LIVE} -- python manage.py migrate")
    now = pipes.until(lambda: pipes.current(LIVE), bool)
    assert now["version"] == held["version"]
    assert now["slug"]["digest"] == source["slug"]["digest"], "nothing was built anew"
    assert pipes.get(f"/apps/{LIVE}/builds") == []
    assert pipes.page(LIVE) == (200, "blue 1"), "with its own config vars"
    assert pipes.page(STAGING) == (200, "amber 1")


def test_the_same_code_is_promoted_again_and_nothing_stops_it(pipes):
    before = pipes.current(LIVE)["version"]
    said = pipes(f"pipelines:promote -a {STAGING} --to {LIVE}")
    assert "Promotion successful" in said
    assert "Running release command" in said
    assert f"Released v{before + 1}" in said
    assert pipes.current(LIVE)["version"] == before + 1


def test_new_code_waits_and_is_forced_by_name_to_several_targets(pipes):
    team = pipes.team
    team.write("pipe/urls.py", URLS.replace("} 1", "} 2"))
    team.write(
        "notes/migrations/0002_empty.py",
        "from django.db import migrations\n\n\nclass Migration(migrations.Migration):\n"
        "    dependencies = [('notes', '0001_initial')]\n    operations = []\n",
    )
    team.commit("A second version with a migration that changes nothing")
    said = team.push()
    assert team.delivery()["state"] == "live", said
    pipes(f"pipelines:add {PIPE} -a {SECOND} -s production")
    said = pipes(f"pipelines:promote -a {STAGING}", code=1)
    assert re.search(rf"{LIVE}:\s+failed", said)
    assert re.search(rf"{SECOND}:\s+failed", said)
    assert "notes.0002_empty" in said
    assert pipes.page(LIVE) == (200, "blue 1"), "what ran keeps running"
    pipes.cli.env["HEROKU_HEADERS"] = json.dumps({"Greenroom-Force": f"{LIVE}, {SECOND}"})
    try:
        assert "Promotion successful" in pipes(f"pipelines:promote -a {STAGING}")
    finally:
        del pipes.cli.env["HEROKU_HEADERS"]
    assert pipes.page(LIVE) == (200, "blue 2")
    assert pipes.page(SECOND) == (200, "amber 2")
    digests = {pipes.current(name)["slug"]["digest"] for name in (STAGING, LIVE, SECOND)}
    assert len(digests) == 1
    assert [row["action"] for row in pipes.get("/audit?limit=50")].count("pipeline.promote") >= 3


def test_the_apps_environment_contract_holds_for_a_promotion(pipes):
    before = pipes.current(SECOND)["version"]
    pipes(f"config:unset COLOUR -a {SECOND}")
    said = pipes(f"pipelines:promote -a {STAGING} --to {SECOND}", code=1)
    assert "COLOUR" in said
    assert pipes.current(SECOND)["version"] == before
    pipes(f"config:set COLOUR=amber -a {SECOND}")


def test_a_push_to_a_promoted_app_is_still_scanned(pipes):
    pipes.team.git(
        "remote", "add", "production", f"http://x:{pipes.place.token}@127.0.0.1:{pipes.place.api_port}/{LIVE}.git"
    )
    result = pipes.team.git("push", "production", "HEAD:master", check=False)
    assert "Released" in result.stderr, result.stderr
    pipes.team.git("remote", "remove", "production")


def test_ci_config_vars_reach_the_tests_of_the_gate(pipes):
    pipes(f"ci:config:set --pipeline {PIPE} CI_WORD=hello OTHER=1")
    assert pipes(f"ci:config:get --pipeline {PIPE} CI_WORD").strip() == "hello"
    pipes(f"ci:config:unset --pipeline {PIPE} OTHER")
    assert json.loads(pipes(f"ci:config --pipeline {PIPE} --json")) == {"CI_WORD": "hello"}
    assert "CI_WORD" not in pipes.get(f"/apps/{STAGING}/config-vars"), "no release of the app sees them"
    pipes.team.write("third.txt", "third\n")
    pipes.team.commit("A third version")
    pipes.team.push()
    pipes.until(lambda: pipes("ci:last --app " + STAGING, code=None), lambda said: "the test sees hello" in said)


def test_test_runs_are_the_check_runs_of_the_pipelines_apps(pipes):
    sha = pipes.team.sha
    runs = json.loads(pipes(f"ci --pipeline {PIPE} --json"))
    newest = runs[0]
    assert (newest["commit_sha"], newest["status"], newest["commit_branch"]) == (sha, "succeeded", "master")
    assert [run["number"] for run in runs] == sorted((run["number"] for run in runs), reverse=True)
    assert sha[:7] in pipes(f"ci --app {STAGING}")
    said = pipes(f"ci:info {newest['number']} --app {STAGING}")
    assert "Installing" in said or "Using" in said, "the set-up"
    assert "Ran 1 test" in said
    (node,) = pipes.get(f"/test-runs/{newest['id']}/test-nodes")
    assert node["output_stream_url"].startswith("https://")
    assert pipes(f"ci:info 9999 --app {STAGING}", code=None).count("has no test run 9999") == 1


@pytest.fixture
def unhurried(pipes, tmp_path):
    """The CLI uses ``0`` as branch, commit or title if git exits before its output is read; this git exits a little
    later.
    """
    real = shutil.which("git", path=pipes.cli.env["PATH"])
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text(f'#!/bin/sh\n"{real}" "$@"\ncode=$?\nsleep 0.5\nexit $code\n')
    slow.chmod(0o755)
    path = pipes.cli.env["PATH"]
    pipes.cli.env["PATH"] = f"{slow.parent}:{path}"
    yield pipes
    pipes.cli.env["PATH"] = path


def test_ci_run_tests_what_is_in_the_folder_and_touches_no_commit(unhurried):
    pipes = unhurried
    proxied = json.loads(pipes.place.run("env", "--proxy", "--json").stdout)
    pipes.cli.env |= {name: proxied[name] for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "NO_PROXY")}
    team, before = pipes.team, pipes.get(f"/apps/{STAGING}/checks?sha={pipes.team.sha}")
    said = pipes(f"ci:run --pipeline {PIPE}", cwd=team.work)
    assert "the test sees hello" in said
    assert "Ran 1 test" in said
    newest = pipes.get(f"/pipelines/{PIPE}/test-runs")[0]
    assert (newest["status"], newest["uploaded"], newest["commit_sha"], newest["commit_branch"]) == (
        "succeeded",
        True,
        team.sha,
        "master",
    )
    team.write("check.py", FILES["check.py"].replace("'red'", "'hello'"))
    broken = team.commit("Only here: a test that fails")
    said = pipes(f"ci:run --pipeline {PIPE}", cwd=team.work, code=1)
    assert "FAILED" in said
    assert pipes.get(f"/pipelines/{PIPE}/test-runs")[0]["status"] == "failed"
    pipes(f"ci:rerun --pipeline {PIPE}", cwd=team.work, code=1)
    assert pipes.get(f"/pipelines/{PIPE}/test-runs")[0]["commit_sha"] == broken
    team.git("reset", "-q", "--hard", "HEAD~1")
    assert pipes.get(f"/apps/{STAGING}/checks?sha={team.sha}") == before, (
        "an upload says nothing of the commit it claims to be"
    )
    assert pipes.current(STAGING)["slug"]["commit"] == team.sha
    assert pipes.place.api("GET", f"/apps/{STAGING}/checks?sha={broken}")[0] == 404, "nobody pushed it"


def test_the_proxy_leads_nowhere_else(pipes):
    port = pipes.place.api_port + 8
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.set_tunnel("example.com", 443)
    with pytest.raises(OSError, match="403"):
        connection.connect()


def test_a_review_app_is_made_of_a_branch_and_goes_with_it(pipes):
    for name in ("HTTPS_PROXY", "SSL_CERT_FILE", "NO_PROXY"):
        pipes.cli.env.pop(name, None)
    team = pipes.team
    team.git("checkout", "-q", "-b", "feature/rose")
    team.write("pipe/urls.py", URLS.replace("} 1", "} {os.environ.get('ONLY', '-')} {os.environ.get('PARENTS', '-')}"))
    team.commit("A page for reviewers")
    team.push("HEAD:refs/heads/feature/rose")
    pipes(f"config:set PARENTS=secret -a {STAGING}")
    pipes.place.api("PATCH", f"/pipelines/{PIPE}/stage/review/config-vars", {"ONLY": "review"})
    pipes(f"reviewapps:enable -p {PIPE} --autodestroy")
    config = pipes.get(f"/pipelines/{PIPE}/review-app-config")
    assert (config["repo"]["full_name"], config["destroy_stale_apps"], config["automatic_review_apps"]) == (
        f"greenroom/{STAGING}",
        True,
        False,
    )
    assert "are already enabled for pipe" in pipes(f"reviewapps:enable -p {PIPE}", code=2)
    pipes(f"reviewapps:disable -p {PIPE}")
    pipes(f"reviewapps:enable -p {PIPE}")
    assert "doesn't exist" in pipes(f"reviewapps:create -p {PIPE} -b no-such-branch", code=None)
    said = pipes(f"reviewapps:create -p {PIPE} -b feature/rose --wait --wait-interval 1")
    (review,) = pipes.get(f"/pipelines/{PIPE}/review-apps")
    assert review["status"] == "created", said
    pipes(f"reviewapps:wait {review['app_name']}")
    assert pipes.page(review["app_name"]) == (
        200,
        "violet review -",
    ), "app.json's and the pipeline's config vars, none of its parent's"
    own, parents = (pipes.get(f"/apps/{name}/config-vars")["DATABASE_URL"] for name in (review["app_name"], STAGING))
    assert own != parents, "a database of its own"
    assert re.search(rf"{review['app_name']}\s+review", pipes(f"pipelines:info {PIPE}"))
    assert "already has a review app" in pipes(f"reviewapps:create -p {PIPE} -b feature/rose", code=None)
    pipes(f"reviewapps:disable -p {PIPE}")
    assert pipes.place.api("GET", f"/pipelines/{PIPE}/review-app-config")[0] == 404
    team.git("push", "greenroom", ":refs/heads/feature/rose")
    pipes.until(lambda: pipes.place.api("GET", f"/apps/{review['app_name']}")[0], lambda status: status == 404, 90)
    team.git("checkout", "-q", "master")
