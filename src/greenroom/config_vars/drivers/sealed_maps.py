"""Encrypted maps of config vars outside of releases: for test runs of a pipeline and initial values of review apps."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path

from greenroom.apps.models import App
from greenroom.config_vars.drivers.encryption import master_key, seal, unseal

TEST_CONFIG = "test_config"
"""The key in ``App.settings`` with the encrypted map for an app's test runs, in base64."""


def sealed_map(values: Mapping[str, str], *, place: str, home: Path) -> bytes:
    """Encrypt the map; it can be decrypted for the same ``place`` only."""
    return seal(master_key(home), json.dumps(dict(values), sort_keys=True).encode(), place)


def open_map(sealed: bytes, *, place: str, home: Path) -> dict[str, str]:
    """Decrypt the result of ``sealed_map``; {} for no bytes. PlatformError when it was changed or moved."""
    return json.loads(unseal(master_key(home), bytes(sealed), place)) if sealed else {}


def with_test_config(app: App, values: Mapping[str, str], home: Path) -> dict[str, object]:
    """The app's settings with this map for its test runs; without the key when the map is empty."""
    rest = {key: value for key, value in app.settings.items() if key != TEST_CONFIG}
    if not values:
        return rest
    return {**rest, TEST_CONFIG: base64.b64encode(sealed_map(values, place=_place(app), home=home)).decode()}


def for_tests(app: App, home: Path) -> dict[str, str]:
    """The config vars for the app's test runs, in plaintext."""
    text = app.settings.get(TEST_CONFIG, "")
    return open_map(base64.b64decode(text), place=_place(app), home=home) if text else {}


def _place(app: App) -> str:
    return f"test-config/{app.id}"
