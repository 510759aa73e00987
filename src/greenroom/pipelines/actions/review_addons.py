"""The add-ons of a review app: those that app.json of its branch declares, as on Heroku."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from greenroom.accounts.rules import Actor
from greenroom.addons.queries import alike, attached_to
from greenroom.addons.rules import services
from greenroom.apps.models import App
from greenroom.deliveries.actions import addon_lifecycle
from greenroom.git import queries as git
from greenroom.pipelines import rules


def create_declared(*, actor: Actor, app: App, parent: App, head: str, home: Path) -> None:
    """Create the declared add-ons that the app lacks, each of a known service; unless the branch has a list for review
    apps, also an empty one for each of the parent's that has options, such as a volume. Idempotent.

    PlatformError if one cannot be provisioned, UserError for a wrong option.
    """
    data = git.show(parent, home, head, "app.json") or b""
    for service, plan, name, options in _declared(data):
        has = attached_to(app)
        if has.get(name or service.attachment) == service.kind or (service.given and not name and not app.bare):
            continue
        _create(actor, app, home, service.kind, name, options, plan=plan)
    for kind, name, own in [] if "addons" in _review(data) else alike(parent):
        if attached_to(app).get(name) != kind:
            _create(actor, app, home, kind, name, own)


def _create(
    actor: Actor, app: App, home: Path, kind: str, name: str, options: Mapping[str, object], plan: str = ""
) -> None:
    facts: dict[str, Any] = {"kind": kind, "wanted": name, "plan": plan, "options": options}
    addon_lifecycle.create(actor=actor, app=app, home=home, name="", confirmed=False, **facts)


def _declared(data: bytes) -> Iterator[tuple[services.Service, str, str, dict[str, object]]]:
    """(service, plan, name of the attachment or '', options) of each entry. The build reports errors in the file."""
    for entry in _entries(data):
        wanted = entry.get("plan") if isinstance(entry, dict) else entry
        name = entry.get("as") if isinstance(entry, dict) else ""
        options = entry.get("options") if isinstance(entry, dict) else None
        if not isinstance(wanted, str) or not isinstance(name or "", str):
            continue
        service = services.named(wanted.partition(":")[0])
        if service is not None:
            plan = service.plan if services.plan_problem(service, wanted) else services.plan_of(service, wanted)
            yield service, plan, (name or service.dialect_of(wanted)).upper(), service.options_in(options)


def _entries(data: bytes) -> list[Any]:
    """``environments.review.addons``, else ``addons``."""
    review = _review(data)
    whole = rules.app_json(data)
    found = review["addons"] if "addons" in review else whole.get("addons") if isinstance(whole, dict) else None
    return found if isinstance(found, list) else []


def _review(data: bytes) -> dict[str, Any]:
    """``environments.review``; empty for a malformed file, whose errors the build reports."""
    try:
        found = (rules.app_json(data).get("environments") or {}).get("review")
    except (AttributeError, TypeError):
        return {}
    return found if isinstance(found, dict) else {}
