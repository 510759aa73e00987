"""The kinds of add-ons: each package of ``greenroom.addons`` with a module ``kind`` that defines ``KIND``."""

from __future__ import annotations

import importlib

from greenroom.addons.contract import Kind
from greenroom.addons.rules.services import folders
from greenroom.basics.errors import PlatformError


def kinds() -> tuple[Kind, ...]:
    """All kinds, by name."""
    return tuple(_load(name) for name in folders())


def kind(name: str) -> Kind:
    """The kind of ``Addon.kind``. PlatformError if its package is missing."""
    if name not in folders():
        raise PlatformError(f"Unknown add-on kind: {name[:40]!r}.", hint="greenroom doctor")
    return _load(name)


def _load(name: str) -> Kind:
    found: Kind = importlib.import_module(f"greenroom.addons.{name}.kind").KIND
    return found
