"""Commands that a release runs once, commands that are reported instead of run, and the initial number of dynos."""

from __future__ import annotations

import pytest

from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.app_files import read_settings
from greenroom.buildpacks.rules.release_commands import first_formation, migrates, release_commands, schema_notes

TYPES = {"web": "gunicorn a", "release": "python manage.py clearsessions"}
JSON = {
    "scripts": {"postdeploy": "python manage.py loaddata first"},
    "formation": {"web": {"quantity": 2}, "worker": {"quantity": 1}},
}


def commands(release=TYPES["release"], app_json=JSON, first=False, **policy):
    return release_commands(
        process_types={"web": "x", "release": release}, app_json=app_json, policy=policy, first=first
    )


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py migrate",
        "./manage.py migrate --noinput",
        "a && python manage.py migrate;b",
        "bash -c 'python manage.py migrate'",
        "(django-admin migrate shop 0001)",
        "python manage.py migrate 'open quote",
        "x|python manage.py migrate",
        "cd db && alembic -c alembic.ini upgrade head",
        "python -m alembic downgrade -1",
    ],
)
def test_a_command_that_migrates_is_seen(command):
    assert migrates(command)


@pytest.mark.parametrize(
    "command",
    [
        "python manage.py migrate --check",
        "python manage.py migrate --plan",
        "python manage.py clearsessions",
        "./migrate.sh",
        "echo immigrate",
        "",
    ],
)
def test_a_command_that_only_looks_is_not(command):
    assert not migrates(command)


@pytest.mark.rule("13.2")
def test_a_release_command_is_run_unless_it_migrates():
    (found,) = commands()
    assert (found.kind, found.text, found.skipped) == ("release", "python manage.py clearsessions", "")
    (found,) = commands("python manage.py migrate")
    assert "migrates the database" in found.skipped
    assert "migrate_in_release = true" in found.hint
    (found,) = commands("python manage.py migrate", migrate_in_release=True)
    assert not found.skipped


@pytest.mark.rule("14.2")
def test_the_postdeploy_script_belongs_to_the_first_deployment():
    assert [found.kind for found in commands(first=True)] == ["release", "postdeploy"]
    assert [found.kind for found in commands(first=False)] == ["release"]
    script = {"scripts": {"postdeploy": "python manage.py migrate"}}
    assert commands("", script, first=True)[0].skipped
    assert commands("", {}, first=True) == ()


def test_the_policy_is_true_or_false():
    assert read_settings(b"[policy]\nmigrate_in_release = true\n")["policy"] == {"migrate_in_release": True}
    for text in (b'"warn"', b"1"):
        with pytest.raises(BuildError, match="bool is expected"):
            read_settings(b"[policy]\nmigrate_in_release = " + text)
    with pytest.raises(BuildError):
        read_settings(b"[policy]\nhealth_timeout = true")


@pytest.mark.parametrize(
    "line",
    [
        "health_timeout = 0",
        "health_timeout = 601",
        "health_timeout = inf",
        "health_timeout = nan",
        "watch_seconds = -1",
        "watch_seconds = 301",
    ],
)
def test_seconds_of_the_policy_have_a_least_and_a_most(line):
    with pytest.raises(BuildError, match=r"a number of seconds from \d+ to \d+ is expected, found"):
        read_settings(f"[policy]\n{line}\n".encode())


def test_the_least_and_the_most_seconds_are_allowed():
    for line in ("health_timeout = 1", "health_timeout = 600", "watch_seconds = 0", "watch_seconds = 300"):
        assert read_settings(f"[policy]\n{line}\n".encode())["policy"]


@pytest.mark.rule("13.3", "14.3")
def test_an_app_begins_with_one_web_dyno_or_as_app_json_says():
    assert first_formation({"web": "a", "worker": "b", "release": "c"}, {}) == {"web": 1, "worker": 0}
    assert first_formation({"web": "a", "worker": "b", "other": "c"}, JSON) == {"web": 2, "worker": 1, "other": 0}
    assert first_formation({"other": "c"}, JSON) == {"other": 0}


def test_a_push_says_which_processes_would_change_the_schema():
    types = {"web": "python manage.py migrate && gunicorn x", "worker": "celery", "release": "python manage.py migrate"}
    shown = "\n".join(schema_notes("shop", types, {}))
    assert "Procfile, web: `python manage.py migrate && gunicorn x` migrates. The database allows this only" in shown
    assert "greenroom run -a shop python manage.py migrate" in shown
    assert "worker" not in shown
    assert schema_notes("shop", {"web": "gunicorn x"}, {}) == []
    assert 'schema_changes = "any"' in schema_notes("shop", types, {"schema_changes": "any"})[0]


def test_the_policy_on_schema_changes_has_one_value():
    assert read_settings(b'[policy]\nschema_changes = "any"\n')["policy"] == {"schema_changes": "any"}
    for text in (b'"warn"', b"true", b'"none"'):
        with pytest.raises(BuildError, match='"any" is expected'):
            read_settings(b"[policy]\nschema_changes = " + text)
