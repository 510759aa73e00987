"""The fixtures ``machine``, a real local engine whose home has the master key, and ``place``, its home."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.engine.machine import MODES, Machine

MACHINES: dict[str, Machine] = {}


def make_engine(home):
    """The engine of the test."""
    return MACHINES["now"].engine


@pytest.fixture(params=MODES)
def machine(request, settings, home) -> Iterator[Machine]:
    settings.MAKE_ENGINE = f"{__name__}.make_engine"
    MACHINES["now"] = machine = Machine(request.param)
    shutil.copytree(home / "keys", Path(machine.home) / "keys")
    settings.HOME = Path(machine.home)
    try:
        yield machine
    finally:
        machine.close()


@pytest.fixture
def place(machine) -> Path:
    return Path(machine.home)
