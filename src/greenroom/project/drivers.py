"""Chooses the engine: ``local``, or the module in GREENROOM_ENGINE.

Such a module defines ``make_engine(home)``, and ``make_host_part()`` if the engine has processes on this machine.
"""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from greenroom.engine.contract import Engine
from greenroom.engine.host_part import HostPart, NoHostPart

SETTING = "GREENROOM_ENGINE"
LOCAL = "local"


def engine_name() -> str:
    """The name of the engine in this process's environment."""
    return os.environ.get(SETTING, "") or LOCAL


def make_engine(home: Path, name: str = "") -> Engine:
    """The engine of that name, else of the environment. ImportError for an unknown module."""
    name = name or engine_name()
    if name == LOCAL:
        from greenroom.engine.local.client import LocalEngine

        return LocalEngine(home)
    engine: Engine = import_module(name).make_engine(home)
    return engine


def make_host_part(name: str) -> HostPart:
    """That engine's part of the host. ImportError for an unknown module."""
    if name == LOCAL:
        from greenroom.engine.local.host_part import LocalHostPart

        return LocalHostPart()
    module = import_module(name)
    part: HostPart = module.make_host_part() if hasattr(module, "make_host_part") else NoHostPart()
    return part
