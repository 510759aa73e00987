"""One machine per mode for the whole run; tests that break it make their own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.engine.machine import IS_ROOT, MODES, Machine
from tests.engine.neighbour import Neighbour, started

ONE_MODE = {"test_attach.py", "test_forward_tls.py", "test_long_lived.py", "test_stopping.py"}
"""Files whose subject does not depend on the user that dynos run as: they run as root only, where the suite is root.
The contract suite tests each verb in both modes.
"""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the second mode of the files in ONE_MODE."""
    out = [item for item in items if IS_ROOT and item.path.name in ONE_MODE and f"[{MODES[-1]}" in item.name]
    if out:
        config.hook.pytest_deselected(items=out)
        items[:] = [item for item in items if item not in out]


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


@pytest.fixture(scope="session")
def neighbour() -> Iterator[Neighbour]:
    """Another machine in a private network that the operator has opened."""
    if not IS_ROOT:
        pytest.skip("needs root")
    with started() as it:
        yield it
