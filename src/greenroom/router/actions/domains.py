"""Adds and removes custom domains and assigns their certificates."""

from __future__ import annotations

from pathlib import Path

from greenroom.accounts.rules import Actor
from greenroom.apps import actions as apps
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App, Domain
from greenroom.router.actions import sni_endpoints


def add(
    *,
    actor: Actor,
    app: App,
    home: Path,
    hostname: str,
    reserved: tuple[str, ...],
    proven: bool | None,
    certificate: str = "",
) -> Domain:
    """Add a domain and assign the named certificate, or else one that covers it.

    NotFoundError, before any change, for an unknown certificate; other errors as ``apps.actions.add_domain`` and
    ``sni_endpoints.choose``.
    """
    if certificate:
        sni_endpoints.find(app, certificate)
    row = apps.add_domain(actor=actor, app=app, hostname=hostname, reserved=reserved, proven=proven)
    sni_endpoints.renew(app=app, home=home)
    if certificate:
        sni_endpoints.choose(actor=actor, app=app, domain=row, name=certificate)
    sni_endpoints.settle(app=app)
    wake()
    return row


def remove(*, actor: Actor, app: App, home: Path, hostname: str) -> None:
    """Remove a domain from the app and from its automatic certificate. Errors as ``apps.actions.remove_domain``."""
    apps.remove_domain(actor=actor, app=app, hostname=hostname)
    sni_endpoints.renew(app=app, home=home)
    wake()
