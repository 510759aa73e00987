"""Reads and decrypts config vars."""

from __future__ import annotations

import json
from pathlib import Path

from greenroom.apps.models import App
from greenroom.config_vars.drivers.encryption import master_key, unseal
from greenroom.config_vars.models import ConfigVersion, DataKey


def latest(app: App) -> ConfigVersion | None:
    """The newest version, or None before the first."""
    return ConfigVersion.objects.filter(app=app).order_by("-number").first()


def open_data_key(row: DataKey, home: Path) -> bytes:
    """The decrypted data key of the app."""
    return unseal(master_key(home), bytes(row.wrapped), f"data-key/{row.app_id}")


def values(version: ConfigVersion, home: Path) -> dict[str, str]:
    """The decrypted map of a version. Callers must pass it only to a sandbox or to an authorized user."""
    key = open_data_key(DataKey.objects.get(app_id=version.app_id), home)
    return json.loads(unseal(key, bytes(version.sealed), f"config/{version.app_id}/{version.number}"))
