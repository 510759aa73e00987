"""Each room contains the same kinds of files; a file of no known kind is in the wrong place."""

from __future__ import annotations

import ast
from collections.abc import Iterable
from pathlib import Path

from greenroom.addons.rules.services import folders
from tests.source_trees import dotted, nodes, tree

ROOT = Path(__file__).parent.parent.parent / "src" / "greenroom"
NO_ROOMS = {"basics", "engine", "entrypoints", "project"}

ANYWHERE = {
    "__init__",
    "actions",
    "apps",
    "drivers",
    "errors",
    "inside",
    "loop",
    "migrations",
    "models",
    "queries",
    "rules",
}
FOLDERS_ONLY = {"drivers", "inside", "migrations"}

STEPS = {"builds", "checks", "deliveries"}
"""Rooms with ``steps``: long work in steps that may be repeated; a loop, often of a higher room, takes the next one."""

KINDS = {
    "checks": {"builtin"},
    "addons": set(folders()),
    "app_migrations": {"frameworks"},
    "sources": {"forges"},
    "webhooks": {"channels"},
}
"""Folders that contain one kind of several; the contract and the registry of a kind are next to them."""


def _rooms() -> list[Path]:
    return [path for path in sorted(ROOT.iterdir()) if (path / "__init__.py").exists() and path.name not in NO_ROOMS]


def misplaced(room: str, entries: Iterable[str]) -> list[str]:
    """The entries (``rules.py``, ``drivers/``) at the top of a room, or of a kind's folder, of no known kind."""
    allowed = ANYWHERE | KINDS.get(room, set()) | ({"steps"} if room in STEPS else set())
    allowed |= {"contract", "registry"} if room in KINDS else set()
    wrong = []
    for entry in entries:
        name = entry.removesuffix("/").removesuffix(".py")
        whole_folder = name in FOLDERS_ONLY | KINDS.get(room, set())
        if name not in allowed or (whole_folder and not entry.endswith("/")):
            wrong.append(f"{room}/{entry}")
    return wrong


def _entries(folder: Path) -> list[str]:
    return [
        f"{path.name}/" if path.is_dir() else path.name
        for path in sorted(folder.iterdir())
        if path.name != "__pycache__"
    ]


def test_a_room_holds_only_files_of_a_known_kind():
    assert [wrong for room in _rooms() for wrong in misplaced(room.name, _entries(room))] == []


def test_a_file_of_no_kind_is_found():
    assert misplaced("releases", ["models.py", "actions/", "helpers.py", "drivers.py", "steps.py", "postgres/"]) == [
        "releases/helpers.py",
        "releases/drivers.py",
        "releases/steps.py",
        "releases/postgres/",
    ]
    assert misplaced("builds", ["__init__.py", "steps/", "drivers/", "inside/"]) == []


def test_every_exception_is_needed():
    rooms = {room.name for room in _rooms()}
    assert rooms & NO_ROOMS == set()
    assert set(KINDS) | STEPS <= rooms
    assert [
        f"{room}/{kind}" for room, kinds in KINDS.items() for kind in kinds if not (ROOT / room / kind).is_dir()
    ] == []
    assert [room for room in STEPS if not list((ROOT / room).glob("steps*"))] == []


def _turners(path: Path) -> list[str]:
    """The classes of a module that have a method ``turn``."""
    return [
        node.name
        for node in tree(path).body
        if isinstance(node, ast.ClassDef)
        and any(isinstance(part, ast.FunctionDef) and part.name == "turn" for part in node.body)
    ]


def _loop_files(room: Path) -> list[Path]:
    return [path for path in (room / "loop.py", *sorted((room / "loop").glob("*.py"))) if path.exists()]


def test_each_loop_is_called_loop_and_turns():
    """``<room>/loop.py``, or ``loop/__init__.py``; a second loop of a room is another module of its package."""
    for room in _rooms():
        for path in _loop_files(room)[:1]:
            assert _turners(path) == ["Loop"], path


def test_the_worker_runs_each_loop_of_a_room():
    worker = (ROOT / "project" / "worker.py").read_text()
    for room in _rooms():
        if _loop_files(room):
            assert f"from greenroom.{room.name} import loop" in worker or f"from greenroom.{room.name}.loop" in worker


def test_only_the_worker_makes_loops():
    """It gets the loops of kinds of add-ons from their ``kind.py``."""
    makers = [
        str(path.relative_to(ROOT))
        for path in sorted(ROOT.rglob("*.py"))
        if "engine" not in path.relative_to(ROOT).parts  # its shim has an asyncio-free event loop of its own
        for node in nodes(path)
        if isinstance(node, ast.Call) and dotted(node.func).rpartition(".")[2] == "Loop"
    ]
    assert set(makers) <= {"project/worker.py", *(f"addons/{name}/kind.py" for name in folders())}
