"""An engine without processes: tests say what its dynos are seen to be, and lay their results where real ones would."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from greenroom.engine.contract import DynoSpec, DynoState, scratch_folder
from greenroom.engine.errors import EngineError


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

    def leave(self, dyno_id: str, name: str, content: Any) -> None:
        """A file in the dyno's scratch folder: text as it is, anything else as JSON."""
        folder = self.home / scratch_folder(dyno_id, "out")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content if isinstance(content, str) else json.dumps(content))

    def end(self, dyno_id: str, result: Any = None, **facts: Any) -> None:
        """The dyno has ended, with a result file if one is given."""
        if result is not None:
            self.leave(dyno_id, "result.json", result)
        ended = {"phase": "exited", "exit_code": 0, "reason": "exit", **facts}
        self.states[dyno_id] = replace(self.states[dyno_id], **ended)
