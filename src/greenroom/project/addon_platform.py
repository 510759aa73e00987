"""Functions of higher rooms for the loops of the add-on kinds."""

from __future__ import annotations

from greenroom.accounts.rules import Actor
from greenroom.addons.contract import Platform
from greenroom.app_migrations.actions import ask_again
from greenroom.apps.models import App
from greenroom.deliveries.actions import wake
from greenroom.dynos import actions as dynos
from greenroom.dynos.queries import live, live_version


def replaced(app: App, actor: Actor) -> None:
    """Restart the dynos, because their database sessions were ended, and check for pending migrations."""
    dynos.restart(actor=actor, app=app)
    rollout = live(app)
    if rollout:
        ask_again(release=rollout.release)


PLATFORM = Platform(serving=live_version, replaced=replaced, wake=wake)
