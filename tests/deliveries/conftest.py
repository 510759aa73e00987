"""Fixtures for tests of deliveries."""

from __future__ import annotations

import pytest

from greenroom.slugs import actions as slugs
from tests.deliveries.world import World


@pytest.fixture
def world(alice, shop, home, settings, monkeypatch):
    """The app ``shop`` with helper methods; slugs need no files, and releases are not watched after the switch."""
    monkeypatch.setattr("greenroom.deliveries.steps.intact", lambda *_: True)
    monkeypatch.setenv("GREENROOM_WATCH_SECONDS", "0")
    monkeypatch.setattr(slugs, "intact", lambda *_: True)
    return World(alice, shop, home, settings.INSTALLATION)
