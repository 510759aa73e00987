"""Explains add-on errors in a program's output, with the diagnoses of all kinds. Pure."""

from __future__ import annotations

from greenroom.addons.rules.services import Diagnosis, Refusal, services


def refusal(output: str, app: str = "", *, build: bool = False) -> Refusal | None:
    """The last refused schema change in the output, or any refused change for a build; None if there is none."""
    return next((found for one in _all() if (found := one.refusal(output, app, build))), None)


def remedy(output: str) -> str:
    """The remedy for a missing add-on feature that the output reports; else empty."""
    return next((found for one in _all() if (found := one.remedy(output))), "")


def _all() -> list[Diagnosis]:
    return [one.diagnosis for one in services() if one.diagnosis]
