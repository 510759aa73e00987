"""Runs the checks of a delivery in parallel with its build: the scan when the files of the commit are complete, the
tests when the slug is ready.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from greenroom.apps.actions import lock_app
from greenroom.apps.models import App
from greenroom.builds import steps as builds
from greenroom.builds.models import Build
from greenroom.builds.queries import gathers
from greenroom.checks import actions, queries, rules, steps
from greenroom.checks.models import CheckRun
from greenroom.deliveries import actions as journeys
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import checked_again, deployed_sha, required_checks
from greenroom.engine.contract import Engine
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import mounts

Say = Callable[[str], None]
Guarded = Callable[[App, Callable[[], object]], None]


def advance(delivery: Delivery, engine: Engine, home: Path, say: Say) -> None:
    """Advance each builtin check by one step, then update the verdict. Never waits."""
    build = delivery.build
    slug = build.slug if build and build.status == "succeeded" else None
    names = required_checks(delivery.app, slug)
    for run in actions.begin(app=delivery.app, sha=delivery.sha, names=[n for n in names if n in ("tests", "scan")]):
        if run.status == "completed":
            continue
        if run.name == "scan":
            if not gathers(build):
                _scan(run, delivery, slug, engine, home, say)
        elif build and slug:
            _tests(run, build, slug, engine, home, say)
    actions.judge(app=delivery.app, sha=delivery.sha, required=names)


def _scan(run: CheckRun, delivery: Delivery, slug: Slug | None, engine: Engine, home: Path, say: Say) -> None:
    steps.advance_scan(
        run=run,
        app=delivery.app,
        sha=delivery.sha,
        deployed_sha=deployed_sha(delivery.app),
        slug=slug,
        mounts=mounts(slug) if slug else None,
        engine=engine,
        home=home,
        say=say,
    )


def _tests(run: CheckRun, build: Build, slug: Slug, engine: Engine, home: Path, say: Say) -> None:
    """Prepare the overlay with the test requirements, then run the tests. A failed overlay is an error of the check,
    not a pass.
    """
    config = journeys.config_of(run.app, home)  # the installer reads only its index credentials from it
    overlay = builds.prepare_test_overlay(slug=slug, engine=engine, home=home, say=say, config=config)
    if overlay.status == "ready":
        steps.advance_tests(
            run=run,
            slug=slug,
            mounts=overlay.mounts,
            engine=engine,
            home=home,
            say=say,
            deployed_sha=deployed_sha(run.app),
        )
    elif overlay.status == "failed":
        say(f" !     The test requirements could not be installed: {overlay.message}")
        title = f"the test requirements could not be installed: {overlay.message}"
        actions.report(
            app=run.app,
            sha=run.sha,
            name=run.name,
            status="completed",
            conclusion="error",
            title=title[:255],
            summary=overlay.message,
        )


def colour_now(delivery: Delivery, slug: Slug) -> str:
    """The verdict's current colour. Call it inside the transaction that acts on it: until commit, no report, re-run or
    override of the app is accepted.
    """
    lock_app(delivery.app_id)
    return actions.judge(app=delivery.app, sha=delivery.sha, required=required_checks(delivery.app, slug)).colour


def remedies(delivery: Delivery) -> list[str]:
    """The user's next commands for a withheld commit, one line per blocking check."""
    runs = [queries.as_rule(run) for run in queries.latest(delivery.app, delivery.sha)]
    slug = delivery.build.slug if delivery.build else None
    first = not deployed_sha(delivery.app)
    required = required_checks(delivery.app, slug)
    return rules.remedies(runs, required=required, app=delivery.app.name, sha=delivery.sha, first=first)


def cancel(delivery: Delivery, engine: Engine, why: str) -> None:
    """Cancel the checks of a commit that is no longer needed."""
    actions.cancel(app=delivery.app, sha=delivery.sha, engine=engine, why=why)
    slug = delivery.build.slug if delivery.build else None
    actions.judge(
        app=delivery.app, sha=delivery.sha, required=required_checks(delivery.app, slug)
    )  # no delivery waits for them


def advance_ended(engine: Engine, home: Path, guarded: Guarded | None = None) -> bool:
    """Advance each re-run check of a commit whose delivery has ended. True while there are any.

    guarded: runs the step of an app and isolates its failure from other apps.
    """
    busy = False
    for delivery in checked_again():
        step = partial(advance, delivery, engine, home, lambda _: None)
        guarded(delivery.app, step) if guarded else step()
        busy = True
    return busy
