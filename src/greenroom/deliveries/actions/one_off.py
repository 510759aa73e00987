"""Runs a command in a one-off dyno. A migrate first gets a snapshot, a rehearsal check and a record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from django.db import transaction

from greenroom.accounts.rules import Actor
from greenroom.app_migrations import actions as migrations
from greenroom.app_migrations import queries as migration_queries
from greenroom.app_migrations import rules as migration_rules
from greenroom.app_migrations.actions import rehearsals
from greenroom.app_migrations.models import MigrationRun
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.deliveries.queries.remedies import standing
from greenroom.dynos import actions as dynos
from greenroom.dynos import queries as dyno_queries
from greenroom.dynos.actions import planned_starts
from greenroom.dynos.models import Dyno
from greenroom.dynos.rules import StartOptions
from greenroom.engine.contract import Engine
from greenroom.releases import queries as releases
from greenroom.releases.models import Release

FORCE = "GREENROOM_FORCE"
"""Variable of the command's environment; with the app's name as its value it acts as ``--force`` for clients without
that option.
"""


@dataclass(frozen=True, kw_only=True)
class Order:
    """A requested command. env: in addition to the config vars; tty: with a terminal of LINES x COLUMNS in env.

    snapshot: take one before a migrate; forced: migrate although the rehearsal failed.
    """

    command: str
    size: str
    env: Mapping[str, str]
    attach: bool
    tty: bool
    snapshot: bool
    forced: bool


@dataclass(frozen=True)
class Started:
    """The started dyno, and the record of the migrate if the command is one."""

    dyno: Dyno
    migration: MigrationRun | None


def run(*, actor: Actor, app: App, engine: Callable[[], Engine], home: Path, order: Order) -> Started:
    """Start a one-off dyno. An attached one waits 60 s for its client. engine: called once there is code to run.

    A migrate is only recorded: the worker starts it after its snapshot. ConflictError without code, while another
    migrate runs, or if the rehearsal failed. On an error nothing is started.
    """
    text, env = order.command, dict(order.env)
    release = migration_queries.release_for(app, text) or _release_to_run(app)
    env = {**migration_rules.guards(text, release.config.names, app=app.id.hex), **env}
    migrations.refuse_clash(app=app, command=text, engine=engine())
    forced = order.forced or env.pop(FORCE, "") == app.name
    overruled = rehearsals.refuse_red(app=app, release=release, command=text, forced=forced)
    hang_up = not migration_rules.is_migrate(text)  # a migrate that has started runs to its end
    options = _options(order, env, hang_up=hang_up)
    with transaction.atomic():
        dyno = dynos.make_one_off(
            actor=actor, app=app, release=release, command=text, size=order.size, attached=order.attach and hang_up
        )
        snapshot = migrations.secure(actor=actor, release=release, command=text, wanted=order.snapshot)
        begun = migrations.begin_run(actor=actor, dyno=dyno, snapshot=snapshot, overruled=overruled)
        if begun is not None:
            planned_starts.plan(dyno=dyno, options=options, home=home)
    if begun is None:
        dynos.start(dyno=dyno, engine=engine(), home=home, options=options)
    wake()
    return Started(dyno, begun)


def _options(order: Order, env: Mapping[str, str], *, hang_up: bool) -> StartOptions:
    rows, columns = _size(env)
    return StartOptions(extra=env, attach=order.attach, tty=order.tty, rows=rows, columns=columns, hang_up=hang_up)


def _release_to_run(app: App) -> Release:
    """The release for a one-off dyno: the live one, else the newest with code; a failed one if there is no other, to
    find out why.
    """
    live = dyno_queries.live(app)
    rows = releases.of_app(app).exclude(slug=None)
    row = live.release if live else rows.filter(status__in=("pending", "succeeded")).first() or rows.first()
    if row is None:
        text, hint = standing(app)
        raise ConflictError(f"Cannot run commands on {app.name} yet: {text}", hint=hint)
    return row


def _size(env: Mapping[str, str]) -> tuple[int, int]:
    def number(name: str, default: int) -> int:
        text = env.get(name, "")
        return min(1000, max(1, int(text))) if text.isdecimal() else default

    return number("LINES", 24), number("COLUMNS", 80)
