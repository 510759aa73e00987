"""The printed remedy for an upgrade with an external PostgreSQL works: with the shell of ``greenroom up`` and nothing
else.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from django.db.migrations.executor import MigrationExecutor

from greenroom.basics.errors import PlatformError
from greenroom.project import admin, bootstrap
from greenroom_cli.host.components import control_environment
from greenroom_cli.host.home import Installation


@pytest.fixture
def place(tmp_path):
    """A home with a name that needs shell quoting."""
    home = tmp_path / "my home"
    (home / "keys").mkdir(parents=True)
    (home / "keys" / "secret.key").write_text("its secret\n")
    (home / "keys" / "platform.password").write_text("p@ss/word\n")
    return home


def installed(home, postgres):
    (home / "installation.json").write_text(json.dumps({"postgres": postgres, "pg_port": 7003}))
    return Installation(postgres=postgres, pg_port=7003)


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"SECRET_KEY": "own"},
        {"DATABASE_URL": "postgres://u:p@db/x"},
        {"SECRET_KEY": "own", "DATABASE_URL": "postgres://u:p@db/x"},
    ],
)
def test_what_is_not_set_is_what_greenroom_up_gives(place, monkeypatch, given):
    install = installed(place, "external" if "DATABASE_URL" in given else "embedded")
    for name in ("SECRET_KEY", "DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    env = {**given, **admin.variables({**given, "GREENROOM_HOME": str(place)})}
    theirs = control_environment(place, install)
    assert env == {name: theirs[name] for name in ("GREENROOM_HOME", "SECRET_KEY", "DATABASE_URL")}


def test_an_external_database_is_asked_for(place):
    installed(place, "external")
    with pytest.raises(PlatformError, match="uses an external PostgreSQL") as error:
        admin.variables({"GREENROOM_HOME": str(place)})
    assert "export DATABASE_URL=" in error.value.hint


def test_a_home_that_is_none_and_a_key_that_cannot_be_read_are_named(place):
    with pytest.raises(PlatformError, match="No installation found in"):
        admin.variables({"GREENROOM_HOME": str(place)})
    installed(place, "embedded")
    (place / "keys" / "secret.key").unlink()
    with pytest.raises(PlatformError, match=r"Cannot read .*secret\.key"):
        admin.variables({"GREENROOM_HOME": str(place)})


@pytest.mark.neighbours
@pytest.mark.django_db
def test_the_hint_of_a_pending_migration_runs_as_it_stands(place, monkeypatch):
    installed(place, "external")
    migration = type("Migration", (), {"app_label": "apps", "name": "0099_more"})
    monkeypatch.setattr(MigrationExecutor, "migration_plan", lambda *_: [(migration, False)])
    with pytest.raises(PlatformError, match=r"1 migrations of Greenroom are pending: apps\.0099_more") as error:
        bootstrap._schema({"postgres": "external"}, place)
    command = re.search(r"GREENROOM_HOME=.* greenroom-admin migrate", error.value.hint)[0]
    (setting, *words) = shlex.split(command)
    assert words == ["greenroom-admin", "migrate"]
    env = {
        key: value
        for key, value in os.environ.items()
        if key not in ("SECRET_KEY", "DJANGO_SETTINGS_MODULE", "GREENROOM_HOME", "DATABASE_URL")
    }
    env |= {"PYTHONPATH": str(Path(admin.__file__).parents[2]), "GREENROOM_HOME": setting.partition("=")[2]}
    argv = [sys.executable, "-c", "from greenroom.project.admin import main; main()", "check"]
    done = subprocess.run(
        argv, env=env | {"DATABASE_URL": "postgres://u:p@127.0.0.1:1/x"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    refused = subprocess.run(argv, env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 1
    assert refused.stderr.startswith("greenroom-admin: DATABASE_URL is not set, and the installation in ")
    assert "Traceback" not in refused.stderr
