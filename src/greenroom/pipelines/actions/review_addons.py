"""The add-ons of a review app: those that app.json of its branch declares, as on Heroku."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from greenroom.accounts.rules import Actor
from greenroom.addons.queries import attached_to
from greenroom.addons.rules import services
from greenroom.apps.models import App
from greenroom.deliveries.actions import addon_lifecycle
from greenroom.git import queries as git
from greenroom.pipelines import rules


def create_declared(*, actor: Actor, app: App, parent: App, head: str, home: Path) -> None:
    """Create the declared add-ons that the app lacks, each of a known service. Idempotent. PlatformError if one cannot
    be provisioned.
    """
    for service, plan, name in _declared(git.show(parent, home, head, "app.json") or b""):
        has = attached_to(app)
        if has.get(name or service.attachment) == service.kind or (service.given and not name and not app.bare):
            continue
        addon_lifecycle.create(
            actor=actor, app=app, home=home, kind=service.kind, name="", wanted=name, confirmed=False, plan=plan
        )


def _declared(data: bytes) -> Iterator[tuple[services.Service, str, str]]:
    """(service, plan, name of the attachment or '') of each entry. The build reports errors in the file."""
    for entry in _entries(data):
        wanted = entry.get("plan") if isinstance(entry, dict) else entry
        name = entry.get("as") if isinstance(entry, dict) else ""
        if not isinstance(wanted, str) or not isinstance(name or "", str):
            continue
        service = services.named(wanted.partition(":")[0])
        if service is not None:
            plan = service.plan if services.plan_problem(service, wanted) else services.plan_of(service, wanted)
            yield service, plan, (name or service.dialect_of(wanted)).upper()


def _entries(data: bytes) -> list[Any]:
    """``environments.review.addons``, else ``addons``."""
    whole = rules.app_json(data)
    try:
        review = (whole.get("environments") or {}).get("review") or {}
        found = review["addons"] if "addons" in review else whole.get("addons")
    except (AttributeError, TypeError):
        return []
    return found if isinstance(found, list) else []
