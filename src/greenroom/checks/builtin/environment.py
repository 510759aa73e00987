"""The environment of an app's checks: values from app.json and the app's settings module, but none of its secrets."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenroom.apps.models import App
from greenroom.checks.builtin import settings_reads
from greenroom.checks.builtin.results import tail
from greenroom.config_vars import queries as config_vars


def declared(app_json: Mapping[str, Any]) -> dict[str, str]:
    """app.json's ``env`` defaults with ``environments.test.env`` over them; ``generator: secret`` creates a
    new secret.
    """
    values: dict[str, str] = {}
    for source in (app_json.get("env"), section(app_json).get("env")):
        if isinstance(source, Mapping):
            values.update(filter(None, (_pair(key, entry) for key, entry in source.items())))
    return values


def _pair(key: str, entry: Any) -> tuple[str, str] | None:
    if isinstance(entry, Mapping):
        if entry.get("generator") == "secret":
            return key, secrets.token_hex(32)
        entry = entry.get("value")
    if entry is None or isinstance(entry, (Mapping, list)):
        return None
    return key, str(entry)


def section(app_json: Mapping[str, Any]) -> Mapping[str, Any]:
    """``environments.test`` of app.json, or an empty dict."""
    environments = app_json.get("environments")
    test = environments.get("test") if isinstance(environments, Mapping) else None
    return test if isinstance(test, Mapping) else {}


def scripts(app_json: Mapping[str, Any]) -> tuple[str, str]:
    """The commands ``test-setup`` and ``test`` of app.json, empty if missing."""
    found = section(app_json).get("scripts")
    found = found if isinstance(found, Mapping) else {}
    setup, test = found.get("test-setup"), found.get("test")
    return (setup if isinstance(setup, str) else ""), (test if isinstance(test, str) else "")


def ci(*, run_id: str, branch: str, sha: str, number: int) -> dict[str, str]:
    """The environment variables of Heroku CI."""
    return {
        "CI": "true",
        "HEROKU_TEST_RUN_ID": run_id,
        "HEROKU_TEST_RUN_BRANCH": branch,
        "HEROKU_TEST_RUN_COMMIT_VERSION": sha,
        "HEROKU_TEST_RUN_NUMBER": str(number),
        "CI_NODE_INDEX": "0",
        "CI_NODE_TOTAL": "1",
    }


SEEN = ("DJANGO_SETTINGS_MODULE", "DJANGO_CONFIGURATION", "DJANGO_ENV")
"""Config vars that checks may see: they select settings and contain no secrets."""

STAND_INS = {"CLOUDINARY_URL": "cloudinary://1:placeholder@placeholder"}
"""Config vars without which a library does not load. Checks get this value instead, if the app has the variable."""

PLAIN = re.compile(r"[A-Za-z_][\w.-]{0,200}\Z")


def seen(app: App, home: Path) -> dict[str, str]:
    """The app's current config vars that its checks may see, and stand-ins."""
    version = config_vars.latest(app)
    if version is None:
        return {}
    found = {name: value for name, value in STAND_INS.items() if name in version.names}
    if not set(SEEN) & set(version.names):
        return found
    values = config_vars.values(version, home)
    return found | {name: values[name] for name in SEEN if PLAIN.match(values.get(name, ""))}


PYTEST = ("pytest.ini", ".pytest.ini", "pyproject.toml", "setup.cfg", "tox.ini")
OWN = re.compile(r"^\s*DJANGO_SETTINGS_MODULE\s*=|--ds[= ]", re.MULTILINE)


def names_settings(folder: Path) -> bool:
    """Whether pytest's configuration sets the settings module; an environment variable would override it."""
    return any(OWN.search(tail(folder / name, 100_000)) for name in PYTEST)


def of_tests(
    *,
    app_json: Mapping[str, Any],
    is_django: bool,
    addons: Mapping[str, str],
    marks: Mapping[str, str],
    given: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    folder: Path | None = None,
) -> dict[str, str]:
    """All environment variables of a test run. A Django app without SECRET_KEY gets one for this run only.

    Precedence: addons (config vars of the run's own add-ons), given (the pipeline's config vars of stage test),
    app.json, settings (from ``seen``), dummy values for variables that the settings in ``folder`` (the slug's code)
    require.
    """
    fresh = {"SECRET_KEY": secrets.token_hex(32)} if is_django else {}
    reads = settings_reads.read(folder) if is_django and folder else {}
    return {
        **reads,
        **fresh,
        **(settings or {}),
        **declared(app_json),
        **(given or {}),
        **addons,
        **marks,
    }
