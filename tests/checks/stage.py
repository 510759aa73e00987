"""An engine without processes: tests set the states of its dynos, their files and their output."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenroom.engine.contract import Capacity, DynoSpec, DynoState, Output
from greenroom.engine.errors import EngineError
from greenroom.engine.memory import MemoryEngine


@dataclass
class Stage:
    """Remembers specs and states; ``broken`` makes each start fail."""

    home: Path
    specs: dict[str, DynoSpec] = field(default_factory=dict)
    states: dict[str, DynoState] = field(default_factory=dict)
    starts: list[str] = field(default_factory=list)
    signals: list[tuple[str, str]] = field(default_factory=list)
    forgotten: list[str] = field(default_factory=list)
    broken: str = ""
    kept: MemoryEngine = field(default_factory=MemoryEngine)

    def start(self, spec: DynoSpec) -> DynoState:
        if self.broken:
            raise EngineError(self.broken)
        if spec.id not in self.states:
            self.starts.append(spec.id)
            self.specs[spec.id] = spec
            self.states[spec.id] = DynoState(
                id=spec.id, kind=spec.kind, owner=spec.owner, process=spec.process, phase="running"
            )
        return self.states[spec.id]

    def describe(self, dyno_id: str) -> DynoState | None:
        return self.states.get(dyno_id)

    def list(self) -> list[DynoState]:
        return list(self.states.values())

    def signal(self, dyno_id: str, name: str) -> None:
        self.signals.append((dyno_id, name))

    def forget(self, dyno_id: str) -> None:
        self.forgotten.append(dyno_id)
        self.states.pop(dyno_id, None)

    def result(self, dyno_id: str, name: str, *, limit: int = 0) -> bytes | None:
        return self.kept.result(dyno_id, name, limit=limit)

    def output(self, dyno_id: str, offset: int, *, limit: int) -> Output:
        return self.kept.output(dyno_id, offset, limit=limit)

    def capacity(self) -> Capacity:
        return self.kept.capacity()

    def scratch(self, dyno_id: str, name: str) -> Path:
        """The dyno's folder of that name."""
        return self.kept.scratch(dyno_id, name)

    def print(self, dyno_id: str, data: bytes) -> None:
        """Add to the dyno's output."""
        self.kept.print(dyno_id, data)

    def leave(self, dyno_id: str, name: str, content: Any) -> None:
        """Write a file to the dyno's scratch folder ``out``: text as it is, anything else as JSON."""
        (self.scratch(dyno_id, "out") / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def end(self, dyno_id: str, result: Any = None, **facts: Any) -> None:
        """End the dyno, with a result file if one is given."""
        if result is not None:
            self.leave(dyno_id, "result.json", result)
        ended = {"phase": "exited", "exit_code": 0, "reason": "exit", **facts}
        self.states[dyno_id] = replace(self.states[dyno_id], **ended)
