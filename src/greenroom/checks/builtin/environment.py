"""The environment in which an app's tests run: what app.json says of it, and nothing of the app's config vars."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

UNREACHABLE = "postgres://nobody:nothing@127.0.0.1:1/nothing"
"""A database URL for commands that import settings but need no database."""


def declared(app_json: Mapping[str, Any]) -> dict[str, str]:
    """app.json's ``env`` defaults with ``environments.test.env`` over them; ``generator: secret`` gives a fresh secret."""
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
    """``environments.test`` of app.json, or an empty map."""
    environments = app_json.get("environments")
    test = environments.get("test") if isinstance(environments, Mapping) else None
    return test if isinstance(test, Mapping) else {}


def scripts(app_json: Mapping[str, Any]) -> tuple[str, str]:
    """The commands ``test-setup`` and ``test`` of app.json; empty where there is none."""
    found = section(app_json).get("scripts")
    found = found if isinstance(found, Mapping) else {}
    setup, test = found.get("test-setup"), found.get("test")
    return (setup if isinstance(setup, str) else ""), (test if isinstance(test, str) else "")


def ci(*, run_id: str, branch: str, sha: str, number: int) -> dict[str, str]:
    """The variables by which Heroku CI makes itself known."""
    return {
        "CI": "true",
        "HEROKU_TEST_RUN_ID": run_id,
        "HEROKU_TEST_RUN_BRANCH": branch,
        "HEROKU_TEST_RUN_COMMIT_VERSION": sha,
        "HEROKU_TEST_RUN_NUMBER": str(number),
        "CI_NODE_INDEX": "0",
        "CI_NODE_TOTAL": "1",
    }


def of_tests(
    *, app_json: Mapping[str, Any], is_django: bool, database_url: str, marks: Mapping[str, str], given: Mapping[str, str] | None = None
) -> dict[str, str]:
    """All variables of a test run. A Django app that was given no SECRET_KEY gets one that holds for this run alone.

    given: what the app's pipeline sets for its tests; it goes before app.json.
    """
    fresh = {"SECRET_KEY": secrets.token_hex(32)} if is_django else {}
    return {**fresh, **declared(app_json), **(given or {}), "DATABASE_URL": database_url, **marks}
