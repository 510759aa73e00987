"""Whether a delivery waits for the rehearsal of its migrations, and what the result keeps from the traffic. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from greenroom.checks.rules import REHEARSAL, key

OFF, BESIDE, BEFORE = "off", "beside", "before-switch"
PATIENCE = 120.0
"""Seconds that a release waits for its rehearsal when it is not a required check; then it goes on without the
result.
"""


@dataclass(frozen=True)
class Outlook:
    """ask: a rehearsal is to be asked for. waiting: one is under way and worth waiting for. unfit: why the code shall
    not have the traffic yet.
    """

    ask: bool = False
    waiting: bool = False
    unfit: str = ""


def is_required(names: Iterable[str]) -> bool:
    """Whether the rehearsal is among the app's required checks."""
    return any(key(name) == REHEARSAL for name in names)


def mode(policy: Mapping[str, Any], *, required: bool) -> str:
    """``[policy] rehearse`` of greenroom.toml: false is off, ``beside``, else before-switch. A required check is waited
    for in any case.
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
    """What the newest rehearsal of a release says for its way to the traffic; state is empty before one was asked for.

    age: seconds since it was asked for. possible: there is a database to copy and earlier code to compare with.
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
        return Outlook(unfit=f"`rehearsal` is required, and nothing was learnt from it: {failure}" if required else "")
    new, old = (cells.get(name) or {} for name in ("new_old", "old_old"))
    if new.get("state") == "fails" and old.get("state") != "fails":
        return Outlook(
            unfit=f"in the rehearsal it failed on the present schema: {new.get('detail') or 'it did not answer'}"
        )
    return Outlook(unfit="`rehearsal` is required, and it is red" if required and colour == "red" else "")
