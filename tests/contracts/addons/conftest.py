"""The kinds of add-ons under contract test: all of the registry, and a toy kind from a temporary folder."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import greenroom.addons
from greenroom.addons import actions, queries, registry
from greenroom.addons.models import Addon
from greenroom.addons.rules.services import folders
from tests.contracts.addons import toy

TOY = "parrot"


@pytest.fixture
def parrots(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The toy kind's folder, on the registry's search path."""
    place = tmp_path_factory.mktemp("kinds")
    folder = place / TOY
    folder.mkdir()
    for name, text in toy.FILES.items():
        (folder / name).write_text(text)
    greenroom.addons.__path__.append(str(place))
    importlib.invalidate_caches()
    try:
        yield folder
    finally:
        greenroom.addons.__path__.remove(str(place))
        for name in [name for name in sys.modules if name.startswith(f"greenroom.addons.{TOY}")]:
            del sys.modules[name]
        if hasattr(greenroom.addons, TOY):
            delattr(greenroom.addons, TOY)


@pytest.fixture(params=[*folders(), TOY])
def kind(request: pytest.FixtureRequest, settings, home):
    """Each kind in turn."""
    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}
    settings.HOME = home
    if request.param == TOY:
        request.getfixturevalue("parrots")
    return registry.kind(request.param)


@pytest.fixture
def addon(kind, alice, shop, home) -> Iterator[Addon]:
    """An add-on of the kind for Alice's app, ready for use."""
    row, _ = actions.provision(actor=alice, app=shop, home=home, kind=kind.service.kind)
    while row.state != "provisioned":
        actions.finish(addon=row, home=home)
    yield row
    actions.deprovision(addon=row, home=home)


def environment_of(addon: Addon, home: Path, access: str) -> dict[str, str]:
    """The add-on's config vars in a dyno with that access."""
    return queries.environment(queries.values_of(addon.app, home), app=addon.app, home=home, access=access)
