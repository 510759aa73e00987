"""The cast: Alice owns ``shop``, Bob may push to it, Vera may look, Charlie may not; ``cafe`` is somebody else's."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with a master key and nothing else."""
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "master.key").write_text(base64.b64encode(os.urandom(32)).decode())
    return tmp_path


def _actor(email: str, admin: bool = False):
    from greenroom.accounts import actions
    from greenroom.accounts.queries import actor_of
    from greenroom.accounts.rules import PLATFORM

    return actor_of(actions.create_account(actor=PLATFORM, email=email, password="correct horse", is_admin=admin))


@pytest.fixture
def alice(db):
    return _actor("alice@example.com")


@pytest.fixture
def bob(db):
    return _actor("bob@example.com")


@pytest.fixture
def vera(db):
    return _actor("vera@example.com")


@pytest.fixture
def charlie(db):
    return _actor("charlie@example.com")


@pytest.fixture
def shop(alice, bob, vera):
    from greenroom.apps import actions

    app = actions.create(actor=alice, name="shop")
    actions.add_collaborator(actor=alice, app=app, email=bob.email, role="developer")
    actions.add_collaborator(actor=alice, app=app, email=vera.email, role="viewer")
    return app


@pytest.fixture
def cafe(charlie):
    from greenroom.apps import actions

    return actions.create(actor=charlie, name="cafe")
