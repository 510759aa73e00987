"""The supported migration frameworks: one package each, found by name. Other code uses this registry and names none.

Pure: a framework consists of facts and rules. Its programs in ``inside/`` run in a dyno; drivers read them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Iterable
from importlib import import_module

from greenroom.app_migrations.frameworks.kind import Framework


def every() -> list[Framework]:
    """All frameworks, by rank: the order of detection in apps and commands."""
    folders = [entry.name for entry in pkgutil.iter_modules(__path__) if entry.ispkg]
    found: list[Framework] = [import_module(f"{__name__}.{name}").FRAMEWORK for name in folders]
    return sorted(found, key=lambda framework: (framework.rank, framework.name))


def names() -> list[str]:
    """The names of all frameworks, by rank."""
    return [framework.name for framework in every()]


def find(name: str) -> Framework:
    """The framework of that name; the first one for an empty name. KeyError if it does not exist."""
    return {framework.name: framework for framework in every()}[name] if name else every()[0]


def of_code(*, is_django: bool, packages: Iterable[str]) -> str:
    """The name of the framework that code uses, first by rank; empty if it uses none."""
    installed = frozenset(packages)
    found = (framework.name for framework in every() if framework.is_used(is_django=is_django, packages=installed))
    return next(found, "")


def recognised(command: str) -> tuple[Framework, list[str]] | None:
    """(framework, arguments after its program) of a framework's plain command; None for any other command."""
    found = ((framework, framework.words(command)) for framework in every())
    return next(((framework, words) for framework, words in found if words), None)
