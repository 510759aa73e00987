"""Finds the variable from which a Django app's settings read SECRET_KEY. Optional variables are not requested."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.rules.app_files import required_env
from greenroom.buildpacks.rules.secret_key import needed, settings_module

MANAGE = b'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.settings")\n'


def name(settings: str, **others: str) -> str:
    files = {
        "shop/settings.py": settings.encode(),
        **{path.replace("__", "/") + ".py": text.encode() for path, text in others.items()},
    }
    return needed(files.get, "shop.settings")


@pytest.mark.parametrize(
    "line",
    [
        'SECRET_KEY = os.environ["APP_KEY"]',
        "SECRET_KEY = environ['APP_KEY']",
        'SECRET_KEY = os.environ.get("APP_KEY")',
        'SECRET_KEY = os.getenv("APP_KEY")',
        'SECRET_KEY = os.environ.get("APP_KEY", "")',
        'SECRET_KEY = env("APP_KEY")',
        'SECRET_KEY = env.str("APP_KEY")',
        'SECRET_KEY = env("APP_KEY", str)',
        'SECRET_KEY = config("APP_KEY")',
        'SECRET_KEY: str = config("APP_KEY", cast=str)',
        'SECRET_KEY = str(os.environ["APP_KEY"]).strip()',
        'SECRET_KEY = get_env_variable("APP_KEY")',
        '_key = os.environ["APP_KEY"]\nSECRET_KEY = _key',
        "SECRET_KEY = f\"{os.environ['APP_KEY']}-x\"",
        'if DEBUG:\n    SECRET_KEY = "x"\nelse:\n    SECRET_KEY = os.environ["APP_KEY"]',
        'SECRET_KEY = "x" if DEBUG else env("APP_KEY")',
        'try:\n    SECRET_KEY = os.environ["APP_KEY"]\nexcept KeyError:\n    raise SystemExit("no key")',
        'SECRET_KEY = "x"\nSECRET_KEY = env("APP_KEY")',
    ],
)
def test_the_variable_is_found_however_it_is_read(line):
    assert name(f"import os\n{line}\n") == "APP_KEY"


@pytest.mark.parametrize(
    "line",
    [
        'SECRET_KEY = "django-insecure-x"',
        'SECRET_KEY = os.environ.get("APP_KEY", "x")',
        'SECRET_KEY = env("APP_KEY", default="x")',
        'SECRET_KEY = os.environ.get("APP_KEY", default=secrets.token_urlsafe())',
        'SECRET_KEY = os.environ.get("APP_KEY") or "x"',
        'try:\n    SECRET_KEY = os.environ["APP_KEY"]\nexcept KeyError:\n    SECRET_KEY = "x"',
        "SECRET_KEY = os.environ[NAME]",
        "SECRET_KEY = make_key()",
        'SECRET_KEY = vault.read("APP_KEY")',
        'SECRET_KEY = DATA["APP_KEY"]',
        'SECRET_KEY = env("APP_KEY")\nSECRET_KEY = "x"',
        "X = 1",
        "SECRET_KEY = (",
        "",
        'SECRET_KEY = os.environ["not a name"]',
        "SECRET_KEY = SECRET_KEY",
    ],
)
def test_nothing_is_asked_for_that_the_app_can_do_without_or_that_cannot_be_followed(line):
    assert name(f"import os\n{line}\n") == ""


def test_split_settings_are_followed():
    base = 'import os\nSECRET_KEY = os.environ["BASE_KEY"]\n'
    assert name("from .base import *", shop__base=base) == "BASE_KEY"
    assert name("from shop.base import SECRET_KEY", shop__base=base) == "BASE_KEY"
    assert name('from .base import *\nSECRET_KEY = env("OWN")', shop__base=base) == "OWN"
    assert name('SECRET_KEY = "x"\nfrom .base import *', shop__base=base) == "BASE_KEY"
    assert name("from .keys import KEY as SECRET_KEY", shop__keys='KEY = env("K")') == "K"
    assert name("from .settings import *") == "", "a circle ends"
    files = {
        "shop/settings/__init__.py": b"from .production import *",
        "shop/settings/production.py": b'SECRET_KEY = env("P")',
    }
    assert needed(files.get, "shop.settings") == "P"


def test_a_function_of_the_apps_own_that_reads_the_environment_is_followed():
    own = "def required(name, fallback=None):\n    value = os.environ.get(name)\n    return value\n"
    other = 'def required(name):\n    return json.load(open("secrets.json"))[name]\n'
    for text in (
        'from shop import conf\nSECRET_KEY = conf.required("K", fallback="x")',
        'from .conf import required\nSECRET_KEY = required("K")',
        'import shop.conf as c\nSECRET_KEY = c.required("K")',
        'from shop.conf import required as need\nSECRET_KEY = need("K")',
    ):
        assert name(text, shop__conf=own) == "K"
        assert name(text, shop__conf=other) == ""
    assert name(own + 'SECRET_KEY = required("K")') == "K"
    assert name(other + 'SECRET_KEY = required("K")') == ""


def test_the_settings_are_those_that_the_app_runs_with():
    files = {"manage.py": MANAGE, "shop/wsgi.py": b'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "shop.production")'}
    assert settings_module(files.get, list(files)) == "shop.production"
    assert settings_module(files.get, list(files), "shop.staging") == "shop.staging"
    assert settings_module({"manage.py": MANAGE}.get, ["manage.py"]) == "shop.settings"
    assert (
        settings_module({"manage.py": b"os.environ['DJANGO_SETTINGS_MODULE'] = 'shop.other'"}.get, []) == "shop.other"
    )
    assert settings_module({}.get, []) == ""


def test_a_django_app_is_asked_for_what_it_reads():
    assert set(required_env({}, True, "APP_KEY")) == {"DATABASE_URL", "APP_KEY"}
    assert set(required_env({}, True, "")) == {"DATABASE_URL"}
    assert set(required_env({}, True)) == {"DATABASE_URL", "SECRET_KEY"}, "a slug of an earlier version"
