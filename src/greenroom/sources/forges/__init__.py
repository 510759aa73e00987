"""The supported forges: one package each, found by name. Other code uses this registry and names no forge.

Pure: a forge builds and parses values; the loop sends them.
"""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping, Sequence
from importlib import import_module

from greenroom.sources.forges.kind import Call, Forge


def every() -> list[Forge]:
    """All forges, by rank: the order of host detection and of lists."""
    folders = [entry.name for entry in pkgutil.iter_modules(__path__) if entry.ispkg]
    found: list[Forge] = [import_module(f"{__name__}.{name}").FORGE for name in folders]
    return sorted(found, key=lambda forge: (forge.rank, forge.name))


def names() -> list[str]:
    """The names of all forges, as in ``kind`` of a source."""
    return [forge.name for forge in every()]


def with_api() -> list[str]:
    """The names of the forges that have an API."""
    return [forge.name for forge in every() if forge.api]


def find(name: str) -> Forge:
    """The forge of that name. KeyError if there is none."""
    return {forge.name: forge for forge in every()}[name]


def guess(host: str) -> Forge:
    """The forge of a host, by the host name alone; the forge of the last rank accepts every host."""
    return next(forge for forge in every() if forge.is_host(host))


def host_key(host: str) -> str:
    """The published ssh key of a forge's own host, as a line of known_hosts; empty for other hosts."""
    return next((forge.host_keys[host] for forge in every() if host in forge.host_keys), "")


def genuine(headers: Mapping[str, str], body: bytes, secrets: Sequence[str]) -> bool:
    """Whether a webhook call is signed with one of the secrets.

    headers: names in lower case, repeated ones joined by a comma. All signatures in the call must be valid, and at
    least one must be present. GitHub's old SHA-1 header is ignored.
    """
    verdicts = [forge.signed(headers, body, secrets) for forge in every()]
    found = [verdict for verdict in verdicts if verdict is not None]
    return bool(found) and all(found)


def call_of(headers: Mapping[str, str]) -> Call:
    """The event and the delivery id of a call, in the sending forge's terms."""
    calls = [forge.call(headers) for forge in every()]
    event = next((call.event for call in calls if call.event), "")
    delivery = next((call.delivery for call in calls if call.delivery), headers.get("idempotency-key", ""))
    return Call(event=event[:60], delivery=delivery[:100])
