"""The cast: Alice owns ``shop``, Bob is a developer, Vera a viewer, Charlie has no access; ``cafe`` is Charlie's."""

from __future__ import annotations

import base64
import gc
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.models.signals import post_migrate
from django.urls import get_resolver
from hypothesis import HealthCheck, settings

from tests import hangs, neighbours
from tests.engine.machine import OPENED
from tests.stories.team import Installation

settings.register_profile("suite", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("suite")  # a slow machine is not a failure

ON_AN_INSTALLATION = ("tests/stories", "tests/contracts/heroku_cli")
SECONDS = 900
"""Timeout of a test on an installation, which it may have to start. Others use the one in pyproject.toml."""


SLOW = (
    "engine/test_toy_carries_an_app",
    "app_migrations/test_rehearsals",
    "builds/test_steps",
    "builds/test_overlays",
    "builds/test_poisoning",
    "engine/test_attach",
    "git/test_crashes",
    "builds/test_managers",
    "git/test_hostile",
    "api/test_permissions",
    "builds/test_crashes",
    "addons/test_kills",
    "checks/test_drive",
    "builds/test_slugs",
    "deliveries/test_hints",
    "app_migrations/test_rehearsal_kills",
    "git/test_push",
    "api/test_lists",
    "engine/test_survival",
    "builds/test_tools",
    "app_migrations/test_recorder",
    "checks/test_secrets",
    "engine/test_limits",
    "checks/test_scanners",
    "checks/test_run_scan",
    "checks/test_run_tests",
    "app_migrations/test_probe_contract",
    "api/test_fuzz",
    "addons/test_snapshots",
    "builds/test_seeds",
    "heroku_cli/test_pipelines",
    "stories/test_held",
    "stories/test_migration_kills",
    "stories/test_migration_scenarios",
    "stories/test_first_day",
    "heroku_cli/test_pg",
    "heroku_cli/test_core",
    "stories/test_without_loss",
    "stories/test_the_seed",
    "stories/test_gate_walk",
    "stories/test_host",
    "heroku_cli/test_settled",
)
"""The slowest files, in this order. They start first, so that no process is left with one of them at the end."""


def pytest_configure(config: pytest.Config) -> None:
    neighbours.watch(config)
    config.pluginmanager.register(hangs.Hangs())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow files first. Tests on an installation get a longer timeout."""
    neighbours.mark(items)
    places = {name: place for place, name in enumerate(SLOW)}
    items.sort(key=lambda item: places.get("/".join(item.path.with_suffix("").parts[-2:]), len(SLOW)))
    for item in items:
        if any(folder in str(item.path) for folder in ON_AN_INSTALLATION):
            item.add_marker(pytest.mark.timeout(SECONDS))


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None) -> None:
    """As in pytest-django. Afterwards, a flush does not create content types and permissions again, as it keeps them
    (tests/quick_flush).
    """
    from django.contrib.auth.management import create_permissions
    from django.contrib.contenttypes.management import create_contenttypes

    assert post_migrate.disconnect(
        create_permissions, dispatch_uid=f"{create_permissions.__module__}.create_permissions"
    )
    assert post_migrate.disconnect(create_contenttypes)


def pytest_collection_finish() -> None:
    """Exclude the thousands of collected tests from garbage collection, so that they are not scanned repeatedly."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def all_views() -> None:
    """Import all views of the API. A view imported later would keep values that a test put into ``routing``, such as
    its HOME.
    """
    get_resolver().url_patterns  # noqa: B018 - loads the URLconf


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


@pytest.fixture(scope="session")
def installation() -> Iterator[Installation]:
    """The one running installation of a test process, shared by stories and the Heroku CLI. It is stopped at the end.

    It has its own ports and home. Its operator allows webhooks, drains and sources to reach this machine, where the
    receivers are, and dynos to reach the neighbour of the engine's tests.
    """
    home = Path(tempfile.mkdtemp(prefix="greenroom-story-")) / "home"
    place = Installation(
        home=home,
        greenroom=Path(sys.executable).parent / "greenroom",
        extra_env={"GREENROOM_PRIVATE_TARGETS": "127.0.0.0/8", "GREENROOM_PRIVATE_EGRESS": OPENED.format(0) + ".0/16"},
        proxied=True,
    )
    place.up()
    try:
        yield place
    finally:
        place.down()
        shutil.rmtree(home.parent, ignore_errors=True)
