"""Starts a process that works on the suite's database, for tests that kill it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection as own

ROOT = Path(__file__).parent.parent


def start(script: str, home: Path, *words: object) -> subprocess.Popen:
    """Start ``script`` (relative to ``tests``) with the words and the home. Returns once it has printed ``ready``."""
    now = settings.DATABASES["default"]
    url = f"postgres://{now['USER']}:{quote(now['PASSWORD'])}@{now['HOST']}:{now['PORT']}/{own.settings_dict['NAME']}"
    env = {**os.environ, "DATABASE_URL": url, "GREENROOM_HOME": str(home), "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"}
    argv = [sys.executable, str(ROOT / "tests" / script), *map(str, words), str(home)]
    child = subprocess.Popen(argv, env=env, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert child.stdout.readline() == "ready\n"
    return child
