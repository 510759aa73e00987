"""Drives the checks of a delivery side by side with its build: the scan from the start, the tests as soon as there is a
slug.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

from greenroom.accounts.rules import Actor
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError
from greenroom.builds import actions as builds
from greenroom.builds.models import Build
from greenroom.checks import actions, queries, rules
from greenroom.checks.models import CheckRun
from greenroom.deliveries import actions as journeys
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries import checked_again, deployed_sha, required_checks
from greenroom.engine.contract import Engine
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import mounts

Say = Callable[[str], None]
Guarded = Callable[[App, Callable[[], object]], None]


def required(delivery: Delivery, slug: Slug | None) -> tuple[str, ...]:
    """The checks that must be green: the builtin ones, the app's, and those that greenroom.toml of the commit names.

    The rehearsal is not among them: it tries a release, which is made when these are green. It is waited for before the
    switch.
    """
    return required_checks(delivery.app, slug)


def advance(delivery: Delivery, engine: Engine, home: Path, say: Say) -> None:
    """One step of each builtin check, then the verdict. Never waits."""
    build = delivery.build
    slug = build.slug if build and build.status == "succeeded" else None
    names = required(delivery, slug)
    for run in actions.begin(app=delivery.app, sha=delivery.sha, names=[n for n in names if n in ("tests", "scan")]):
        if run.status == "completed":
            continue
        if run.name == "scan":
            _scan(run, delivery, slug, engine, home, say)
        elif build and slug:
            _tests(run, build, slug, engine, home, say)
    actions.judge(app=delivery.app, sha=delivery.sha, required=names)


def _scan(run: CheckRun, delivery: Delivery, slug: Slug | None, engine: Engine, home: Path, say: Say) -> None:
    actions.advance_scan(
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
    """The overlay with the test requirements first; when it cannot be made, that is an error of the check, not a
    pass.
    """
    config = journeys.config_of(run.app, home)  # an installer sees the credentials of its index, and nothing else of it
    overlay = builds.prepare_test_overlay(slug=slug, engine=engine, home=home, say=say, config=config)
    if overlay.status == "ready":
        actions.advance_tests(
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
    """The verdict's colour at this moment. Call it inside the transaction that acts on it: until its end no report,
    re-run or override of the app is taken.
    """
    App.objects.select_for_update(no_key=True).get(pk=delivery.app_id)
    return actions.judge(app=delivery.app, sha=delivery.sha, required=required(delivery, slug)).colour


def remedies(delivery: Delivery) -> list[str]:
    """What the pusher of a withheld commit can do next, a line for each check that is in the way."""
    runs = [queries.as_rule(run) for run in queries.latest(delivery.app, delivery.sha)]
    slug = delivery.build.slug if delivery.build else None
    return rules.remedies(runs, required=required(delivery, slug), app=delivery.app.name, sha=delivery.sha)


def cancel(delivery: Delivery, engine: Engine, why: str) -> None:
    """End the checks of a commit that nobody waits for any more."""
    actions.cancel(app=delivery.app, sha=delivery.sha, engine=engine, why=why)
    slug = delivery.build.slug if delivery.build else None
    actions.judge(
        app=delivery.app, sha=delivery.sha, required=required(delivery, slug)
    )  # nobody waits for them any more


def rerun(*, app: App, sha: str, actor: Actor, name: str | None, home: Path) -> list[CheckRun]:
    """Another attempt of a check, or of all that are not green. A withheld commit is judged by it; one that is live, or
    overtaken, stays as it is.

    ConflictError for a commit that was never built: nothing is there that could be tested. Else as
    ``checks.actions.rerun``.
    """
    newest = (
        Delivery.objects.filter(app=app, sha=sha, kind="push").select_related("build__slug").order_by("-seq").first()
    )
    if newest and newest.finished_at and not (newest.build and newest.build.slug):
        state = newest.state.replace("_", " ")
        raise ConflictError(
            f"{sha[:8]} was never built, so nothing can be run again: its delivery is {state}.",
            hint="push a new commit",
        )
    runs = actions.rerun(app=app, sha=sha, actor=actor, name=name)
    with suppress(ConflictError):
        journeys.reopen(app=app, sha=sha, home=home)
    journeys.wake()
    return runs


def advance_ended(engine: Engine, home: Path, guarded: Guarded | None = None) -> bool:
    """A step of each check that somebody runs again of a commit whose delivery has ended. True while there are any.

    guarded: takes the step of an app so that its failure does not stop the others.
    """
    busy = False
    for delivery in checked_again():
        step = partial(advance, delivery, engine, home, lambda _: None)
        guarded(delivery.app, step) if guarded else step()
        busy = True
    return busy


def reported(*, app: App, sha: str, home: Path) -> None:
    """A check from outside has moved: wake the loop, and let the gate judge again a commit that the verdict had
    withheld.

    A commit behind a live one stays as it is. A report never fails for what becomes of its delivery.
    """
    withheld = (
        Delivery.objects.filter(app=app, sha=sha, kind="push", state="refused", release=None).order_by("-seq").first()
    )
    slug = withheld.build.slug if withheld and withheld.build else None
    paused = withheld is not None and withheld.reason.startswith(journeys.PAUSED)
    if withheld and slug and not paused:
        verdict = actions.judge(app=app, sha=sha, required=required(withheld, slug))
        if verdict.colour in ("green", "pending"):
            with suppress(ConflictError):
                journeys.reopen(app=app, sha=sha, home=home)
    journeys.wake()
