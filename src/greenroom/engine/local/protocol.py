"""The supervisor's protocol: one JSON object per line in each direction, and the JSON form of a DynoSpec.

Used by both sides. Checks types and sizes; ``plan`` decides what is allowed.
"""

from __future__ import annotations

import base64
import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_args

from greenroom.engine.contract import DynoSpec, Forward, Kind, Limits, Mode, Mount
from greenroom.engine.errors import EngineError
from greenroom.engine.local import path_names

LONGEST_LINE = 8_000_000
"""Maximum bytes of a request, including standard input and environment."""
SOCKET = "run/supervisor.sock"
_TEXTS = ("id", "kind", "owner", "process", "cwd", "socket", "service", "log")
_NUMBERS = ("uid", "port", "host_port", "rows", "columns")
_TRUTHS = ("egress", "output", "attach", "tty", "hang_up")


def encode(message: Mapping[str, Any]) -> bytes:
    """Return the line. Raises EngineError if it is too long."""
    line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
    if len(line) > LONGEST_LINE:
        raise EngineError(
            f"the request to the supervisor has {len(line)} bytes; at most {LONGEST_LINE} are allowed",
            hint="hand large input over by a file in a scratch folder",
        )
    return line


def decode(line: bytes) -> dict[str, Any]:
    """Return the object. Raises ValueError."""
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("a request is a JSON object")
    return message


def spec_to_wire(spec: DynoSpec) -> dict[str, Any]:
    """Return a JSON object; environment values and standard input in base64, since they may contain any bytes."""
    values = dataclasses.asdict(dataclasses.replace(spec, env={}, stdin=b""))
    values["env"] = {name: _base64(value.encode("utf-8", "surrogateescape")) for name, value in spec.env.items()}
    values["stdin"] = _base64(spec.stdin)
    return values


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def spec_from_wire(values: object) -> DynoSpec:
    """Return the spec, with every type checked. Raises ValueError with the path of the wrong value."""
    fields = {field.name for field in dataclasses.fields(DynoSpec)}
    it = _table(values, "spec", fields)
    made: dict[str, Any] = {name: _typed(it, name, str) for name in _TEXTS if name in it}
    made |= {name: _typed(it, name, int) for name in _NUMBERS if name in it}
    made |= {name: _typed(it, name, bool) for name in _TRUTHS if name in it}
    if made.get("kind") not in get_args(Kind):
        raise ValueError(f"kind: one of {', '.join(get_args(Kind))}")
    made["command"] = _texts(it, "command")
    made["mounts"] = tuple(_mount(value) for value in _list(it, "mounts"))
    made["forwards"] = tuple(_forward(value) for value in _list(it, "forwards"))
    made["limits"] = _limits(it.get("limits", {}))
    made["allowed"] = None if it.get("allowed") is None else tuple(map(_target, _list(it, "allowed")))
    env = _table(it.get("env", {}), "env", None)
    made["env"] = {name: _bytes(value, f"env {name}").decode("utf-8", "surrogateescape") for name, value in env.items()}
    made["stdin"] = _bytes(it.get("stdin", ""), "stdin")
    try:
        return DynoSpec(**made)
    except TypeError as error:
        raise ValueError(str(error)) from None


def artefact_of(request: Mapping[str, Any]) -> str:
    """The artefact of a discard; ``folder``: from a client of an older version. Raises ValueError."""
    if "folder" in request:
        return path_names.discarded(_typed(request, "folder", str))
    return str(_typed(request, "artefact", str))


def _mount(value: object) -> Mount:
    it = _table(value, "mounts", {"target", "source", "mode", "lower", "upper"})
    made: dict[str, Any] = {name: _typed(it, name, str) for name in ("target", "source", "mode", "upper") if name in it}
    if made.get("mode", "ro") not in get_args(Mode):
        raise ValueError(f"mounts: mode is one of {', '.join(get_args(Mode))}")
    if "target" not in made:
        raise ValueError("mounts: the target is missing")
    if "source" in made:
        made["source"] = path_names.artefact(made["source"])
    return Mount(**made, lower=tuple(map(path_names.artefact, _texts(it, "lower"))))


def _forward(value: object) -> Forward:
    it = _table(value, "forwards", {"port", "service", "socket"})
    if "socket" in it:  # from a client of an older version
        return Forward(port=_typed(it, "port", int), service=path_names.service(_typed(it, "socket", str)))
    return Forward(port=_typed(it, "port", int), service=_typed(it, "service", str))


def _target(value: object) -> tuple[str, int]:
    match value:
        case [str(host), int(port)] if not isinstance(port, bool):
            return host, port
    raise ValueError("allowed: a list of [host, port] is expected")


def _limits(value: object) -> Limits:
    it = _table(value, "limits", {field.name for field in dataclasses.fields(Limits)})
    made: dict[str, Any] = {}
    for name, number in it.items():
        if isinstance(number, bool) or not isinstance(number, int | float) or not 0 <= number <= 10_000_000:
            raise ValueError(f"limits: {name} must be a number from 0 to 10,000,000")
        made[name] = int(number) if name in ("memory_mb", "quota_mb", "pids") else float(number)
    return Limits(**made)


def _table(value: object, place: str, allowed: set[str] | None) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{place}: a JSON object is expected")
    unknown = sorted(set(value) - allowed) if allowed is not None else []
    if unknown:
        raise ValueError(f"{place}: unknown field {unknown[0]!r}")
    return value


def _typed(it: Mapping[str, Any], name: str, kind: type) -> Any:
    value = it.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{name}: {kind.__name__} is expected")
    return value


def _list(it: Mapping[str, Any], name: str) -> list[Any]:
    value = it.get(name, [])
    if not isinstance(value, list | tuple):
        raise ValueError(f"{name}: a list is expected")
    return list(value)


def _texts(it: Mapping[str, Any], name: str) -> tuple[str, ...]:
    values = _list(it, name)
    if not all(isinstance(value, str) for value in values):
        raise ValueError(f"{name}: a list of texts is expected")
    return tuple(values)


def _bytes(value: object, place: str) -> bytes:
    if not isinstance(value, str):
        raise ValueError(f"{place}: base64 text is expected")
    return base64.b64decode(value, validate=True)
