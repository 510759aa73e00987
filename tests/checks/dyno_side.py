"""Runs the dyno side of the checks as a child process, without a sandbox, and creates small apps for it."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

from greenroom.checks.drivers import tools
from greenroom.engine import artefacts

BIN = Path(sys.executable).parent
MANAGE = """import os, sys
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "conf.settings")
if __name__ == "__main__":
    from django.core.management import execute_from_command_line
    execute_from_command_line(sys.argv)
"""
SETTINGS = """import os
SECRET_KEY = "only-for-tests"
INSTALLED_APPS = ["shop"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.environ.get("DB", ":memory:")}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
MODELS = """from django.db import models
class Item(models.Model):
    name = models.CharField(max_length=20)
"""
MIGRATION = """from django.db import migrations, models
class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [migrations.CreateModel(name="Item", fields=[
        ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
        ("name", models.CharField(max_length=20)),
    ])]
"""
DJANGO = {
    "manage.py": MANAGE,
    "conf/__init__.py": "",
    "conf/settings.py": SETTINGS,
    "shop/__init__.py": "",
    "shop/models.py": MODELS,
    "shop/migrations/__init__.py": "",
    "shop/migrations/0001_initial.py": MIGRATION,
}


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write the files below the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def archive(target: Path, files: dict[str, str]) -> Path:
    """A tar file of the files, as git archive makes it."""
    with tarfile.open(target, "w") as tar:
        for name, text in files.items():
            source = target.parent / "member"
            source.write_text(text)
            tar.add(source, arcname=name)
    return target


def environment(**more: str) -> dict[str, str]:
    """A dyno's environment: only the path to Python and pytest comes from the caller."""
    return {"PATH": f"{BIN}:/usr/bin:/bin", "HOME": "/nonexistent", "PYTHONDONTWRITEBYTECODE": "1", **more}


def run(job: str, *, home: Path, cwd: Path, wish: dict[str, Any], **env: str) -> subprocess.CompletedProcess[str]:
    """Run one job of the runner. Its result is in ``home/out``."""
    (home / "out").mkdir(parents=True, exist_ok=True)
    folder = home / artefacts.path(tools.runner_mount(home).source)
    argv = [sys.executable, "-I", str(folder), job, str(home / "out")]
    return subprocess.run(
        argv, cwd=cwd, input=json.dumps(wish), text=True, capture_output=True, env=environment(**env), check=False
    )


def result(job: str, *, home: Path, cwd: Path, wish: dict[str, Any], **env: str) -> dict[str, Any]:
    """The result of one job. Without a result, the test fails with the job's output."""
    done = run(job, home=home, cwd=cwd, wish=wish, **env)
    path = home / "out" / "result.json"
    assert path.exists(), done.stdout + done.stderr
    return json.loads(path.read_text())
