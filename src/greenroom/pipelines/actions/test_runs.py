"""Test runs: numbers the check runs ``tests`` of the pipelines' apps, and executes the archives of ``heroku ci:run``.

An uploaded run has its own commit, build and check run. The commit id that the client names is not verified, so the
gate never uses the run as that commit's tests. Rows are written before side effects; each step is safe to repeat.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

from django.db import transaction
from django.db.models import Exists, F, Max, OuterRef, QuerySet

from greenroom.accounts.actions import audit
from greenroom.accounts.rules import Actor
from greenroom.addons.queries import nowhere
from greenroom.apps.actions import lock_apps
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, GreenroomError, UserError
from greenroom.basics.guard import Guard
from greenroom.basics.text import printable
from greenroom.builds import actions as builds
from greenroom.builds import steps as build_steps
from greenroom.builds.drivers import dyno_output
from greenroom.builds.models import Build
from greenroom.checks import actions as checks
from greenroom.checks import steps as check_steps
from greenroom.checks.builtin import environment
from greenroom.checks.models import CheckRun
from greenroom.config_vars.drivers.sealed_maps import for_tests
from greenroom.deliveries.drivers import transcript
from greenroom.deliveries.models import Delivery
from greenroom.engine.contract import Engine
from greenroom.git import queries as git
from greenroom.git.drivers.tarball import import_tarball
from greenroom.pipelines import queries, rules
from greenroom.pipelines.actions import lock
from greenroom.pipelines.models import Pipeline, TestRun

log = logging.getLogger(__name__)
guard = Guard(log)
BATCH = 100
FOLDER = "logs/deliveries"
NAME = re.compile(r"[0-9a-f]{32}\.log\Z")
LEFT_BEHIND = 3600.0
TESTS = "-----> Running tests"
"""The first line of the tests in a delivery's transcript; the set-up is before it."""


def start(
    *,
    actor: Actor,
    pipeline: Pipeline,
    home: Path,
    tarball: Path,
    commit_sha: str,
    commit_branch: str,
    commit_message: str,
) -> TestRun:
    """Start a test run of an archive in the pipeline's first app. First creates a commit outside a transaction."""
    app = _first_app(pipeline)
    title = f"ci:run of {commit_branch[:100]}: {commit_message[:200]}"
    made = import_tarball(
        app=app,
        home=home,
        tarball=tarball,
        message=title,
        name=actor.email,
        email=actor.email,
        at=int(clock.now().timestamp()),
    )
    with transaction.atomic():
        lock_apps([app.pk])
        row = _row(
            pipeline,
            app=app,
            uploaded=True,
            sha=made.sha,
            commit_sha=printable(commit_sha, 64, one_line=True),
            commit_branch=printable(commit_branch, 255, one_line=True),
            commit_message=printable(commit_message, 500, one_line=True),
            account_id=actor.account_id,
        )
        detail = {"pipeline": pipeline.name, "number": row.number, "sha": made.sha, "claimed": row.commit_sha}
        audit(actor=actor, action="pipeline.test_run", app=app, detail=detail)
    return row


def _first_app(pipeline: Pipeline) -> App:
    app = queries.parent_app(pipeline)
    if app is None:
        hint = f"greenroom pipelines:add {pipeline.name} -a APP --stage staging"
        raise UserError(f"The pipeline {pipeline.name} has no app to run tests in.", hint=hint)
    return app


def _row(pipeline: Pipeline, **columns: object) -> TestRun:
    lock(pipeline)
    top = TestRun.objects.filter(pipeline=pipeline).aggregate(top=Max("number"))["top"] or 0
    return TestRun.objects.create(pipeline=pipeline, number=top + 1, **columns)


def unnumbered() -> QuerySet[CheckRun]:
    """Check runs of the pipelines' apps without a number in their pipeline, oldest first."""
    known = TestRun.objects.filter(pipeline=OuterRef("app__coupling__pipeline"), check_run=OuterRef("pk"))
    ours = TestRun.objects.filter(app=OuterRef("app"), sha=OuterRef("sha"), uploaded=True)
    rows = CheckRun.objects.filter(name="tests", builtin=True, app__coupling__isnull=False)
    rows = rows.filter(~Exists(known), ~Exists(ours)).annotate(pipeline=F("app__coupling__pipeline"))
    return rows.select_related("app__coupling__pipeline").order_by("created_at", "number")


def number_new(*, home: Path) -> int:
    """Number the new check runs of pushes. Returns how many were numbered."""
    rows = list(unnumbered()[:BATCH])
    return sum(
        bool(guard.run(run.pk, f"check run {run.pk} of {run.app.name}", partial(_number, run, home))) for run in rows
    )


def _number(run: CheckRun, home: Path) -> bool:
    delivery = (
        Delivery.objects.filter(app=run.app, sha=run.sha, kind="push").select_related("push").order_by("-seq").first()
    )
    branch = delivery.push.ref.removeprefix("refs/heads/") if delivery and delivery.push else run.app.protected_branch
    with transaction.atomic():
        _row(
            run.app.coupling.pipeline,
            app=run.app,
            check_run=run,
            sha=run.sha,
            commit_sha=run.sha,
            commit_branch=branch,
            commit_message=_subject(run, home),
            account_id=delivery.account_id if delivery else None,
            state="running",
        )
    return True


def _subject(run: CheckRun, home: Path) -> str:
    try:
        return git.commit(run.app, home, run.sha).subject
    except GreenroomError:
        return ""


class Driver:
    """Executes open test runs, one step per call; never blocks."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home = engine, home

    def advance(self, row: TestRun) -> None:
        """One step."""
        if row.uploaded and row.state in ("pending", "building"):
            self._build(row)
        elif row.uploaded and row.state == "running":
            self._test(row)
        self._tell(row)

    def _say(self, file: str) -> Callable[[str], None]:
        return lambda text: transcript.append(self.home / file, text)

    def _build(self, row: TestRun) -> None:
        build = row.build or self._started(row)
        if build is None:
            return
        config = self._environment(row)
        build = build_steps.advance(
            build=build, engine=self.engine, home=self.home, say=self._say(row.setup), config=config
        )
        if build.status == "succeeded":
            self._queue(row)
        elif build.status != "pending":
            text = build.failure_message or f"the build was {build.status}"
            hint = f"\n !     hint: {build.failure_hint}" if build.failure_hint else ""
            self._say(row.setup)(f" !     {text}{hint}\n !     Build failed: no test was run.")
            self._write(row, state="ended", message=text)

    @transaction.atomic
    def _started(self, row: TestRun) -> Build | None:
        """Start the run's build. None if the run was cancelled."""
        if _is_cancelled(row):
            return None
        build = builds.start(app=row.app, commit=row.sha, account=row.account)
        self._write(row, build=build, state="building")
        return build

    @transaction.atomic
    def _queue(self, row: TestRun) -> None:
        """Create the run's check run, unless the run was cancelled."""
        if not _is_cancelled(row):
            (run,) = checks.begin(app=row.app, sha=row.sha, names=["tests"])
            self._write(row, check_run=run, state="running")

    def _environment(self, row: TestRun) -> dict[str, str]:
        """The build's environment: that of the tests without a database, never the app's config vars."""
        declared = rules.app_json(git.show(row.app, self.home, row.sha, "app.json"))
        given = {"SECRET_KEY": row.id.hex, **for_tests(row.app, self.home)}
        return environment.of_tests(
            app_json=declared, is_django=False, addons=nowhere(row.app), marks={"CI": "true"}, given=given
        )

    def _test(self, row: TestRun) -> None:
        run, slug = row.check_run, row.build.slug if row.build else None
        if run is None or slug is None:
            self._write(row, state="ended", message="its slug was deleted")
            return
        if run.status == "completed":
            self._write(row, state="ended")
            return
        overlay = build_steps.prepare_test_overlay(
            slug=slug,
            engine=self.engine,
            home=self.home,
            say=self._say(row.setup),
            config=for_tests(row.app, self.home),
        )
        if overlay.status == "ready":
            check_steps.advance_tests(
                run=run, slug=slug, mounts=overlay.mounts, engine=self.engine, home=self.home, say=lambda _: None
            )
        elif overlay.status == "failed":
            self._fail(row, overlay.message)

    @transaction.atomic
    def _fail(self, row: TestRun, message: str) -> None:
        """End the check with an error. The check of a cancelled run has already ended and gets no new attempt."""
        if not _is_cancelled(row):
            title = f"the test requirements could not be installed: {message}"
            checks.report(
                app=row.app,
                sha=row.sha,
                name="tests",
                status="completed",
                conclusion="error",
                title=title[:255],
                summary=message,
            )

    # -- the two files
    # -------------------------------------------------------------------------------------------------------

    def _tell(self, row: TestRun) -> None:
        """Copy new output of the test dyno. At the end, append the result and mark both files as complete."""
        run = CheckRun.objects.filter(pk=row.check_run_id).first() if row.check_run_id else None
        ended = run.status == "completed" if run else row.state in ("ended", "cancelled")
        if run is not None and run.status != "queued":
            self._setup_of_push(row, run)
            self._copy(row, run, ended)
        if ended:
            said = self.home / row.output
            transcript.append(said, _ending(row, run))
            for file in (row.setup, row.output):
                transcript.close(self.home / file)
            self._write(row, told=True, state="ended")

    def _copy(self, row: TestRun, run: CheckRun, ended: bool) -> None:
        while True:
            before = row.place
            text, place = dyno_output.new_lines(self.engine, f"test-{run.id.hex}", before, ended)
            if place != before:
                if text:
                    transcript.append(self.home / row.output, text)
                self._write(row, place=place)
            if place == before or not ended:
                return

    def _setup_of_push(self, row: TestRun, run: CheckRun) -> None:
        """Copy the delivery's output before its tests, once. The set-up file of an uploaded run is already complete."""
        path = self.home / row.setup
        if transcript.is_closed(path):
            return
        if not row.uploaded:
            delivery = Delivery.objects.filter(app=run.app, sha=run.sha, kind="push").order_by("-seq").first()
            path.unlink(missing_ok=True)
            transcript.append(path, _before_tests(self.home / delivery.transcript) if delivery else "")
        transcript.close(path)

    @transaction.atomic
    def _write(self, row: TestRun, **columns: object) -> None:
        """Set columns, unless the run was cancelled in the meantime."""
        now = TestRun.objects.select_for_update(no_key=True).get(pk=row.pk) if "state" in columns else None
        if now and now.state == "cancelled":
            columns = {**columns, "state": now.state, "message": now.message}
        for name, value in columns.items():
            setattr(row, name, value)
        row.save(update_fields=[*columns, "updated_at"])


def _locked(row: TestRun) -> TestRun:
    """Reload and lock the run until the transaction ends. Locks its app's row first (see the order of locks)."""
    lock_apps([row.app_id])
    return (
        TestRun.objects.select_for_update(no_key=True, of=("self",))
        .select_related("app", "build", "check_run", "pipeline", "account")
        .get(pk=row.pk)
    )


def _is_cancelled(row: TestRun) -> bool:
    """Whether the run was cancelled since it was read. Locks the run until the transaction ends."""
    now = _locked(row)
    if now.state == "cancelled":
        row.state, row.message = now.state, now.message
    return now.state == "cancelled"


def _before_tests(path: Path) -> str:
    return transcript.read(path).partition(f"\n{TESTS}")[0]


def _ending(row: TestRun, run: CheckRun | None) -> str:
    """The last lines of a run's output, with the check's summary if the dyno's output was lost before the copy."""
    if run is None:
        return f"-----> {row.message or 'no test was run'}"
    said = f"{run.summary}\n" if run.summary and not row.place else ""
    return f"{said}-----> {run.title or run.conclusion}"


@transaction.atomic
def cancel(*, actor: Actor, row: TestRun, engine: Engine) -> TestRun:
    """Cancel the test run of an archive. Raises ConflictError for an ended run, and for one of a push, which the gate
    needs.
    """
    row = _locked(row)
    if not row.uploaded:
        raise ConflictError(
            f"Test run {row.number} of a push cannot be cancelled.", hint=f"greenroom checks -a {row.app.name}"
        )
    status = rules.test_status(state=row.state, check=row.check_run.status if row.check_run else "", conclusion="")
    over = ConflictError(
        f"Test run {row.number} has already ended.", hint=f"greenroom ci:info {row.number} -p {row.pipeline.name}"
    )
    if status in rules.TEST_ENDED:
        raise over
    why = f"cancelled by {actor.email}"
    if row.check_run:
        if not checks.cancel(app=row.app, sha=row.sha, engine=engine, why=why):
            raise over
    elif row.build:
        builds.cancel(build=row.build, engine=engine, why=f"{why}.")
    row.state, row.message = "cancelled", why
    row.save(update_fields=["state", "message", "updated_at"])
    audit(
        actor=actor,
        action="pipeline.test_run_cancel",
        app=row.app,
        detail={"pipeline": row.pipeline.name, "number": row.number},
    )
    return row


def sweep(home: Path, *, now: float) -> list[str]:
    """Remove files of deleted test runs and deliveries after an hour without writes. Returns their names."""
    folder, removed = home / FOLDER, []
    old = (
        [path for path in folder.glob("*.log") if NAME.match(path.name) and now - path.stat().st_mtime > LEFT_BEHIND]
        if folder.is_dir()
        else []
    )
    ids = [UUID(path.stem) for path in old]
    known = {
        pk.hex
        for rows in (Delivery.objects.filter(pk__in=ids), TestRun.objects.filter(pk__in=ids))
        for pk in rows.values_list("pk", flat=True)
    }
    known |= {node.hex for node in TestRun.objects.filter(node__in=ids).values_list("node", flat=True)}
    for path in old:
        if path.stem not in known:
            path.unlink(missing_ok=True)
            path.with_name(f"{path.name}{transcript.DONE}").unlink(missing_ok=True)
            removed.append(path.name)
    return removed
