"""Decides which config vars an app's installers may read, and which values to mask in build output. Pure.

Hooks, NLTK and collectstatic have all config vars, as on Heroku. An installer has those of its index and those that a
user has put on the app's list.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from greenroom.basics.ids import CONFIG_KEY
from greenroom.buildpacks.rules.dyno_environment import BUILD_BLOCKED
from greenroom.builds.rules import CREDENTIALS, SHORTEST, secret_words

SETTING = "build_vars"
"""The key of the list in ``App.settings``."""
MOST = 100
SECRET_WORDS = frozenset(
    {
        "SECRET",
        "SECRETS",
        "PASSWORD",
        "PASSWORDS",
        "PASSWD",
        "PASSPHRASE",
        "PASS",
        "PWD",
        "TOKEN",
        "TOKENS",
        "KEY",
        "KEYS",
        "APIKEY",
        "CREDENTIAL",
        "CREDENTIALS",
        "DSN",
        "SALT",
        "PRIVATE",
        "SIGNATURE",
    }
)
"""A config var with one of these words in its name is a secret."""
PLAIN_WORDS = frozenset(
    {
        "true",
        "false",
        "none",
        "null",
        "auto",
        "test",
        "debug",
        "info",
        "warning",
        "error",
        "local",
        "localhost",
        "default",
        "production",
        "staging",
        "development",
        "example",
    }
)
"""Values that are never secret, whatever their name; masking them would make the output unreadable."""
SHORTEST_LINE = 8
UV = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_FIND_LINKS": "UV_FIND_LINKS",
    "PIP_TRUSTED_HOST": "UV_INSECURE_HOST",
    "PIP_NO_INDEX": "UV_NO_INDEX",
    "PIP_PRE": "UV_PRERELEASE",
    "PIP_DEFAULT_TIMEOUT": "UV_HTTP_TIMEOUT",
}
"""pip's settings, and uv's equivalents, since uv replaces pip here."""


def names(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """The names on the list, sorted."""
    found = settings.get(SETTING)
    return tuple(sorted(str(name) for name in found)) if isinstance(found, list) else ()


def changed(settings: Mapping[str, Any], *, add: Iterable[str], remove: Iterable[str]) -> dict[str, Any]:
    """The settings with the changed list; without the key if the list is empty."""
    left = sorted((set(names(settings)) | set(add)) - set(remove))
    rest = {key: value for key, value in settings.items() if key != SETTING}
    return {**rest, SETTING: left} if left else rest


def problem(name: str) -> str:
    """Why a name cannot be on the list; empty if it can."""
    if not CONFIG_KEY.match(name):
        return f"{name[:80]!r} is not a valid config var name: use letters, digits and _, and no digit first."
    if name in BUILD_BLOCKED:
        return f"{name} never reaches a build: it would break the installer itself."
    return ""


def values(config: Mapping[str, str], listed: Collection[str], manager: str) -> dict[str, str]:
    """The config vars on the list, as the installer takes them: pip's settings also as uv's, where uv replaces pip."""
    found = {key: config[key] for key in sorted(listed) if key in config}
    return {**_for_uv(found), **found} if manager == "pip" else found


def _for_uv(found: Mapping[str, str]) -> dict[str, str]:
    made = {UV[key]: " ".join(value.split()) for key, value in found.items() if key in UV}
    if "UV_PRERELEASE" in made:
        made["UV_PRERELEASE"] = (
            "if-necessary-or-explicit" if made["UV_PRERELEASE"].lower() in ("", "0", "false", "no") else "allow"
        )
    return made


def hidden(config: Mapping[str, str], listed: Collection[str]) -> tuple[str, ...]:
    """Values to mask in build output: those on the list, those with a secret name, and passwords in URLs."""
    words = set(secret_words(config.values()))
    for key, value in config.items():
        if key in listed or is_secret(key):
            words |= _shown_forms(value, key in listed)
    return tuple(words)


def _shown_forms(value: str, listed: bool) -> set[str]:
    """The value; for a value of several lines, each long enough line. Nothing for a URL on the list, whose credentials
    are masked anyway.
    """
    text = value.strip()
    if listed and re.match(r"[a-z][a-z0-9+.-]*://", text) and not CREDENTIALS.search(text):
        return set()
    lines = [line.strip() for line in text.splitlines()]
    found = {text} if len(lines) == 1 else {line for line in lines if len(line) >= SHORTEST_LINE}
    return {word for word in found if len(word) >= SHORTEST and word.lower() not in PLAIN_WORDS}


def is_secret(name: str) -> bool:
    """Whether the name of a config var indicates a secret: SECRET_KEY, API_TOKEN, DB_PASSWORD."""
    return bool(SECRET_WORDS & set(re.split(r"[^A-Z]+", name.upper()))) or any(
        word in name.upper() for word in ("SECRET", "PASSWORD", "TOKEN")
    )
