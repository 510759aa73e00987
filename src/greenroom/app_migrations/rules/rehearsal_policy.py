"""Whether a delivery waits for its rehearsal, and whether the result withholds traffic from the release. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from greenroom.checks.rules import REHEARSAL, key

OFF, BESIDE, BEFORE = "off", "beside", "before-switch"
PATIENCE = 120.0
"""Seconds that a release waits for a rehearsal that is not a required check; then it proceeds without the result."""


@dataclass(frozen=True)
class Outlook:
    """ask: request a rehearsal. waiting: one is in progress and worth waiting for. unfit: why the release gets no
    traffic yet.
    """

    ask: bool = False
    waiting: bool = False
    unfit: str = ""


def is_required(names: Iterable[str]) -> bool:
    """Whether the rehearsal is among the app's required checks."""
    return any(key(name) == REHEARSAL for name in names)


def mode(policy: Mapping[str, Any], *, required: bool) -> str:
    """``[policy] rehearse`` of greenroom.toml: false is off, ``beside``, else before-switch. A required check always
    waits.
    """
    if required:
        return BEFORE
    chosen = policy.get("rehearse", BEFORE)
    return OFF if chosen is False else BESIDE if chosen == BESIDE else BEFORE


def outlook(
    *,
    required: bool,
    possible: bool,
    state: str,
    age: float,
    colour: str,
    cells: Mapping[str, Mapping[str, Any]],
    failure: str,
) -> Outlook:
    """The effect of the newest rehearsal on the release's delivery; state is empty before a request.

    age: seconds since the request. possible: there are a database to copy and earlier code to compare with.
    """
    if not state:
        return Outlook(
            ask=possible,
            unfit=""
            if possible or not required
            else "`rehearsal` is required, and these migrations cannot be rehearsed",
        )
    if state in ("wanted", "running"):
        return Outlook(waiting=required or age < PATIENCE)
    if state == "failed":
        return Outlook(unfit=f"`rehearsal` is required, but has no result: {failure}" if required else "")
    new, old = (cells.get(name) or {} for name in ("new_old", "old_old"))
    if new.get("state") == "fails" and old.get("state") != "fails":
        return Outlook(
            unfit=f"in the rehearsal it failed on the present schema: {new.get('detail') or 'it did not answer'}"
        )
    return Outlook(unfit="`rehearsal` is required, and it is red" if required and colour == "red" else "")
