"""Writes pipelines, couplings, config vars of stages, and promotions. ``test_runs`` and ``review_apps`` write the other
rows of the room.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from uuid import UUID

from django.db import transaction

from greenroom.accounts.actions import audit
from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.addons.actions import refuse_given
from greenroom.apps import actions as apps
from greenroom.apps.models import App
from greenroom.basics.errors import ConflictError, NotFoundError, UserError
from greenroom.config_vars import rules as config_rules
from greenroom.config_vars.actions import refuse_problems
from greenroom.config_vars.drivers.sealed_maps import for_tests, sealed_map, with_test_config
from greenroom.deliveries import actions as deliveries
from greenroom.dynos.queries import live
from greenroom.pipelines import queries, rules
from greenroom.pipelines.models import Coupling, Pipeline, Promotion, PromotionTarget, StageConfig
from greenroom.releases.models import Release
from greenroom.slugs.models import Slug


@transaction.atomic
def create(*, actor: Actor, name: str) -> Pipeline:
    """Create an empty pipeline. Raises UserError for an invalid name, ConflictError for a duplicate name."""
    _check_name(actor.account, name)
    row = Pipeline.objects.create(name=name, owner=Account.objects.get(pk=actor.account))
    _note(actor, row, "create")
    return row


def _check_name(owner: UUID, name: str) -> None:
    problem = rules.name_problem(name)
    if problem:
        raise UserError(problem)
    if Pipeline.objects.filter(owner_id=owner, name=name).exists():
        raise ConflictError(
            f"You already have a pipeline named {name}.", hint=f"greenroom pipelines:info {name}", id="invalid_params"
        )


def _note(actor: Actor, row: Pipeline, action: str, app: App | None = None, **detail: object) -> None:
    audit(actor=actor, action=f"pipeline.{action}", app=app, detail={"pipeline": row.name, "id": str(row.pk), **detail})


def lock(pipeline: Pipeline, *, deleting: bool = False) -> None:
    """Lock the pipeline's row; lock apps first. Raises NotFoundError if it was deleted."""
    if not Pipeline.objects.select_for_update(no_key=not deleting).filter(pk=pipeline.pk).values_list("pk").first():
        raise NotFoundError("Couldn't find that pipeline.", hint="greenroom pipelines", resource="pipeline")


def _lock_with_apps(pipeline: Pipeline, *, deleting: bool = False) -> list[Coupling]:
    """Lock the apps of the pipeline, then its row, so that its couplings cannot change. Returns the couplings."""
    rows = Coupling.objects.filter(pipeline=pipeline).values_list("app_id", flat=True)
    apps.lock_found(rows.all, then=lambda: lock(pipeline, deleting=deleting))
    return queries.couplings(pipeline)


@transaction.atomic
def rename(*, actor: Actor, pipeline: Pipeline, name: str) -> Pipeline:
    """Rename the pipeline. Raises like ``create``."""
    if name != pipeline.name:
        _check_name(pipeline.owner_id, name)
        before, pipeline.name = pipeline.name, name
        pipeline.save(update_fields=["name", "updated_at"])
        _note(actor, pipeline, "rename", before=before)
    return pipeline


@transaction.atomic
def destroy(*, actor: Actor, pipeline: Pipeline, home: Path) -> None:
    """Delete the pipeline; its apps stay. Raises ConflictError while it has review apps."""
    coupled = [row.app for row in _lock_with_apps(pipeline, deleting=True)]
    if pipeline.review_apps.exclude(app=None).exists():
        names = ", ".join(
            sorted(row.app.name for row in pipeline.review_apps.exclude(app=None).select_related("app") if row.app)
        )
        raise ConflictError(
            f"The pipeline {pipeline.name} has review apps: {names}.",
            hint=f"greenroom reviewapps:destroy BRANCH -p {pipeline.name}",
        )
    for app in coupled:
        hand_down(actor=actor, app=app, values={}, home=home)
    _note(actor, pipeline, "destroy", apps=[app.name for app in coupled])
    pipeline.delete()


@transaction.atomic
def couple(*, actor: Actor, pipeline: Pipeline, app: App, stage: str, home: Path) -> Coupling:
    """Add an app to a stage. Raises ConflictError if it is already in a pipeline."""
    problem = rules.stage_problem(stage)
    if problem:
        raise UserError(problem)
    apps.lock_app(app.pk)
    known = Coupling.objects.filter(app=app).select_related("pipeline").first()
    if known:
        where = (
            known.pipeline.name if queries.visible(actor).filter(pk=known.pipeline_id).exists() else "another pipeline"
        )
        raise ConflictError(
            f"{app.name} is already in {where}.", hint=f"greenroom pipelines:remove -a {app.name}", id="invalid_params"
        )
    lock(pipeline)  # its config vars must not change until they are copied
    row = Coupling.objects.create(pipeline=pipeline, app=app, stage=stage)
    hand_down(actor=actor, app=app, values=queries.config(pipeline, "test", home), home=home)
    _note(actor, pipeline, "add", app, stage=stage)
    return row


@transaction.atomic
def move(*, actor: Actor, coupling: Coupling, stage: str) -> Coupling:
    """Move a coupled app to another stage."""
    problem = rules.stage_problem(stage)
    if problem:
        raise UserError(problem)
    _hold(coupling)
    coupling.stage = stage
    coupling.save(update_fields=["stage", "updated_at"])
    _note(actor, coupling.pipeline, "update", coupling.app, stage=stage)
    return coupling


@transaction.atomic
def uncouple(*, actor: Actor, coupling: Coupling, home: Path) -> None:
    """Remove an app from its pipeline. Its tests no longer get the pipeline's config vars."""
    _hold(coupling)
    hand_down(actor=actor, app=coupling.app, values={}, home=home)
    _note(actor, coupling.pipeline, "remove", coupling.app)
    coupling.delete()


def _hold(coupling: Coupling) -> None:
    """Lock the app. Raises NotFoundError if it was removed from the pipeline in the meantime."""
    apps.lock_apps([coupling.app_id])
    if not Coupling.objects.filter(pk=coupling.pk).exists():
        raise NotFoundError("Couldn't find that pipeline coupling.", resource="pipeline_coupling")


@transaction.atomic
def change_config(
    *, actor: Actor, pipeline: Pipeline, stage: str, home: Path, updates: Mapping[str, str | None]
) -> dict[str, str]:
    """Set config vars of a stage (None removes one). Returns all of them. Raises UserError for an invalid key or value,
    or more than 64 KB.
    """
    if stage not in rules.CONFIG_STAGES:
        raise UserError(
            f"Stage {stage[:60]!r} has no config vars; only {' and '.join(rules.CONFIG_STAGES)} have.",
            hint="greenroom config -a APP",
        )
    refuse_problems(updates)
    refuse_given(updates)
    coupled: list[Coupling] = []
    if stage == "test":
        coupled = _lock_with_apps(pipeline)
    else:
        lock(pipeline)
    outcome = config_rules.apply(queries.config(pipeline, stage, home), dict(updates))
    text = config_rules.too_large(outcome.values)
    if text:
        raise UserError(f"{pipeline.name}, {stage}: {text}", hint="keep files out of config vars")
    sealed = sealed_map(outcome.values, place=queries.config_place(pipeline, stage), home=home)
    values = {"sealed": sealed, "names": sorted(outcome.values)}
    StageConfig.objects.update_or_create(pipeline=pipeline, stage=stage, defaults=values)
    _note(actor, pipeline, "config", stage=stage, set=list(outcome.set), removed=list(outcome.removed))
    for row in coupled:
        hand_down(actor=actor, app=row.app, values=outcome.values, home=home)
    return outcome.values


def hand_down(*, actor: Actor, app: App, values: Mapping[str, str], home: Path) -> None:
    """Copy these config vars to the app for its tests, where the gate, which knows no pipelines, reads them."""
    row = apps.lock_app(app.pk)
    if for_tests(row, home) != dict(values):
        apps.change_settings(actor=actor, app=row, settings=with_test_config(row, values, home))


@transaction.atomic
def promote(
    *,
    actor: Actor,
    pipeline: Pipeline,
    source: App,
    targets: Sequence[App],
    home: Path,
    release: Release | None = None,
    forced: Sequence[str] = (),
) -> Promotion:
    """Release the slug of a release (by default the current one) in the targets, each with its own config vars.

    One transaction writes the releases and their open deliveries; the loop then executes them. forced: names of
    targets that do not wait for pending migrations. Raises UserError, and ConflictError if there is nothing to promote.
    """
    apps.lock_apps([source.pk, *(app.pk for app in targets)])
    stages = queries.stages(queries.couplings(pipeline))
    problem = rules.promotion_problem(source=source.name, stages=stages, targets=[app.name for app in targets])
    if problem:
        raise UserError(problem, hint=f"greenroom pipelines:info {pipeline.name}")
    chosen, slug = _promotable(source, release)
    row = Promotion.objects.create(
        pipeline=pipeline, source=source, source_release=chosen, account_id=actor.account_id, forced=list(forced)
    )
    for app in sorted(targets, key=lambda app: app.pk):
        made = deliveries.promote(
            actor=actor,
            app=app,
            home=home,
            slug=slug,
            force=app.name in forced,
            description=f"Promote {source.name} v{chosen.version} {slug.commit[:8]}",
        )
        PromotionTarget.objects.create(promotion=row, app=app, release=made)
    names = [app.name for app in targets]
    detail = {"version": chosen.version, "targets": names, "forced": list(forced), "digest": slug.digest}
    _note(actor, pipeline, "promote", source, **detail)
    return row


def _promotable(source: App, release: Release | None) -> tuple[Release, Slug]:
    """The release to promote and its slug. Raises ConflictError if there is none, or the slug was deleted."""
    chosen = Release.objects.select_related("slug").get(pk=(release or _serving(source)).pk)
    if chosen.slug is None or chosen.status != "succeeded":
        raise ConflictError(
            f"v{chosen.version} of {source.name} cannot be promoted: {_why(chosen)}.",
            hint=f"greenroom releases -a {source.name}",
        )
    return chosen, chosen.slug


def _serving(app: App) -> Release:
    rollout = live(app)
    if rollout is None:
        raise ConflictError(
            f"{app.name} has no live release to promote.",
            hint=f"greenroom releases -a {app.name}",
        )
    return rollout.release


def _why(release: Release) -> str:
    return f"it is {release.status}" if release.slug else "it has no slug, or the slug was deleted"
