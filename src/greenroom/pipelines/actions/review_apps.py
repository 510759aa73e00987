"""Review apps: a separate app for a branch of another app's repository, with its own database and config vars.

Its config vars come from app.json, the pipeline's stage ``review`` and its creator. The branch's commit is pushed to
it and passes the same gate as any push. It follows its branch, and is destroyed with it or after some days without
changes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons.actions import refuse_given
from greenroom.addons.rules.services import given
from greenroom.apps import actions as apps
from greenroom.apps.actions import egress
from greenroom.apps.actions.worker import wake
from greenroom.apps.models import App
from greenroom.basics import clock, ids
from greenroom.basics.errors import ConflictError, GreenroomError, NotFoundError, UserError
from greenroom.basics.guard import Guard
from greenroom.config_vars import rules as config_rules
from greenroom.config_vars.actions import refuse_problems
from greenroom.config_vars.drivers.sealed_maps import open_map, sealed_map
from greenroom.deliveries import actions as deliveries
from greenroom.deliveries.actions import app_lifecycle
from greenroom.deliveries.models import Delivery
from greenroom.engine.contract import Engine
from greenroom.git import queries as git
from greenroom.git.actions import platform_pushes
from greenroom.git.drivers import repository
from greenroom.git.models import Push
from greenroom.git.rules import is_branch_name
from greenroom.pipelines import queries, rules
from greenroom.pipelines.actions import hand_down, lock, review_addons
from greenroom.pipelines.models import Coupling, Pipeline, ReviewApp, ReviewAppConfig

log = logging.getLogger(__name__)
guard = Guard(log)
SETTINGS = ("automatic", "destroy_stale", "stale_days", "wait_for_ci", "base_name")
MOST = 20
"""Maximum number of review apps per pipeline."""


@transaction.atomic
def configure(*, actor: Actor, pipeline: Pipeline, changes: Mapping[str, Any]) -> ReviewAppConfig:
    """Enable review apps or change their settings. Raises UserError if the pipeline has no app with a repository."""
    lock(pipeline)
    row = ReviewAppConfig.objects.filter(pipeline=pipeline).first()
    if row is None:
        row = ReviewAppConfig(pipeline=pipeline, parent=parent_of(pipeline))
    for name in SETTINGS:
        if changes.get(name) is not None:
            setattr(row, name, changes[name])
    row.save()
    detail = {"pipeline": pipeline.name, **{name: getattr(row, name) for name in SETTINGS}}
    audit(actor=actor, action="pipeline.review_apps", app=row.parent, detail=detail)
    return row


@transaction.atomic
def disable(*, actor: Actor, pipeline: Pipeline) -> None:
    """Stop creating review apps automatically. Existing ones stay until their branch is deleted."""
    ReviewAppConfig.objects.filter(pipeline=pipeline).delete()
    audit(actor=actor, action="pipeline.review_apps", detail={"pipeline": pipeline.name, "disabled": True})


def parent_of(pipeline: Pipeline) -> App:
    """The app whose branches get review apps."""
    row = ReviewAppConfig.objects.filter(pipeline=pipeline).select_related("parent").first()
    app = row.parent if row else queries.parent_app(pipeline)
    if app is None:
        hint = f"greenroom pipelines:add {pipeline.name} -a APP --stage staging"
        raise UserError(f"The pipeline {pipeline.name} has no app with a repository.", hint=hint)
    return app


def branch_head(pipeline: Pipeline, branch: str, home: Path) -> str:
    """The branch's newest commit. Raises NotFoundError if the parent app has no such branch."""
    app = parent_of(pipeline)
    sha = git.head(app, home, branch) if is_branch_name(branch) else None
    if sha is None:
        raise NotFoundError(
            f"{app.name} has no branch {branch[:100]!r}.", hint=f"git push greenroom {branch[:100]}", resource="branch"
        )
    return sha


@transaction.atomic
def begin(
    *, actor: Actor, pipeline: Pipeline, branch: str, home: Path, environment: Mapping[str, str] | None = None
) -> ReviewApp:
    """Request a review app; the loop creates the app. Raises ConflictError if the branch has one, or at the limit."""
    branch_head(pipeline, branch, home)
    refuse_problems(environment or {})
    refuse_given(environment or {})
    apps.lock_apps([parent_of(pipeline).pk])
    lock(pipeline)
    _refuse_another(pipeline, branch)
    parent, config = parent_of(pipeline), ReviewAppConfig.objects.filter(pipeline=pipeline).first()
    name = rules.review_app_name(
        base=(config and config.base_name) or parent.name, branch=branch, random=ids.new_secret(2)
    )
    row = ReviewApp(
        pipeline=pipeline,
        parent=parent,
        app_name=name,
        branch=branch,
        account_id=actor.account_id,
        wait_for_ci=bool(config and config.wait_for_ci),
        touched_at=clock.now(),
    )
    row.environment = sealed_map(environment, place=_place(row), home=home) if environment else b""
    row.save()
    _refused(pipeline, branch).update(state="deleted")
    audit(
        actor=actor,
        action="pipeline.review_app",
        app=parent,
        detail={"pipeline": pipeline.name, "branch": branch, "app": name},
    )
    return row


def _refuse_another(pipeline: Pipeline, branch: str) -> None:
    """Raise ConflictError if the branch already has a review app, or the pipeline has reached the limit."""
    known = ReviewApp.objects.filter(pipeline=pipeline).exclude(state="deleted").exclude(state="errored", app=None)
    same = known.filter(branch=branch).first()
    if same:
        raise ConflictError(
            f"The branch {branch} already has a review app: {same.app_name}.", hint=f"greenroom open -a {same.app_name}"
        )
    if known.count() >= MOST:
        raise ConflictError(
            f"Review app limit reached: {pipeline.name} has {MOST}.",
            hint=f"list them with greenroom reviewapps -p {pipeline.name}, then destroy one",
        )


def _refused(pipeline: Pipeline, branch: str) -> QuerySet[ReviewApp]:
    """The row with the reason why no review app was created for the branch. It has no app and no app name."""
    return ReviewApp.objects.filter(pipeline=pipeline, branch=branch, state="errored", app_name="")


def _place(row: ReviewApp) -> str:
    return f"review-app/{row.id}"


@transaction.atomic
def remove(*, actor: Actor, review: ReviewApp) -> ReviewApp:
    """Mark a review app for deletion. The loop destroys the app with all its data. The mark is final."""
    if review.app_id:
        apps.lock_apps([review.app_id])
    row = _locked(review)
    if row.state != "deleted":
        row.state = "deleting"
        row.save(update_fields=["state", "updated_at"])
        audit(
            actor=actor,
            action="pipeline.review_app_destroy",
            app=row.app,
            detail={"branch": row.branch, "app": row.app_name},
        )
    return row


def _locked(review: ReviewApp) -> ReviewApp:
    """Reload the row and lock it until the transaction ends."""
    return ReviewApp.objects.select_for_update(no_key=True).get(pk=review.pk)


def open_reviews() -> QuerySet[ReviewApp]:
    """Review apps that are not deleted, oldest first, including failed ones. One that a user destroyed counts as
    deleted.
    """
    rows = ReviewApp.objects.exclude(state="deleted").exclude(~Q(sha=""), state="errored", app=None)
    return rows.select_related("app", "app__owner", "parent", "pipeline__owner", "account").order_by("created_at")


def make_automatic(*, home: Path) -> list[ReviewApp]:
    """Request review apps for branches pushed after their pipeline enabled automatic ones, if the branch has none that
    is newer than the push.
    """
    made = []
    for config in ReviewAppConfig.objects.filter(automatic=True).select_related("pipeline__owner", "parent"):
        made += (
            guard.run(config.pk, f"the review apps of {config.parent.name}", partial(_of_config, config, home)) or []
        )
    return made


def _of_config(config: ReviewAppConfig, home: Path) -> list[ReviewApp]:
    rows = Push.objects.filter(
        app=config.parent, state="recorded", ref__startswith="refs/heads/", created_at__gt=config.created_at
    )
    rows = rows.exclude(ref=f"refs/heads/{config.parent.protected_branch}").select_related("account").order_by("-seq")
    return [row for push in _newest_of_each(rows[:200]) if (row := _automatic(config, push, home))]


def _newest_of_each(pushes: Any) -> list[Push]:
    seen: dict[str, Push] = {}
    for push in pushes:
        seen.setdefault(push.ref, push)
    return [push for push in seen.values() if set(push.after) != {"0"}]


def _automatic(config: ReviewAppConfig, push: Push, home: Path) -> ReviewApp | None:
    branch = push.ref.removeprefix("refs/heads/")
    rows = ReviewApp.objects.filter(pipeline=config.pipeline, branch=branch).exclude(state="errored", app_name="")
    if (
        rows.filter(created_at__gt=push.created_at).exists()
        or rows.exclude(state="deleted").exclude(state="errored", app=None).exists()
    ):
        return None
    try:
        return begin(
            actor=actor_of(push.account or config.pipeline.owner), pipeline=config.pipeline, branch=branch, home=home
        )
    except GreenroomError as error:
        _say_refused(config, push, branch, str(error))
        return None


def _say_refused(config: ReviewAppConfig, push: Push, branch: str, text: str) -> None:
    """Record in the list of review apps why there is none. It is retried, because deleted apps free the limit."""
    row = _refused(config.pipeline, branch).first()
    if row is not None and row.message == text:
        return
    row = row or ReviewApp(
        pipeline=config.pipeline, parent=config.parent, branch=branch, state="errored", account=push.account
    )
    row.message = text
    row.save()
    log.info("no review app for %s of %s: %s", branch, config.pipeline.name, text)


class Driver:
    """Executes the steps of review apps; never blocks."""

    def __init__(self, engine: Engine, home: Path) -> None:
        self.engine, self.home = engine, home

    def advance(self, row: ReviewApp) -> None:
        """One step."""
        head = _head(row, self.home)
        if row.state == "deleting" or (
            (row.app is not None or row.state == "pending") and (head is None or _is_stale(row))
        ):
            self._destroy(row)
        elif row.state == "pending":
            self._make(row)
        elif row.app is None and row.state == "errored":
            if head is None:  # the branch is gone, so the error is obsolete
                self._write(row, state="deleted")
        elif row.app is None:
            self._write(row, state="deleted", message="the app was destroyed")
        elif head != row.sha:
            self._push_or_say(row, str(head))
        elif row.state == "creating":
            self._judge(row)

    def _destroy(self, row: ReviewApp) -> None:
        if row.state != "deleting":
            self._write(row, state="deleting")
        if row.app is not None:
            app_lifecycle.destroy(actor=PLATFORM, app=row.app, engine=self.engine, home=self.home)
        row.app = None
        self._write(row, state="deleted", app=None)

    def _make(self, row: ReviewApp) -> None:
        """Create the app, its coupling and this row's state in one transaction; the other steps are idempotent.

        Locks the row before the app exists, and the audit log after both, so a concurrent removal waits.
        """
        account = row.account or row.pipeline.owner
        try:
            with transaction.atomic():
                lock(
                    row.pipeline
                    # before the app, which is not visible yet: the config vars must not change until they are copied
                )
                row.state = _locked(row).state
                if row.state == "deleting":
                    return
                app = deliveries.create_app(
                    actor=actor_of(account),
                    name=row.app_name,
                    home=self.home,
                    bare=bool(row.parent and row.parent.bare),
                )
                Coupling.objects.create(pipeline=row.pipeline, app=app, stage="review")
                self._admit(row, app, account)
                hand_down(
                    actor=PLATFORM, app=app, values=queries.config(row.pipeline, "test", self.home), home=self.home
                )
                row.app = app
                self._write(row, app=app, state="creating")
        except UserError as error:
            self._write(row, state="errored", message=str(error))

    def _admit(self, row: ReviewApp, app: App, account: Account) -> None:
        """Copy the parent's collaborators, roles, list of buildpacks and egress to the review app."""
        if row.parent is None:
            return
        egress.copy(actor=PLATFORM, source=row.parent, app=app)
        if row.parent.buildpacks is not None:
            apps.change_settings(actor=PLATFORM, app=app, buildpacks=row.parent.buildpacks)
        people = [(entry.account, entry.role) for entry in row.parent.collaborators.select_related("account")]
        for person, role in [*people, (row.parent.owner, "operator")]:
            if person.pk != account.pk:
                apps.add_collaborator(actor=PLATFORM, app=app, email=person.email, role=role)

    def _push_or_say(self, row: ReviewApp, head: str) -> None:
        """Push and record a refusal: permanently if only another commit helps, else until the next attempt."""
        try:
            self._push(row, head)
        except ConflictError as error:
            self._write(row, message=str(error))
            raise
        except UserError as error:
            self._write(row, sha=head, state="errored", message=str(error))

    def _push(self, row: ReviewApp, head: str) -> None:
        app, parent = row.app, row.parent
        assert app is not None
        assert parent is not None
        actor = actor_of(row.account or row.pipeline.owner)
        app_lifecycle.finish(actor=actor, app=app, home=self.home)
        if not Push.objects.filter(app=app).exists():
            values = {
                **self._declared(parent, head),
                **queries.config(row.pipeline, "review", self.home),
                **self._own(row),
            }
            values = {key: value for key, value in values.items() if key not in {one.variable for one in given()}}
            deliveries.change_config(actor=actor, app=app, home=self.home, updates={**values})
        review_addons.create_declared(actor=actor, app=app, parent=parent, head=head, home=self.home)
        platform_pushes.lend(source=parent, target=app, home=self.home, sha=head)
        platform_pushes.move_branch(app=app, home=self.home, sha=head, account=row.account, rewrite=True)
        wake()
        self._write(row, sha=head, state="creating", message="", touched_at=clock.now())

    def _declared(self, parent: App, head: str) -> dict[str, str]:
        """``environments.review.env`` of the branch's app.json. The build reports errors in that file."""
        try:
            entries = rules.app_json(git.show(parent, self.home, head, "app.json"))["environments"]["review"]["env"]
        except (KeyError, TypeError):
            return {}
        values = config_rules.first_values(entries, set(), ids.new_secret) if isinstance(entries, dict) else {}
        return {
            key: value for key, value in values.items() if value is not None and not config_rules.problem(key, value)
        }

    def _own(self, row: ReviewApp) -> dict[str, str]:
        return open_map(bytes(row.environment), place=_place(row), home=self.home)

    def _judge(self, row: ReviewApp) -> None:
        delivery = Delivery.objects.filter(app=row.app, sha=row.sha, kind="push").order_by("-seq").first()
        state = rules.review_state(delivery=delivery.state if delivery else "")
        if state != row.state:
            self._write(row, state=state, message=delivery.reason if delivery and state == "errored" else "")

    @transaction.atomic
    def _write(self, row: ReviewApp, **columns: object) -> None:
        """Set columns, unless the review app was marked for deletion in the meantime."""
        if "state" in columns and columns["state"] != "deleted" and _locked(row).state == "deleting":
            columns = {**columns, "state": "deleting"}
        for name, value in columns.items():
            setattr(row, name, value)
        row.save(update_fields=[*columns, "updated_at"])


def _head(row: ReviewApp, home: Path) -> str | None:
    """The branch's commit, read without a git process; None if the branch or the parent was deleted."""
    if row.parent is None:
        return None
    return repository.ref_on_disk(home / row.parent.repo_folder, f"refs/heads/{row.branch}")


def _is_stale(row: ReviewApp) -> bool:
    config = ReviewAppConfig.objects.filter(pipeline=row.pipeline, destroy_stale=True).first()
    return bool(config and row.touched_at and clock.now() - row.touched_at > timedelta(days=config.stale_days))
