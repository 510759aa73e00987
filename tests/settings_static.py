"""Settings for tools that analyse the code without a database: type checker and makemigrations."""

from __future__ import annotations

import os

os.environ.setdefault("GREENROOM_HOME", "/nonexistent")
os.environ.setdefault("SECRET_KEY", "only-for-tools")
os.environ.setdefault("DATABASE_URL", "postgres://nobody:nothing@127.0.0.1:1/none")

from greenroom.project.settings import *  # noqa: F403
