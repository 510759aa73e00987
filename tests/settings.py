"""Django settings of the suite: a home in a temporary folder and a PostgreSQL of its own."""

from __future__ import annotations

import os
import tempfile

from tests import postgres

os.environ.setdefault("GREENROOM_HOME", tempfile.mkdtemp(prefix="greenroom-test-"))
os.environ.setdefault("SECRET_KEY", "only-for-tests")
if "DATABASE_URL" not in os.environ:
    os.environ["DATABASE_URL"] = postgres.start()

from greenroom.project.settings import *  # noqa: F403
from greenroom.project.settings import DATABASES

DATABASES["default"]["OPTIONS"] = {}
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
MIDDLEWARE = ["tests.schema.Witness", *MIDDLEWARE]  # noqa: F405
ACCOUNT_RATE = ADDRESS_RATE = PASSWORD_RATE = None
