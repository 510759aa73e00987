"""Functions of higher rooms for the loops of the add-on kinds."""

from __future__ import annotations

from greenroom.accounts.rules import Actor
from greenroom.addons.contract import Platform
from greenroom.app_migrations.actions import ask_again
from greenroom.apps.models import App
from greenroom.deliveries.actions import wake
from greenroom.dynos import actions as dynos
from greenroom.dynos.queries import live


def serving(app: App) -> int | None:
    """The version of the app's live release, or None."""
    rollout = live(app)
    return rollout.release.version if rollout else None


def replaced(app: App, actor: Actor) -> None:
    """Restart the dynos, because their database sessions were ended, and check for pending migrations."""
    dynos.restart(actor=actor, app=app)
    rollout = live(app)
    if rollout:
        ask_again(release=rollout.release)


PLATFORM = Platform(serving=serving, replaced=replaced, wake=wake)
