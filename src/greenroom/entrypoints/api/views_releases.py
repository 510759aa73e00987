"""API of releases and rollbacks."""

from __future__ import annotations

from typing import Any

from greenroom.basics import client_commands
from greenroom.deliveries.actions.retries import retry_release
from greenroom.deliveries.actions.rollbacks import ask_to_roll_back
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries.time_limits import seconds
from greenroom.dynos import queries as dyno_queries
from greenroom.entrypoints.api import disk_reserve, shapes
from greenroom.entrypoints.api.listing import USUAL, Listing
from greenroom.entrypoints.api.routing import HOME, Call, Reply, route
from greenroom.entrypoints.api.views_gate import output_url, transcript_url
from greenroom.releases import queries as releases
from greenroom.releases.models import Release


def _current(call: Call) -> int | None:
    """The version of the live release; before any code, the newest successful one."""
    live = dyno_queries.live(call.app)
    if live:
        return live.release.version
    row = releases.newest(call.app, "succeeded")
    return row.version if row else None


@route("GET", "/apps/{app}/releases", "view", paged="version", returns="[release]")
def list_releases(call: Call) -> Listing:
    """List all releases, newest first."""

    def page(rows: list[Release]) -> list[dict[str, Any]]:
        current, outputs = _current(call), _outputs(rows)
        return [
            {**shapes.release(row, current=row.version == current), "output_stream_url": outputs.get(row.pk)}
            for row in rows
        ]

    return Listing(releases.of_app(call.app), page, "-version", {"version": "version", **USUAL})


def _outputs(rows: list[Release]) -> dict[Any, str]:
    """Release -> URL of its release command's output, for releases with such a command."""
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
    """Get one release by version or id."""
    row = releases.by_name(call.app, call.params["release"])
    held = dyno_queries.held(call.app) if row.status == "pending" else None
    pending = (
        {"patience": round(seconds(row)), "held": held is not None and held.release_id == row.pk}
        if row.status == "pending"
        else {}
    )
    return {**shapes.release(row, current=row.version == _current(call)), "output_stream_url": _output(row), **pending}


def _output(row: Release) -> str | None:
    """URL of its release command's output or, for a promotion, which clients follow, of its delivery's transcript; None
    if there is neither.
    """
    if row.kind != "promote":
        return _outputs([row]).get(row.pk)
    delivery = Delivery.objects.filter(release=row).first()
    return transcript_url(delivery) if delivery else None


@route("GET", "/apps/{app}/releases/{release}/config-vars", "config:read", returns="config-vars")
def release_config(call: Call) -> dict[str, str]:
    """List the config vars of one release."""
    return releases.config_values(releases.by_name(call.app, call.params["release"]), HOME)


@route("POST", "/apps/{app}/releases", "release", takes="release.create", returns="201 release")
def roll_back(call: Call) -> Reply:
    """Roll back to a release: {release: id or version, force, confirm: the app's name}.

    Without a release, to the last successful one. {slug}: release the newest slug again.
    """
    if call.text("slug"):
        disk_reserve.need(HOME)
        made = retry_release(actor=call.actor, app=call.app, home=HOME, slug=call.text("slug"))
        return Reply({**shapes.release(made), "output_stream_url": _outputs([made]).get(made.pk)}, 201)
    wanted = call.body.get("release")
    version = releases.by_name(call.app, str(wanted)).version if wanted else None
    mute = client_commands.of_agent(call.request.headers.get("User-Agent", "")) == client_commands.HEROKU
    row, said = ask_to_roll_back(
        actor=call.actor,
        app=call.app,
        home=HOME,
        version=version,
        force=call.body.get("force") is True,
        confirmed=call.text("confirm") == call.app.name,
        mute=mute,
    )
    return Reply(shapes.release(row), 201, {"X-Heroku-Warning": said[:2000]} if said else {})
