"""The push says what a Django app lacks before it fails for it, and nothing about an app that lacks nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from greenroom.buildpacks.rules import app_files, readiness, secret_key

PAYSLIP = Path(__file__).parents[2] / "samples" / "payslip"
INSTALLED = (
    'INSTALLED_APPS = ["django.contrib.admin", "django.contrib.staticfiles"]\n'
    'WSGI_APPLICATION = "shop.wsgi.application"\n'
)
ROOT = "STATIC_ROOT = BASE_DIR / 'staticfiles'\n"
URL = 'DATABASES = {"default": dj_database_url.config()}\n'


def app(**more) -> readiness.App:
    """A Django app whose environment has all packages and programs, with a Procfile."""
    known = {
        "files": ("manage.py", "shop/wsgi.py"),
        "process_types": {"web": "gunicorn shop.wsgi"},
        "has_procfile": True,
        "is_django": True,
        "package": lambda name: True,
        "program": lambda name: True,
    }
    return readiness.App(**{**known, **more})


def settings(text: str, **others: str) -> readiness.Settings | None:
    files = {"shop/settings.py": text.encode(), **{f"shop/{name}.py": more.encode() for name, more in others.items()}}
    return readiness.read_settings(files.get, "shop.settings")


def lines(given: readiness.App, text: str, **others: str) -> list[str]:
    found = settings(text, **others)
    return readiness.lacks(given, found, found)


def test_an_app_that_lacks_nothing_gets_no_line():
    assert lines(app(), INSTALLED + ROOT + URL) == []


def test_static_files_that_nothing_serves_are_told():
    """The admin would have no styles: Django serves none while DEBUG is off."""
    bare = app(package=lambda name: "whitenoise" not in name and "static" not in name)
    [line] = lines(bare, INSTALLED + ROOT + URL)
    assert "add whitenoise to the requirements" in line
    storage = 'STORAGES = {"staticfiles": {"BACKEND": "storages.backends.s3.S3Storage"}}\n'
    for settled in (app(), app(process_types={"worker": "celery"}), app(collects=False)):
        assert lines(settled, INSTALLED + ROOT + URL) == []
    assert lines(bare, INSTALLED + ROOT + URL + storage) == []


def test_without_a_procfile_the_line_to_write_names_the_wsgi_module():
    [line] = lines(app(has_procfile=False, process_types={}), INSTALLED + ROOT)
    assert "echo 'web: gunicorn shop.wsgi --bind 0.0.0.0:$PORT' > Procfile" in line
    [line] = readiness.lacks(app(has_procfile=False, process_types={}), None, None)
    assert "gunicorn shop.wsgi " in line
    assert not readiness.lacks(app(has_procfile=False, process_types={}, is_django=False), None, None)


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("gunicorn shop.wsgi", "gunicorn"),
        ("PYTHONPATH=src exec gunicorn shop.wsgi", "gunicorn"),
        ("cd src && daphne shop.asgi:application", "daphne"),
        ("python manage.py check; waitress-serve shop.wsgi:application", "waitress"),
        ("celery -A shop worker & celery -A shop beat & wait", "celery"),
    ],
)
def test_a_server_of_the_procfile_that_is_not_installed_is_named(command, name):
    [line] = readiness.lacks(app(process_types={"web": command}, program=lambda _: False), None, None)
    assert f"add {name} to the requirements" in line


@pytest.mark.parametrize(
    "command",
    [
        "python -m gunicorn x",
        "bin/start gunicorn",
        "./gunicorn x",
        "poetry run gunicorn x",
        "echo 'a && gunicorn",
        "python manage.py runserver",
    ],
)
def test_a_command_that_starts_another_program_is_left_alone(command):
    assert readiness.lacks(app(process_types={"web": command}, program=lambda _: False), None, None) == []


def test_what_a_hook_may_still_install_is_not_reported():
    nothing = {"package": lambda _: False, "program": lambda _: False}
    assert lines(app(hooked=True, **nothing), INSTALLED + ROOT + URL) == []


@pytest.mark.parametrize(
    "text",
    [
        URL,
        'import os\nurl = os.environ["DATABASE_URL"]\n',
        'ENGINE = "django.db.backends.postgresql"\n',
        "import environ\nenv = environ.Env()\nDATABASES = {'default': env.db()}\n",
    ],
)
def test_a_missing_driver_is_named_if_the_settings_use_postgresql(text):
    [line] = lines(app(package=lambda name: name == "whitenoise"), INSTALLED + ROOT + text)
    assert "psycopg[binary]" in line
    assert lines(app(package=lambda name: name in ("whitenoise", "psycopg2_binary")), INSTALLED + ROOT + text) == []


def test_settings_with_another_database_need_no_driver_of_postgresql():
    text = INSTALLED + ROOT + '# postgresql and DATABASE_URL are for later\nENGINE = "django.db.backends.mysql"\n'
    assert lines(app(package=lambda name: name == "whitenoise"), text) == []


def test_a_missing_static_root_is_said_before_collectstatic_fails():
    [line] = lines(app(), INSTALLED)
    assert 'STATIC_ROOT = BASE_DIR / "staticfiles"' in line
    assert lines(app(collects=False), INSTALLED) == []
    nothing = INSTALLED.replace("django.contrib.admin", "shop")
    assert lines(app(), nothing) == []
    assert len(lines(app(files=("manage.py", "shop/static/shop.css")), nothing)) == 1


@pytest.mark.parametrize(
    ("text", "others"),
    [
        ("from .base import *\n", {"base": INSTALLED + ROOT}),
        (INSTALLED + "from shop.paths import STATIC_ROOT\n", {"paths": ROOT}),
        (INSTALLED + "from cms.settings import *\n", {}),
        (INSTALLED + "import django_heroku\ndjango_heroku.settings(locals())\n", {}),
        (INSTALLED + "from split_settings.tools import include\ninclude('parts/*.py')\n", {}),
        (INSTALLED + "globals()['STATIC_ROOT'] = 'x'\n", {}),
        (INSTALLED + "if True:\n    " + ROOT, {}),
        (INSTALLED + 'STORAGES = {"staticfiles": {"BACKEND": "storages.backends.s3.S3Storage"}}\n', {}),
        ("INSTALLED_APPS = []\n", {}),
        ("this is not Python\n", {}),
    ],
)
def test_settings_that_set_it_or_cannot_be_followed_give_no_line_about_static_root(text, others):
    assert lines(app(), text, **others) == []


def test_the_storages_of_django_and_whitenoise_need_it():
    text = 'STORAGES = {"staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"}}\n'
    assert len(lines(app(), INSTALLED + text)) == 1


@pytest.mark.parametrize("text", ["x = (" * 5000, "\0", "from shop.settings import *\n", ""])
def test_strange_settings_do_no_harm(text):
    assert lines(app(), text) == []


def test_the_payslip_sample_lacks_nothing():
    """Its real files, with exactly the packages of its requirements."""

    def read(name: str) -> bytes | None:
        path = PAYSLIP / name
        return path.read_bytes() if path.is_file() else None

    files = [str(path.relative_to(PAYSLIP)) for path in PAYSLIP.rglob("*.py")]
    required = (PAYSLIP / "requirements.txt").read_text()
    here = app(
        files=tuple(files),
        process_types=app_files.read_procfile(read("Procfile") or b""),
        package=lambda name: f"\n{name.replace('_', '-')}==" in f"\n{required}",
        program=lambda name: f"\n{readiness.SERVERS[name]}==" in f"\n{required}",
    )
    found = readiness.read_settings(read, secret_key.settings_module(read, files))
    assert found is not None
    assert readiness.lacks(here, found, found) == []


MEDIA = "MEDIA_ROOT = BASE_DIR / 'media'\n"


def test_uploads_without_a_volume_are_said_to_be_lost_with_the_command_that_keeps_them():
    [line] = lines(app(keeps_files=False), INSTALLED + ROOT + URL + MEDIA)
    assert "greenroom volumes:create media --at /app/media" in line
    assert lines(app(keeps_files=True), INSTALLED + ROOT + URL + MEDIA) == []
    assert lines(app(keeps_files=False), INSTALLED + ROOT + URL) == []


@pytest.mark.parametrize(
    "elsewhere",
    [
        'STORAGES = {"default": {"BACKEND": "storages.backends.s3.S3Storage"}}\n',
        'AWS_STORAGE_BUCKET_NAME = env("BUCKET")\n',
        'if "AWS_STORAGE_BUCKET_NAME" in os.environ: pass\n',
        "from split_settings.tools import include\n",
    ],
)
def test_uploads_that_may_be_kept_elsewhere_give_no_line(elsewhere):
    assert lines(app(keeps_files=False), INSTALLED + ROOT + URL + MEDIA + elsewhere) == []
