"""Tests of the double's controls for tests, beyond the contract."""

from __future__ import annotations

import pytest

from greenroom.engine.contract import DynoSpec, Output
from greenroom.engine.errors import EngineError
from greenroom.engine.memory import FAILS, MemoryEngine, Outcome


def _spec(**values: object) -> DynoSpec:
    given = {
        "id": "web.1",
        "kind": "web",
        "owner": "alice",
        "uid": 1,
        "process": "web.1",
        "command": ("x",),
        "port": 5000,
    }
    return DynoSpec(**{**given, **values})  # type: ignore[arg-type]


def test_by_default_web_dynos_serve_and_others_succeed() -> None:
    engine = MemoryEngine()
    assert engine.start(_spec()).listening
    assert engine.start(_spec(id="b", kind="build", port=0)).exit_code == 0


def test_a_script_decides_by_the_spec() -> None:
    engine = MemoryEngine(lambda spec: FAILS if spec.kind == "test" else Outcome(refuses="the disk is full"))
    assert engine.start(_spec(id="t", kind="test", port=0)).exit_code == 1
    with pytest.raises(EngineError, match="disk is full"):
        engine.start(_spec())
    assert engine.describe("web.1") is None


def test_a_dyno_crashes_is_lost_binds_late_and_serves_when_the_test_says_so() -> None:
    engine = MemoryEngine(lambda spec: Outcome(listens=False))
    assert not engine.start(_spec()).listening
    engine.bind("web.1")
    engine.serve("web.1", 3)
    state = engine.describe("web.1")
    assert state
    assert (state.listening, state.active) == (True, 3)
    engine.lose("web.1")
    assert engine.describe("web.1").phase == "lost"  # type: ignore[union-attr]


def test_an_attached_dyno_waits_for_its_client() -> None:
    engine = MemoryEngine(lambda spec: Outcome(exit_code=4, output=b"hi"))
    assert engine.start(_spec(attach=True, kind="run", port=0, output=True)).phase == "starting"
    engine.attach("web.1")
    assert engine.describe("web.1").exit_code == 4  # type: ignore[union-attr]
    assert engine.output("web.1", 0) == Output(data=b"hi", size=2, more=False)


def test_a_draining_dyno_ends_with_its_last_connection_or_when_its_time_is_over() -> None:
    engine = MemoryEngine()
    for name in ("web.1", "web.2"):
        engine.start(_spec(id=name))
        engine.serve(name, 1)
        engine.signal(name, "DRAIN")
    engine.serve("web.1", 0)
    assert [state.phase for state in engine.list()] == ["exited", "running"]
    engine.pass_drain()
    assert engine.describe("web.2").exit_code == 143  # type: ignore[union-attr]
