"""Explains a program's output: whether an add-on refused or lacked something. Asks the services of all kinds. Pure."""

from __future__ import annotations

from greenroom.addons.rules.services import Diagnosis, Refusal, services


def refusal(output: str, app: str = "", *, build: bool = False) -> Refusal | None:
    """The last refusal of a schema change in the output, or of any change to a build; None when there is none."""
    return next((found for one in _all() if (found := one.refusal(output, app, build))), None)


def remedy(output: str) -> str:
    """The remedy for something that an add-on lacks according to the output; else empty."""
    return next((found for one in _all() if (found := one.remedy(output))), "")


def _all() -> list[Diagnosis]:
    return [one.diagnosis for one in services() if one.diagnosis]
