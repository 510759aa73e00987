"""Builds the recorder script for a dyno's standard input, which needs no installation or mount, and reads its
output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from greenroom.app_migrations import frameworks
from greenroom.app_migrations.drivers.probes import program
from greenroom.app_migrations.frameworks.kind import Framework, Rehearsal
from greenroom.basics import health_check
from greenroom.checks.builtin.results import left_json, why_ended
from greenroom.engine.contract import DynoState, Engine

FILE = "rehearsal.json"
PACKAGE = "greenroom_recorder"
INSIDE = Path(__file__).parent.parent / "inside"
LOADER = """import json, sys, types
sys.dont_write_bytecode = True
def load(name, source, package):
    module = sys.modules[name] = types.ModuleType(name)
    module.__package__ = package
    if name == package:
        module.__path__ = []
    exec(compile(source, name + ".py", "exec"), module.__dict__)
    if "." in name:
        setattr(sys.modules[package], name.rpartition(".")[2], module)
    return module
"""


CELL = INSIDE / "web_probe.py"
PLAN = INSIDE.parent.parent / "checks" / "inside" / "plan.py"


def _rehearsed(framework: str) -> tuple[Framework, Rehearsal]:
    found = frameworks.find(framework)
    if found.rehearsal is None:
        raise ValueError(f"{found.title} cannot be rehearsed")
    return found, found.rehearsal


@lru_cache
def _cell_sources() -> str:
    named = {"asking": Path(health_check.__file__), "cell": CELL}
    return (
        LOADER
        + "\n".join(f"{name} = load({f'greenroom_{name}'!r}, {path.read_text()!r}, '')" for name, path in named.items())
        + "\n"
    )


def cell_script(job: Mapping[str, Any]) -> bytes:
    """Script for a dyno that tries one release on a copy. job: {web, smoke, port, path, host, known, patience}."""
    return (_cell_sources() + f"cell.main(sys.argv, json.loads({json.dumps(job)!r}), asking)\n").encode()


@lru_cache
def _tests_sources(framework: str) -> str:
    found, programs = _rehearsed(framework)
    named = {"probe": program(found, found.probe), "plan": PLAN, "cell": CELL, "tests": program(found, programs.tests)}
    return (
        LOADER
        + "\n".join(f"{name} = load({f'greenroom_{name}'!r}, {path.read_text()!r}, '')" for name, path in named.items())
        + "\n"
    )


def tests_script(framework: str, job: Mapping[str, Any]) -> bytes:
    """Script for a dyno that runs an app's tests on a copy. job: {command, database, seconds}."""
    return (
        _tests_sources(framework) + f"tests.main(sys.argv, json.loads({json.dumps(job)!r}), plan, probe, cell)\n"
    ).encode()


@lru_cache
def _sources(framework: str) -> str:
    found, programs = _rehearsed(framework)
    package, probe = repr(PACKAGE), repr("greenroom_probe")
    lines = [f"load({package}, '', {package})"]
    for path in (program(found, name) for name in programs.recorder):
        lines.append(f"recorder = load({f'{PACKAGE}.{path.stem}'!r}, {path.read_text()!r}, {package})")
    lines.append(f"probe = load({probe}, {program(found, found.probe).read_text()!r}, '')")
    return LOADER + "\n".join(lines) + "\n"


def script(framework: str, job: Mapping[str, Any]) -> bytes:
    """The script for the dyno's standard input. job: as ``Recorder`` takes it; must not contain secrets."""
    call = f"recorder.main(sys.argv, json.loads({json.dumps(job)!r}), probe)\n"
    return (_sources(framework) + call).encode()


def answer(*, engine: Engine, state: DynoState) -> dict[str, Any]:
    """The output of an ended recorder dyno. Status ``error`` if it is incomplete; the measurements so far are kept."""
    found = left_json(engine, state.id, FILE)
    if found is None or found.get("status") not in ("ok", "failed", "error"):
        kept = found if isinstance(found, dict) else {}
        return {**kept, "status": "error", "detail": f"the recorder did not finish: {why_ended(state)}"}
    return found
