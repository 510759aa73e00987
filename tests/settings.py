"""Django settings of the suite: a home in a temporary folder and a PostgreSQL of its own."""

from __future__ import annotations

import os

from tests import homes, postgres

os.environ["GREENROOM_HOME"] = homes.own("GREENROOM_HOME", lambda: str(homes.folder("greenroom-test-")))
os.environ.setdefault("SECRET_KEY", "only-for-tests")
os.environ["DATABASE_URL"] = homes.own(
    "DATABASE_URL", postgres.unused if homes.hands_out() else postgres.start, shared=True
)  # roles belong to the whole server

from greenroom.project.settings import *  # noqa: F403
from greenroom.project.settings import DATABASES

DATABASES["default"] |= {"ENGINE": "tests.quick_flush", "OPTIONS": {}}
if homes.is_own("DATABASE_URL"):
    DATABASES["default"]["TEST"] = {"TEMPLATE": postgres.MIGRATED}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MIDDLEWARE = ["tests.schema.Witness", *MIDDLEWARE]  # noqa: F405
MAKE_ENGINE = "tests.engines.make_engine"
ACCOUNT_RATE = ADDRESS_RATE = PASSWORD_RATE = None
