"""Random calls of every route, made by schemathesis from the document at /schema, with names that exist mixed in."""

from __future__ import annotations

import json
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import schemathesis
from django.test import Client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from tests.api.world import World

LAST = ("DELETE", "PUT")
TURNS = 10
BODY = {
    "app": "app",
    "addon": "addon",
    "addon_attachment": "name",
    "release": "release",
    "sha": "sha",
    "head_sha": "sha",
    "hostname": "hostname",
    "user": "email",
}
"""key of a body -> the part of a path whose values it may have."""


@dataclass
class Report:
    """How many calls were made, with which statuses, and what was wrong (at most a few per route)."""

    statuses: Counter[int] = field(default_factory=Counter)
    routes: Counter[str] = field(default_factory=Counter)
    wrong: dict[str, str] = field(default_factory=dict)

    @property
    def calls(self) -> int:
        return self.statuses.total()


class Fuzzer:
    """Calls all operations about equally often; ``revive`` makes the world anew when a call has destroyed it."""

    def __init__(self, document: dict[str, Any], world: World, client: Client, revive: Any) -> None:
        self.world, self.client, self.revive = world, client, revive
        self.report = Report()
        loaded = schemathesis.openapi.from_dict(document)
        found = [result.ok() for result in loaded.get_all_operations()]
        self.operations = sorted(found, key=lambda one: (one.method.upper() in LAST, one.path == "/apps/{app}"))

    def run(self, calls: int, seed: int) -> Report:
        """All operations in turn, until there were so many calls: of some there are not as many different ones as their
        share.
        """
        for turn in range(TURNS):
            each = max(1, (calls - self.report.calls) // len(self.operations))
            try:
                for operation in self.operations:
                    self._some(operation, each, seed + turn)
            except KeyboardInterrupt:  # what there is so far is worth a look
                break
            if self.report.calls >= calls:
                break
        return self.report

    def _some(self, operation: Any, count: int, seed: int) -> None:
        luck = random.Random(f"{seed} {operation.method} {operation.path}")
        modes = [
            operation.as_strategy(generation_mode=mode)
            for mode in (schemathesis.GenerationMode.POSITIVE, schemathesis.GenerationMode.NEGATIVE)
        ]

        @seeded(seed)
        @settings(
            max_examples=count,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=st.one_of(*modes) if operation.body or operation.query else modes[0])
        def call(case: Any) -> None:
            self._one(case, luck)

        try:
            call()
        except Exception as error:
            if (
                "generate" not in f"{type(error).__name__} {error}".lower()
                and "Unsatisfiable" not in type(error).__name__
            ):
                raise

    def _one(self, case: Any, luck: random.Random) -> None:
        method, route = case.operation.method.upper(), f"{case.operation.method.upper()} {case.operation.path}"
        known = self.world.known
        parts = {key: str(value) for key, value in (case.path_parameters or {}).items()}
        parts |= {key: luck.choice(known[key]) for key in parts if key in known and luck.random() < 0.8}
        body = case.body
        if isinstance(body, dict):
            body = {
                key: luck.choice(known[BODY[key]]) if key in BODY and luck.random() < 0.6 else value
                for key, value in body.items()
            }
        path = case.operation.path
        for key, value in parts.items():
            path = path.replace(f"{{{key}}}", _quoted(value))
        data = b"" if type(body).__name__ == "NotSet" or body is None else _bytes(body)
        headers = {
            key: str(value).encode("latin-1", "replace").decode("latin-1")
            for key, value in (case.headers or {}).items()
            if key == "Range"
        }
        query = {key: _text(value) for key, value in (case.query or {}).items()} if isinstance(case.query, dict) else {}
        try:
            answer = self.client.generic(
                method, path, data, content_type="application/json", headers=headers, query_params=query
            )
        except Exception as error:  # the witness, or a bug of the server that Django's client raises
            self.report.statuses[500] += 1
            self.report.wrong.setdefault(
                f"{route}: {type(error).__name__}", f"{path} {headers} {query} {data[:300]!r}: {error!s:.400}"
            )
            return
        self.report.statuses[answer.status_code] += 1
        self.report.routes[route] += 1
        if answer.status_code == 500:
            self.report.wrong.setdefault(route, f"{path} {query} {data[:300]!r}: {answer.content[:300]!r}")
        if answer.status_code == 401:  # the token has ended itself
            self.client = self.world.client()
        self.revive(self.world)


def _quoted(value: str) -> str:
    from urllib.parse import quote

    return quote(value, safe="~:@") or "-"


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _bytes(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    try:
        return json.dumps(body, default=str).encode("utf-8", "surrogatepass")
    except (TypeError, ValueError):
        return repr(body).encode("utf-8", "replace")
