"""The engine, for kinds whose resources are dynos."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.utils.module_loading import import_string

from greenroom.engine.contract import Engine


def engine(home: Path) -> Engine:
    """The engine of the installation, by the setting MAKE_ENGINE: the path of a function of the home."""
    found: Engine = import_string(settings.MAKE_ENGINE)(home)
    return found
