"""Chooses the engine: ``local``, or the module in GREENROOM_ENGINE.

Such a module defines ``make_engine(home)``.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from greenroom.engine.contract import Engine
from greenroom.engine.local.client import LocalEngine

SETTING = "GREENROOM_ENGINE"


def make_engine(home: Path) -> Engine:
    """The engine of this installation. ImportError for an unknown module."""
    name = os.environ.get(SETTING, "") or "local"
    if name == "local":
        return LocalEngine(home)
    engine: Engine = import_module(name).make_engine(home)
    return engine
