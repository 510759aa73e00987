"""One machine per mode for the whole run; tests that break it make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.machine import IS_ROOT, MODES, Machine


@pytest.fixture(scope="session", params=MODES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """As root, and as an ordinary user."""
    it = Machine(request.param)
    yield it
    it.close()


@pytest.fixture(scope="session")
def root_machine() -> Iterator[Machine]:
    """As root only: for tests that need a uid per app."""
    if not IS_ROOT:
        pytest.skip("needs root")
    it = Machine("root")
    yield it
    it.close()


@pytest.fixture(params=MODES)
def own_machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """A machine for one test that breaks it."""
    it = Machine(request.param)
    yield it
    it.close()
