"""The API of releases, rollbacks, formation, dynos and one-off dynos."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.db import transaction

from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations import queries as migration_queries
from greenroom.app_migrations import rules as migration_rules
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.models import MigrationRun
from greenroom.app_migrations.queries import rollback_warnings
from greenroom.basics import client_commands, clock
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars.rules import too_large
from greenroom.deliveries import actions as deliveries
from greenroom.deliveries.actions.retries import retry_release
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries.newest_green import newest as newest_code
from greenroom.deliveries.queries.remedies import standing
from greenroom.deliveries.queries.time_limits import seconds
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.models import Dyno, Formation
from greenroom.entrypoints.api import client_urls, disk_reserve, shapes, signed_links
from greenroom.entrypoints.api.drivers import engine
from greenroom.entrypoints.api.listing import USUAL, Listing
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_gate import output_url, transcript_url
from greenroom.entrypoints.streams.rules import split_exit_marker
from greenroom.releases import queries as releases
from greenroom.releases.models import Release

COME_BACK_SECONDS = 24 * 3600
"""How long a client may come back by the same link; the first time it has 60 seconds, by the engine's own count."""


def _current(call: Call) -> int | None:
    """The version that serves; before any code, the newest that succeeded."""
    live = dyno_queries.live(call.app)
    if live:
        return live.release.version
    row = releases.newest(call.app, "succeeded")
    return row.version if row else None


@route("GET", "/apps/{app}/releases", "view", paged="version", returns="[release]")
def list_releases(call: Call) -> Listing:
    """All releases, newest first."""

    def page(rows: list[Release]) -> list[dict[str, Any]]:
        current, outputs = _current(call), _outputs(rows)
        return [
            {**shapes.release(row, current=row.version == current), "output_stream_url": outputs.get(row.pk)}
            for row in rows
        ]

    return Listing(releases.of_app(call.app), page, "-version", {"version": "version", **USUAL})


def _outputs(rows: list[Release]) -> dict[Any, str]:
    """Release -> where the output of its release command is read, of those that run one or have run one."""
    found = [
        row
        for row in rows
        if row.slug
        and "release" in row.slug.process_types
        and (row.status == "pending" or (HOME / row.output).exists())
    ]
    return {row.pk: output_url(row.app_id, row.output) for row in found}


@route("GET", "/apps/{app}/releases/{release}", "view", returns="release")
def get_release(call: Call) -> dict[str, Any]:
    """One release by version or id."""
    row = releases.by_name(call.app, call.params["release"])
    held = dyno_queries.held(call.app) if row.status == "pending" else None
    pending = (
        {"patience": round(seconds(row)), "held": held is not None and held.release_id == row.pk}
        if row.status == "pending"
        else {}
    )
    return {**shapes.release(row, current=row.version == _current(call)), "output_stream_url": _output(row), **pending}


def _output(row: Release) -> str | None:
    """What its release command said; of a promotion, which clients follow, all that its delivery said. None where there
    is neither.
    """
    if row.kind != "promote":
        return _outputs([row]).get(row.pk)
    delivery = Delivery.objects.filter(release=row).first()
    return transcript_url(delivery) if delivery else None


@route("GET", "/apps/{app}/releases/{release}/config-vars", "config:read", returns="config-vars")
def release_config(call: Call) -> dict[str, str]:
    """The config vars of one release."""
    return releases.config_values(releases.by_name(call.app, call.params["release"]), HOME)


@route("POST", "/apps/{app}/releases", "release", takes="release.create", returns="201 release")
def roll_back(call: Call) -> Reply:
    """Roll back to {release: id or version, force, confirm: the app's name}; without a release, to the last good one.
    {slug}: the newest once more.
    """
    if call.text("slug"):
        disk_reserve.need(HOME)
        made = retry_release(actor=call.actor, app=call.app, home=HOME, slug=call.text("slug"))
        deliveries.wake()
        return Reply({**shapes.release(made), "output_stream_url": _outputs([made]).get(made.pk)}, 201)
    wanted = call.body.get("release")
    version = releases.by_name(call.app, str(wanted)).version if wanted else None
    force = call.body.get("force") is True
    live, confirmed = dyno_queries.live(call.app), call.text("confirm") == call.app.name
    old = deliveries.rollback_target(call.app, version)
    mute = client_commands.of_agent(call.request.headers.get("User-Agent", "")) == client_commands.HEROKU
    said = rollback_warnings.agree(
        actor=call.actor, old=old, live=live.release if live else None, confirmed=confirmed, forced=force, mute=mute
    )
    row, _ = deliveries.roll_back(actor=call.actor, app=call.app, home=HOME, version=old.version, force=force)
    return Reply(shapes.release(row), 201, {"X-Heroku-Warning": said[:2000]} if said else {})


def _types(call: Call) -> dict[str, str]:
    """The process types of what serves; before that, of the newest code, failed code too."""
    live = dyno_queries.live(call.app)
    newest = None if live else newest_code(call.app)
    return dyno_queries.process_types(live.release if live else newest.release if newest else None)


def _listed(call: Call) -> dict[str, str]:
    """The types to list. The Heroku CLI offers ``releases:retry`` only where there is a type ``release``."""
    newest = releases.of_app(call.app).exclude(slug=None).first()
    failed = newest is not None and newest.status in ("failed", "refused")
    return {**({"release": ""} if failed else {}), **_types(call)}


def _warned(call: Call) -> dict[str, str]:
    """The header by which either CLI tells why nothing of the app runs."""
    text, hint = standing(call.app)
    return {"X-Heroku-Warning": f"{text}  hint: {hint}"[:2000]} if text else {}


@route("GET", "/apps/{app}/formation", "view", returns="[formation]")
def list_formation(call: Call) -> list[dict[str, Any]]:
    """The process types of what runs, with their quantities; ``release`` among them, always 0."""
    rows = dyno_queries.formation(call.app)
    result = []
    for name, command in sorted(_listed(call).items()):
        row = rows.get(name) or Formation(
            app=call.app,
            type=name,
            quantity=1 if name == "web" else 0,
            created_at=call.app.created_at,
            updated_at=call.app.updated_at,
        )
        result.append(shapes.formation(row, command))
    return result


@route("PATCH", "/apps/{app}/formation", "scale", takes="formation.update", returns="[formation]")
def scale(call: Call) -> Reply:
    """{updates: [{type, quantity, size}]}; quantity may be "2", "+1" or "-1"."""
    updates = call.body.get("updates")
    if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates) or not updates:
        raise UserError("updates must be a list of {type, quantity, size}.")
    types = _types(call)
    rows = dynos.scale(actor=call.actor, app=call.app, home=HOME, updates=updates, process_types=types)
    deliveries.wake()
    unserved = {} if dyno_queries.live(call.app) else _warned(call)
    return Reply([shapes.formation(row, types[row.type]) for row in rows], headers=unserved)


@route("PATCH", "/apps/{app}/formation/{type}", "scale", takes="formation.change-one", returns="formation")
def scale_one(call: Call) -> dict[str, Any]:
    """One process type."""
    types = _types(call)
    update = {**call.body, "type": call.params["type"]}
    rows = dynos.scale(actor=call.actor, app=call.app, home=HOME, updates=[update], process_types=types)
    deliveries.wake()
    return shapes.formation(rows[0], types[rows[0].type])


@route("GET", "/apps/{app}/dynos", "view", returns="[dyno]")
def list_dynos(call: Call) -> Reply:
    """What runs now, and what waits to be started again; beside it a word about pending migrations, which either CLI
    shows.
    """
    rows = dynos.running(call.app)
    idle = {} if any(row.kind in ("web", "worker") for row in rows) else _warned(call)
    text = migration_queries.reminder(call.app)
    return Reply([shapes.dyno(row) for row in rows], headers=idle or ({"X-Heroku-Warning": text} if text else {}))


@route("GET", "/apps/{app}/dynos/{dyno}", "view", returns="dyno")
def get_dyno(call: Call) -> dict[str, Any]:
    """One dyno, ended ones too."""
    return shapes.dyno(dyno_queries.by_name(call.app, call.params["dyno"]))


@route("POST", "/apps/{app}/dynos", "run", takes="dyno.create", returns="201 dyno")
def run(call: Call) -> Reply:
    """A one-off dyno: {command, attach, env, force_no_tty, size, snapshot, force}. Attached ones wait 60 s for their
    client at attach_url.
    """
    text, marker = split_exit_marker(call.text("command", required=True))
    attach = call.body.get("attach") is True
    release = migration_queries.release_for(call.app, text) or _release_to_run(call)
    env = {**migration_rules.guards(text, release.config.names, app=call.app.id.hex), **_extra_env(call)}
    migrations.refuse_clash(app=call.app, command=text, engine=engine())
    forced = call.body.get("force") is True or env.pop("GREENROOM_FORCE", "") == call.app.name
    overruled = rehearsals.refuse_red(app=call.app, release=release, command=text, forced=forced)
    wanted = call.body.get("snapshot") is not False
    snapshot = migrations.secure(actor=call.actor, release=release, command=text, home=HOME, wanted=wanted)
    size = call.text("size").lower() or "standard-1x"
    with transaction.atomic():
        dyno = dynos.make_one_off(actor=call.actor, app=call.app, release=release, command=text, size=size)
        begun = migrations.begin_run(actor=call.actor, dyno=dyno, snapshot=snapshot, overruled=overruled)
    if begun is not None:
        rehearsals.let_copy_finish(app=call.app, waiting=partial(dynos.touch, dyno))
    tty = attach and call.body.get("force_no_tty") is not True
    rows, columns = _size(env)
    dynos.start(
        dyno=dyno,
        engine=engine(),
        home=HOME,
        extra=env,
        attach=attach,
        tty=tty,
        rows=rows,
        columns=columns,
        hang_up=begun is None,
    )
    deliveries.wake()
    url = None
    if attach:
        payload = {"dyno": dyno.engine_id, "tty": tty, "marker": marker}
        token = signed_links.signed(
            payload, purpose="attach", app=call.app.id, permission="run", seconds=COME_BACK_SECONDS
        )
        url = client_urls.rendezvous(f"/{token}")
    return Reply(shapes.dyno(dyno, url), 201, _told(dyno, begun))


def _told(dyno: Dyno, begun: MigrationRun | None) -> dict[str, str]:
    """What either CLI shows beside the output of a migrate."""
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
        words.append(
            f"Snapshot {snapshot.name} was taken. To go back: greenroom pg:restore {snapshot.name} -a {dyno.app.name}"
        )
    if held is not None and held.release_id == dyno.release_id:
        words.append(f"v{version} is held: it goes live by itself when this migrates well.")
    return {"X-Heroku-Warning": "  ".join(words)} if words else {}


def _release_to_run(call: Call) -> Release:
    """The release that a one-off dyno runs: the live one, else the newest with code."""
    live = dyno_queries.live(call.app)
    row = (
        live.release
        if live
        else releases.of_app(call.app).exclude(slug=None).filter(status__in=("pending", "succeeded")).first()
    )
    if row is None:
        text, hint = standing(call.app)
        raise ConflictError(f"Nothing can be run on {call.app.name} yet: {text}", hint=hint)
    return row


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


def _size(env: dict[str, str]) -> tuple[int, int]:
    def number(name: str, default: int) -> int:
        text = env.get(name, "")
        return min(1000, max(1, int(text))) if text.isdecimal() else default

    return number("LINES", 24), number("COLUMNS", 80)


@route("DELETE", "/apps/{app}/dynos", "scale", returns="202 nothing")
def restart_all(call: Call) -> Reply:
    """Replace all dynos; the old ones serve until the new ones answer."""
    dynos.restart(actor=call.actor, app=call.app)
    deliveries.wake()
    return Reply({}, 202)


@route("DELETE", "/apps/{app}/dynos/{dyno}", "scale", returns="202 nothing")
def restart_one(call: Call) -> Reply:
    """End one dyno; a formation dyno is started anew."""
    return _end_one(call, "restart")


@route("POST", "/apps/{app}/dynos/{dyno}/actions/stop", "scale", returns="202 nothing")
def stop_one(call: Call) -> Reply:
    """The same; one-off dynos do not come back."""
    return _end_one(call, "stop")


def _end_one(call: Call, word: str) -> Reply:
    dynos.restart(actor=call.actor, app=call.app, name=call.params["dyno"], word=word)
    deliveries.wake()
    return Reply({}, 202)


@route("DELETE", "/apps/{app}/formations/{type}", "scale", returns="202 nothing")
def restart_type(call: Call) -> Reply:
    """Replace the dynos of one process type. ``web`` goes as all dynos do: the old ones serve until the new ones
    answer.
    """
    return _end_type(call, "restart")


@route("POST", "/apps/{app}/formations/{type}/actions/stop", "scale", returns="202 nothing")
def stop_type(call: Call) -> Reply:
    """The same; one-off dynos (type ``run``) do not come back."""
    return _end_type(call, "stop")


def _end_type(call: Call, word: str) -> Reply:
    kind = call.params["type"]
    if kind not in {row.type for row in dynos.running(call.app)}:
        hint = f"greenroom ps -a {call.app.name}"
        raise NotFoundError(f"No dyno of process type {kind[:60]} is running.", hint=hint, resource="formation")
    dynos.restart(actor=call.actor, app=call.app, name=kind, word=word)
    deliveries.wake()
    return Reply({}, 202)
