"""Tests of starting a shim: it is independent of the supervisor once it has its order."""

from __future__ import annotations

import os
import select
from pathlib import Path
from typing import Any

import pytest

from greenroom.engine.local import spawn


def test_the_shim_is_in_its_control_groups_before_it_may_start_the_dyno(tmp_path: Path, monkeypatch: Any) -> None:
    """If it were moved later, it could leave the dyno's groups while the dyno starts: a dyno without limits."""
    pipes: list[int] = []
    ordered: list[bool] = []

    def start(dyno_id: str, order: dict[str, Any], order_out: int, ready_in: int) -> int:
        pipes.append(os.dup(order_out))
        os.write(ready_in, b"+")
        return os.getpid()

    def house(pid: int, groups: list[str]) -> None:
        ordered.append(bool(select.select(pipes, [], [], 0)[0]))

    monkeypatch.setattr(spawn, "_spawn", start)
    monkeypatch.setattr(spawn, "_house", house)
    spawn.shim("t1", {"folder": str(tmp_path), "state": {}, "leave": ["groups"]})
    assert ordered == [False]
    assert select.select(pipes, [], [], 0)[0]
    os.close(pipes[0])


@pytest.mark.parametrize("said", [b"", b"no such folder"])
def test_a_shim_that_could_not_set_up_is_an_error_with_its_words(tmp_path: Path, monkeypatch: Any, said: bytes) -> None:
    def start(dyno_id: str, order: dict[str, Any], order_out: int, ready_in: int) -> int:
        if said:
            os.write(ready_in, said)
        return os.posix_spawn("/bin/sleep", ["sleep", "60"], {})

    monkeypatch.setattr(spawn, "_spawn", start)
    with pytest.raises(spawn.EngineError, match=said.decode() or "it died"):
        spawn.shim("t1", {"folder": str(tmp_path), "state": {}, "leave": []})
