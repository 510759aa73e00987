"""One machine for each module, and an app on it."""

from __future__ import annotations

import pytest

from tests.builds.hosting import Machine, Workshop


@pytest.fixture(scope="module")
def machine():
    it = Machine()
    yield it
    it.close()


@pytest.fixture
def workshop(shop, machine):
    return Workshop(shop, machine)
