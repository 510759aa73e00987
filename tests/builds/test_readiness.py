"""The push names what an app lacks after the installation and before the failure."""

from __future__ import annotations

import pytest

from tests.builds.hosting import BASE, pip_files

SETTINGS = (
    'INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "django.contrib.staticfiles"]\n'
    'SECRET_KEY = "x"\nSTATIC_URL = "static/"\n'
    'WSGI_APPLICATION = "shop.wsgi.application"\nDATABASES = {"default": {"ENGINE": "django.db.backends.postgresql"}}\n'
)
MANAGE = (
    "import os, sys\nfrom django.core.management import execute_from_command_line\n"
    'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\nexecute_from_command_line(sys.argv)\n'
)
WSGI = 'import os\nos.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'
TREE = {
    ".python-version": BASE[".python-version"],
    "manage.py": MANAGE,
    "shop/__init__.py": "",
    "shop/settings.py": SETTINGS,
    "shop/wsgi.py": WSGI,
    "static/shop.css": "p { color: red }\n",
    **pip_files("Django==5.2.7"),
}


@pytest.mark.django_db(transaction=True)
def test_what_an_app_lacks_is_said_once_and_before_it_fails(workshop):
    build = workshop.build({**TREE, "Procfile": "web: gunicorn shop.wsgi\n"})
    assert (build.status, build.failure_reason) == ("failed", "collectstatic-improper-configuration"), workshop.text
    for line in (
        " !     The Procfile starts web with gunicorn, which is not installed: add gunicorn to the requirements",
        " !     The settings use PostgreSQL, and no driver for it is installed: add psycopg[binary]",
        " !     STATIC_ROOT is not set, which collectstatic needs: in the settings: STATIC_ROOT = ",
    ):
        assert workshop.text.count(line) == 1, workshop.text
        assert workshop.text.index(line) < workshop.text.index("collectstatic --noinput")


@pytest.mark.django_db(transaction=True)
def test_without_a_procfile_the_push_says_which_line_to_write(workshop):
    workshop.built(
        {**TREE, "shop/settings.py": SETTINGS.replace("postgresql", "sqlite3") + 'STATIC_ROOT = "/tmp/static"\n'}
    )
    assert "echo 'web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT' > Procfile" in workshop.text
    assert "psycopg" not in workshop.text
