"""Creates an app with its repository, log and database, and destroys it with all of them."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons import actions as addons
from greenroom.addons import registry
from greenroom.addons.models import Addon
from greenroom.addons.rules.services import Service, config_vars, given
from greenroom.apps import actions as apps
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.apps.queries import unknown
from greenroom.deliveries import actions
from greenroom.engine.contract import PLATFORM, Engine
from greenroom.git import actions as git
from greenroom.logs.actions import say
from greenroom.releases.models import Release
from greenroom.router.drivers import switch


def create(*, actor: Actor, name: str | None, home: Path, bare: bool = False) -> App:
    """Create an app that accepts pushes: v1 without code, v2 with its database attached. bare: v1 alone."""
    owner = Account.objects.get(pk=actor.account)
    for service in () if bare else given():
        registry.kind(service.kind).refuse_if_full(owner)
    app = actions.create_app(actor=actor, name=name, home=home, bare=bare)
    finish(actor=actor, app=app, home=home)
    if bare:
        _say_created(actor, app, home)
    return app


def finish(*, actor: Actor, app: App, home: Path) -> None:
    """Create the missing parts of a new app. Repeatable, so that it also completes an interrupted creation.

    One process at a time: the worker looks for incomplete apps, and must skip those that the web process is creating or
    destroying.
    NotFoundError if the app was destroyed meanwhile.
    """
    with addons.alone(app):
        if not App.objects.filter(pk=app.pk).exists():
            raise unknown(app.name)
        git.create_repository(app=app, home=home)
        made = [_give(actor, app, service, home) for service in given()] if not app.bare else []
    if any(made):
        _say_created(actor, app, home)


def _say_created(actor: Actor, app: App, home: Path) -> None:
    say(app=app, home=home, process="api", text=f"Initial release by user {actor.email}", source="app")


def _give(actor: Actor, app: App, service: Service, home: Path) -> Release | None:
    """Release the app's add-on of the service; None if it is already attached or not ready yet."""
    addon = Addon.objects.filter(app=app, kind=service.kind).exclude(state="deprovisioning").first()
    if addon is None:
        addon, values = addons.provision(actor=actor, app=app, home=home, kind=service.kind, given=True)
    else:
        values = config_vars(service, service.attachment, addons.finish(addon=addon, home=home) or {})
    text = f"Attach {service.attachment} ({addon.name})"
    return actions.attach_config(actor=actor, app=app, home=home, values=values, description=text) if values else None


def end_dynos(engine: Engine, owner: str) -> None:
    """Stop and forget all dynos of the owner on the engine, with or without a row."""
    for state in engine.list():
        if state.owner == owner:
            engine.forget(state.id)


def sweep_dynos(engine: Engine) -> list[str]:
    """Forget the dynos of destroyed apps; returns their ids. Safe at any time: an app's row exists before its first
    dyno.
    """
    states = [state for state in engine.list() if state.owner != PLATFORM]
    known = {pk.hex for pk in App.objects.values_list("pk", flat=True)}
    gone = [state.id for state in states if state.owner not in known]
    for dyno in gone:
        engine.forget(dyno)
    return gone


def destroy(*, actor: Actor, app: App, engine: Engine, home: Path) -> None:
    """Stop the app's dynos, remove its add-ons, folders and row. NotFoundError if another process has destroyed it
    meanwhile.
    """
    with addons.alone(app):
        _destroy(actor, app, engine, home)
    wake()


def _destroy(actor: Actor, app: App, engine: Engine, home: Path) -> None:
    end_dynos(engine, app.id.hex)
    for addon in Addon.objects.filter(app=app):
        addons.deprovision(addon=addon, home=home)
    transcripts = [home / row.transcript for row in app.deliveries.all()] + [
        home / row.output for row in app.releases.all()
    ]
    repo, log, folder = home / app.repo_folder, home / app.log_folder, app.id.hex
    apps.destroy(actor=actor, app=app)
    end_dynos(engine, folder)  # dynos that the worker started meanwhile
    switch.remove(home, folder)
    shutil.rmtree(repo, ignore_errors=True)
    shutil.rmtree(log, ignore_errors=True)
    for path in transcripts:
        path.unlink(missing_ok=True)
        path.with_name(path.name + ".done").unlink(missing_ok=True)


def change(*, actor: Actor, app: App, home: Path, name: str, resume: bool, changes: Mapping[str, Any]) -> App:
    """Resume automatic deployment, change settings and rename the app. Each is a change of its own."""
    if resume:
        actions.resume(actor=actor, app=app, home=home)
    if changes:
        app = apps.change_settings(actor=actor, app=app, **changes)
    if name:
        app = apps.rename(actor=actor, app=app, name=name)
    wake()
    return app
