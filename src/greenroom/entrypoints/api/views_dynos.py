"""API of dynos and one-off dynos."""

from __future__ import annotations

from typing import Any

from greenroom.app_migrations import queries as migration_queries
from greenroom.app_migrations import rules as migration_rules
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import UserError
from greenroom.config_vars.rules import too_large
from greenroom.deliveries.actions import one_off
from greenroom.deliveries.queries.remedies import standing
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.models import Dyno
from greenroom.entrypoints.api import client_urls, shapes, signed_links
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.streams.rules import split_exit_marker

COME_BACK_SECONDS = 24 * 3600
"""Seconds in which a client may reconnect with the same link. The first connection has 60 seconds, enforced by the
engine.
"""


def unserved_warning(app: App) -> dict[str, str]:
    """The header for a warning in either CLI that the app has no running process, with the reason."""
    text, hint = standing(app)
    return {"X-Heroku-Warning": f"{text}  hint: {hint}"[:2000]} if text else {}


@route("GET", "/apps/{app}/dynos", "view", returns="[dyno]")
def list_dynos(call: Call) -> Reply:
    """List running dynos and those waiting for a restart.

    A header adds a note about pending migrations, which either CLI shows.
    """
    rows = dynos.running(call.app)
    idle = {} if any(row.kind in ("web", "worker") for row in rows) else unserved_warning(call.app)
    text = migration_queries.reminder(call.app)
    return Reply([shapes.dyno(row) for row in rows], headers=idle or ({"X-Heroku-Warning": text} if text else {}))


@route("GET", "/apps/{app}/dynos/{dyno}", "view", returns="dyno")
def get_dyno(call: Call) -> dict[str, Any]:
    """Get one dyno; ended ones are included."""
    return shapes.dyno(dyno_queries.by_name(call.app, call.params["dyno"]))


@route("POST", "/apps/{app}/dynos", "run", takes="dyno.create", returns="201 dyno")
def run(call: Call) -> Reply:
    """Run a one-off dyno: {command, attach, env, force_no_tty, size, snapshot, force}.

    Attached ones wait 60 s for their client at attach_url.
    """
    text, marker = split_exit_marker(call.text("command", required=True))
    attach = call.body.get("attach") is True
    tty = attach and call.body.get("force_no_tty") is not True
    order = one_off.Order(
        command=text,
        size=call.text("size").lower() or "standard-1x",
        env=_extra_env(call),
        attach=attach,
        tty=tty,
        snapshot=call.body.get("snapshot") is not False,
        forced=call.body.get("force") is True,
    )
    started = one_off.run(actor=call.actor, app=call.app, engine=engine, home=HOME, order=order)
    url = None
    if attach:
        payload = {"dyno": started.dyno.engine_id, "tty": tty, "marker": marker}
        token = signed_links.signed(
            payload, purpose="attach", app=call.app.id, permission="run", seconds=COME_BACK_SECONDS
        )
        url = client_urls.rendezvous(f"/{token}")
    return Reply(shapes.dyno(started.dyno, url), 201, _told(started.dyno, started.migration))


def _told(dyno: Dyno, begun: MigrationRun | None) -> dict[str, str]:
    """Headers that either CLI shows beside the output of a migrate command."""
    version, held = dyno.release.version, dyno_queries.held(dyno.app)
    rehearsed, snapshot = (begun.rehearsal, begun.snapshot) if begun else (None, None)
    words = [migration_rules.without_net(dyno.command)] if migration_rules.without_net(dyno.command) else []
    state = migration_queries.of_release(dyno.release) if begun else None
    if state is not None and state.about.get("vendor") == "sqlite":
        words.append(state.detail)
    if rehearsed is not None:
        words.append(
            f"Rehearsed {clock.heroku_time(rehearsed.finished_at)}, {rehearsed.colour}: {rehearsals.summary(rehearsed)}"
        )
    if snapshot is not None:
        name, app = snapshot.name, dyno.app.name
        words.append(f"Snapshot {name} is taken first. To restore it: greenroom pg:restore {name} -a {app}")
    if held is not None and held.release_id == dyno.release_id:
        words.append(f"v{version} is held. It goes live automatically after this migration succeeds.")
    return {"X-Heroku-Warning": "  ".join(words)} if words else {}


def _extra_env(call: Call) -> dict[str, str]:
    env = call.body.get("env") or {}
    if not isinstance(env, dict) or not all(
        isinstance(key, str) and isinstance(value, str | int) for key, value in env.items()
    ):
        raise UserError("env must be an object of strings.")
    text = too_large({key: str(value) for key, value in env.items()})
    if text:
        raise UserError(f"env: {text}")
    return {key: str(value) for key, value in env.items() if "\0" not in f"{key}{value}"}


@route("DELETE", "/apps/{app}/dynos", "scale", returns="202 nothing")
def restart_all(call: Call) -> Reply:
    """Restart all dynos; the old ones serve until the new ones respond."""
    dynos.restart(actor=call.actor, app=call.app)
    return Reply({}, 202)


@route("DELETE", "/apps/{app}/dynos/{dyno}", "scale", returns="202 nothing")
def restart_one(call: Call) -> Reply:
    """Stop one dyno; a formation dyno is started again."""
    return _end_one(call, "restart")


@route("POST", "/apps/{app}/dynos/{dyno}/actions/stop", "scale", returns="202 nothing")
def stop_one(call: Call) -> Reply:
    """Stop one dyno; a formation dyno is started again, a one-off dyno is not."""
    return _end_one(call, "stop")


def _end_one(call: Call, word: str) -> Reply:
    dynos.restart(actor=call.actor, app=call.app, name=call.params["dyno"], word=word)
    return Reply({}, 202)
