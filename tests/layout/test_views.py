"""A view parses the call, calls one action or query of a room, and renders the result. It orchestrates nothing."""

from __future__ import annotations

import ast
from pathlib import Path

from greenroom.addons.rules.services import folders

ROOT = Path(__file__).parent.parent.parent / "src" / "greenroom"
API = ROOT / "entrypoints" / "api"
NO_ROOMS = {"basics", "entrypoints"}
KINDS = {"actions", "errors", "models", "queries", "rules"}
"""The kinds of files of a room that a view may import. Drivers, steps, loops and contracts belong to the room."""
FOLDERS = {f"addons.{name}" for name in folders()}
"""Folders of one kind of add-on with an API of its own; the same kinds of files in it may be imported."""
REGISTRIES = {"addons.registry", "sources.forges"}
ENGINE = {"drivers.py": {"engine.contract.Engine"}}
"""The file with the engine for the actions; views pass it on and call none of its methods."""
ORCHESTRATION = {"wake", "atomic", "transaction", "lock_app", "lock_apps", "lock_found", "select_for_update"}
"""Waking the worker, transactions and locks are parts of an action. So is the audit log, see ``is_allowed``."""


def room_imports(tree: ast.AST) -> set[str]:
    """The dotted names below ``greenroom`` that a module imports from rooms and from the engine."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    inner = {name.removeprefix("greenroom.") for name in found if name.startswith("greenroom.")}
    return {name for name in inner if "." in name and name.partition(".")[0] not in NO_ROOMS}


def is_allowed(name: str) -> bool:
    """Whether a view may import the name, for example ``apps.queries.authorise``."""
    parts = name.split(".")
    if name == "accounts.actions.audit":
        return False
    if any(name == one or name.startswith(f"{one}.") for one in REGISTRIES):
        return True
    if ".".join(parts[:2]) in FOLDERS:
        parts = parts[1:]
    return len(parts) > 1 and parts[1] in KINDS


def orchestrates(tree: ast.AST) -> set[str]:
    """The names of ORCHESTRATION that a module imports or uses."""
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    names |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
    return names & ORCHESTRATION


def _modules() -> dict[str, ast.Module]:
    return {path.name: ast.parse(path.read_text()) for path in sorted(API.glob("*.py"))}


def test_the_api_imports_only_actions_queries_models_rules_and_errors_of_rooms():
    found = {
        f"{name}: {one}"
        for name, tree in _modules().items()
        for one in room_imports(tree)
        if not is_allowed(one) and one not in ENGINE.get(name, set())
    }
    assert not found


def test_the_api_wakes_nobody_and_opens_no_transaction():
    assert {name: found for name, tree in _modules().items() if (found := orchestrates(tree))} == {}


def test_the_imports_of_the_rooms_are_seen():
    found = {one for tree in _modules().values() for one in room_imports(tree)}
    assert len(found) > 100
    assert {one.partition(".")[0] for one in found} > {"accounts", "addons", "apps", "deliveries", "pipelines"}


def test_a_planted_view_that_orchestrates_is_found():
    text = """
from django.db import transaction
from greenroom.accounts.actions import audit
from greenroom.addons.postgres.drivers import server
from greenroom.apps.actions import lock_apps
from greenroom.builds.drivers import cache_budget
from greenroom.deliveries import actions
from greenroom.engine.contract import DynoSpec
from greenroom.addons.postgres import kind, queries
from greenroom.releases import loop

def view(call):
    with transaction.atomic():
        lock_apps([call.app.pk])
    actions.wake()
"""
    tree = ast.parse(text)
    assert {one for one in room_imports(tree) if not is_allowed(one)} == {
        "accounts.actions.audit",
        "addons.postgres.drivers.server",
        "addons.postgres.kind",
        "builds.drivers.cache_budget",
        "engine.contract.DynoSpec",
        "releases.loop",
    }
    assert orchestrates(tree) == {"transaction", "atomic", "lock_apps", "wake"}
