"""An app like heroku/python-getting-started, pushed unchanged: no lock, no greenroom.toml, settings that read DYNO and
CI.
"""

from __future__ import annotations

import re
import shutil

import pytest

from tests.stories.test_host import small_team

NAME = "s-getting-started"
SETTINGS = """
import os
import secrets
from pathlib import Path

import dj_database_url

BASE_DIR = Path(__file__).resolve().parent.parent
ON_A_DYNO = "DYNO" in os.environ and "CI" not in os.environ
SECRET_KEY = os.environ.get("DJANGO_SECRET_KEY", default=secrets.token_urlsafe(nbytes=64))
DEBUG = not ON_A_DYNO
ALLOWED_HOSTS = ["*"]
INSTALLED_APPS = ["whitenoise.runserver_nostatic", "django.contrib.staticfiles", "hello"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "whitenoise.middleware.WhiteNoiseMiddleware"]
ROOT_URLCONF = "gettingstarted.urls"
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}]
DATABASES = {"default": dj_database_url.config(default="sqlite:///db.sqlite3", conn_max_age=600)}
STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}
STATIC_ROOT = BASE_DIR / "staticfiles"
STATIC_URL = "static/"
WHITENOISE_KEEP_ONLY_HASHED_FILES = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
"""
FILES = {
    ".python-version": "3.11\n",
    "requirements.txt": (
        "# Django and what it needs to"
        " run\ndjango>=5.2,<5.3\ngunicorn>=23,<28\ndj-database-url>=3,<4\nwhitenoise[brotli]>=6,<7\npsycopg[binary]\n"
    ),
    "Procfile": (
        "# Migrations are run by hand.\n# release: ./manage.py migrate --no-input\nweb: gunicorn --config"
        " gunicorn.conf.py gettingstarted.wsgi\n"
    ),
    "gunicorn.conf.py": (
        "import os\n\nbind = ['0.0.0.0:' + os.environ.get('PORT', '5006')]\nworker_class = 'gthread'\nthreads = 5\n"
    ),
    "app.json": (
        '{"name": "Start", "env": {"DJANGO_SECRET_KEY": {"description": "signs sessions", "generator": "secret"}}, '
        '"environments": {"test": {"scripts": {"test": "./manage.py test --debug-mode"}}}}\n'
    ),
    "manage.py": (
        "#!/usr/bin/env python\nimport os\nimport sys\n\nos.environ.setdefault('DJANGO_SETTINGS_MODULE',"
        " 'gettingstarted.settings')\nfrom django.core.management import"
        " execute_from_command_line\n\nexecute_from_command_line(sys.argv)\n"
    ),
    "gettingstarted/__init__.py": "",
    "gettingstarted/settings.py": SETTINGS,
    "gettingstarted/wsgi.py": (
        "import os\n\nfrom django.core.wsgi import"
        " get_wsgi_application\n\nos.environ.setdefault('DJANGO_SETTINGS_MODULE',"
        " 'gettingstarted.settings')\napplication = get_wsgi_application()\n"
    ),
    "gettingstarted/urls.py": (
        "from django.urls import path\n\nimport hello.views\n\nurlpatterns = [path('', hello.views.index), path('db/',"
        " hello.views.db)]\n"
    ),
    "hello/__init__.py": "",
    "hello/models.py": (
        "from django.db import models\n\n\nclass Greeting(models.Model):\n    when ="
        " models.DateTimeField(auto_now_add=True)\n"
    ),
    "hello/migrations/__init__.py": "",
    "hello/migrations/0001_initial.py": (
        "from django.db import migrations, models\n\n\nclass Migration(migrations.Migration):\n    operations = [\n    "
        "    migrations.CreateModel('Greeting', [('id', models.BigAutoField(auto_created=True, primary_key=True,"
        " serialize=False, verbose_name='ID')), ('when', models.DateTimeField(auto_now_add=True))])\n    ]\n"
    ),
    "hello/views.py": (
        "from django.http import HttpResponse\nfrom django.shortcuts import render\n\nfrom hello.models import"
        " Greeting\n\n\ndef index(request):\n    return render(request, 'index.html')\n\n\ndef db(request):\n   "
        " Greeting.objects.create()\n    return HttpResponse(f'{Greeting.objects.count()} greetings')\n"
    ),
    "hello/templates/index.html": (
        '{% load static %}<link rel="stylesheet" href="{% static \'hello.css\' %}"><h1>Getting started</h1>\n'
    ),
    "hello/static/hello.css": "h1 { color: rebeccapurple }\n",
    "hello/tests.py": (
        "from django.test import TestCase\n\n\nclass Pages(TestCase):\n    def test_index(self):\n"
        "        self.assertContains(self.client.get('/'), 'Getting started')\n\n"
        "    def test_db(self):\n        self.assertContains(self.client.get('/db/'), '1 greetings')\n"
    ),
    ".slugignore": "hello/tests.md\n",
    ".gitignore": "staticfiles/\n",
}


@pytest.fixture
def team(installation, tmp_path):
    team = small_team(installation, tmp_path, NAME)
    for path in team.work.iterdir():
        if path.name != ".git":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for path, text in FILES.items():
        team.write(path, text)
    (team.work / "manage.py").chmod(0o755)
    team.commit("Getting started")
    yield team
    team.destroy()


def test_the_getting_started_app_goes_through_the_whole_gate(team):
    team.greenroom(
        "config:set", "DJANGO_SECRET_KEY=only-for-stories-0123456789", "SECRET_KEY=only-for-stories-0123456789"
    )
    said = team.push()
    row = team.delivery()
    assert row["state"] == "live", said
    assert "Using Python 3.11" in said
    assert "$ python manage.py collectstatic --noinput" in said
    assert "static file" in said
    assert "./manage.py test --debug-mode" in said
    status, page, _ = team.get("/")
    assert (status, "Getting started" in page) == (200, True)
    style = re.search(r'href="(/static/hello\.[0-9a-f]{12}\.css)"', page)
    assert style, "on a dyno DEBUG is off and the manifest counts"
    assert team.get(style[1])[0] == 200
    assert "pending" in said
    assert team.get("/db/")[0] == 500
    team.greenroom("run", "./manage.py", "migrate", "--no-input")
    assert team.get("/db/")[1] == "1 greetings"
