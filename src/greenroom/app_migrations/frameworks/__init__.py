"""The frameworks whose migrations Greenroom knows: one folder each, found by its name. Code outside asks this registry
and names no framework.

Pure: a framework is facts and decisions about words. Its programs in ``inside/`` run in a dyno; drivers read them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module

from greenroom.app_migrations.frameworks.kind import Framework


def every() -> list[Framework]:
    """All frameworks, by rank: the order in which an app's framework and a command are recognised."""
    folders = [entry.name for entry in pkgutil.iter_modules(__path__) if entry.ispkg]
    found: list[Framework] = [import_module(f"{__name__}.{name}").FRAMEWORK for name in folders]
    return sorted(found, key=lambda framework: (framework.rank, framework.name))


def names() -> list[str]:
    """The names of all frameworks, by rank."""
    return [framework.name for framework in every()]


def find(name: str) -> Framework:
    """The framework of that name; the first one for an empty name. KeyError if there is none."""
    return {framework.name: framework for framework in every()}[name] if name else every()[0]


def of_code(*, is_django: bool, packages: Iterable[str]) -> str:
    """The name of the framework that code uses; empty if it uses none. The first one has code that uses several."""
    installed = frozenset(packages)
    found = (framework.name for framework in every() if framework.is_used(is_django=is_django, packages=installed))
    return next(found, "")


def recognised(command: str) -> tuple[Framework, list[str]] | None:
    """(framework, the words after its program) of a plain command of a framework; None for any other command."""
    found = ((framework, framework.words(command)) for framework in every())
    return next(((framework, words) for framework, words in found if words), None)
