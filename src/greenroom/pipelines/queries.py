"""Reads pipelines, and checks permissions with ``authorise``, which uses the roles in the pipeline's apps."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from django.db.models import Case, IntegerField, Q, QuerySet, When

from greenroom.accounts.rules import Actor, scope_grants
from greenroom.app_migrations.queries import of_release
from greenroom.apps import queries as apps
from greenroom.apps.models import App, Collaborator
from greenroom.apps.rules import PERMISSIONS, Standing, allows
from greenroom.basics.errors import ForbiddenError, NotFoundError, UnauthorizedError
from greenroom.basics.ids import is_uuid
from greenroom.config_vars.drivers.sealed_maps import open_map
from greenroom.deliveries.models import Delivery
from greenroom.pipelines import rules
from greenroom.pipelines.models import Coupling, Pipeline, Promotion, PromotionTarget, StageConfig, TestRun


def visible(actor: Actor) -> QuerySet[Pipeline]:
    """The pipelines that the actor owns or that contain an app visible to them, by name."""
    rows = Pipeline.objects.select_related("owner").order_by("name", "created_at")
    if actor.app_id is not None:
        return rows.none()
    if actor.is_admin:
        return rows
    return rows.filter(Q(owner_id=actor.account_id) | Q(couplings__app__in=apps.visible(actor).values("id"))).distinct()


def standing(actor: Actor, pipeline: Pipeline) -> Standing:
    """The actor's role in the pipeline."""
    owns = actor.account_id is not None and pipeline.owner_id == actor.account_id
    rows = Coupling.objects.filter(pipeline=pipeline)
    lasting = rows.exclude(stage="review")  # a review app belongs to its creator
    roles = _roles(actor, lasting if lasting.exists() else rows)
    return Standing(role=rules.role_in_pipeline(owns=owns, roles=roles), is_admin=actor.is_admin)


def _roles(actor: Actor, rows: QuerySet[Coupling]) -> list[str]:
    """The actor's distinct roles in the apps of the couplings, including ``none``."""
    others = rows.exclude(app__owner_id=actor.account_id) if actor.account_id else rows
    found = (
        Collaborator.objects.filter(app__in=others.values("app_id"), account_id=actor.account_id)
        if actor.account_id
        else Collaborator.objects.none()
    )
    roles = set(found.values_list("role", flat=True))
    if others.count() > found.count():
        roles.add("none")
    return [*roles, *(["owner"] if rows.count() > others.count() else [])]


def authorise(actor: Actor | None, name: str, permission: str) -> Pipeline:
    """The pipeline with that name or id, if the actor has ``permission``. Raises like ``apps.queries.authorise``.

    If several have the same name, the actor's own.
    """
    if actor is None:
        raise UnauthorizedError("Missing, invalid or expired credentials.", hint='eval "$(greenroom env)"')
    rows = list(visible(actor).filter(Q(name=name) | Q(id=name) if is_uuid(name) else Q(name=name))[:50])
    found = next((row for row in rows if row.owner_id == actor.account_id), rows[0] if rows else None)
    if found is None:
        raise NotFoundError("Couldn't find that pipeline.", hint="greenroom pipelines", resource="pipeline")
    if not scope_grants(actor.scopes, PERMISSIONS.get(permission, ("", "none"))[1]):
        raise ForbiddenError(
            f"The token's scope ({', '.join(actor.scopes)}) does not allow this.", hint="use a token of scope global"
        )
    if not allows(standing(actor, found), permission):
        role = PERMISSIONS.get(permission, ("nobody", ""))[0]
        text = "its owner" if role == "owner" else f"the role {role} in each of its apps, or its owner"
        raise ForbiddenError(
            f"You do not have permission for this in the pipeline {found.name}. Required: {text}.",
            hint=f"ask {found.owner.email}",
        )
    return found


def couplings(pipeline: Pipeline) -> list[Coupling]:
    """The pipeline's couplings in the order of the stages."""
    rows = Coupling.objects.filter(pipeline=pipeline).select_related("app", "app__owner", "pipeline")
    return in_order(rows)


def in_order(rows: Iterable[Coupling]) -> list[Coupling]:
    """Couplings in the order of the stages, then by app name."""
    return sorted(rows, key=lambda row: (rules.STAGES.index(row.stage), row.app.name))


def ranked(rows: QuerySet[Coupling]) -> QuerySet[Coupling]:
    """Couplings annotated with ``rank``, the position of their stage."""
    return rows.annotate(
        rank=Case(
            *(When(stage=stage, then=place) for place, stage in enumerate(rules.STAGES)), output_field=IntegerField()
        )
    )


def coupling(actor: Actor, identity: str, permission: str) -> Coupling:
    """The coupling with that id, if the actor has ``permission`` in its app or owns the pipeline."""
    row = Coupling.objects.select_related("app", "pipeline").filter(pk=identity).first() if is_uuid(identity) else None
    if row is None or not apps.visible(actor).filter(pk=row.app_id).exists():
        if row is not None and row.pipeline.owner_id == actor.account_id:
            return row
        raise NotFoundError("Couldn't find that pipeline coupling.", resource="pipeline_coupling")
    if row.pipeline.owner_id != actor.account_id:
        apps.authorise(actor, str(row.app_id), permission)
    return row


def coupling_of(app: App) -> Coupling:
    """The app's coupling. Raises NotFoundError if it is not in a pipeline."""
    row = Coupling.objects.select_related("app", "pipeline").filter(app=app).first()
    if row is None:
        hint = f"greenroom pipelines:create -a {app.name} --stage staging"
        raise NotFoundError(f"{app.name} is not in a pipeline.", hint=hint, resource="pipeline_coupling")
    return row


def parent_app(pipeline: Pipeline) -> App | None:
    """The app that provides the pipeline's repository: of development, else staging, else production; first by name."""
    rows = [row for row in couplings(pipeline) if row.stage in rules.ORDER]
    return rows[0].app if rows else None


def config(pipeline: Pipeline, stage: str, home: Path) -> dict[str, str]:
    """The config vars of a stage, in clear."""
    row = StageConfig.objects.filter(pipeline=pipeline, stage=stage).first()
    if row is None:
        return {}
    return open_map(bytes(row.sealed), place=config_place(pipeline, stage), home=home)


def config_place(pipeline: Pipeline, stage: str) -> str:
    """The associated data for the encryption of a stage's config vars."""
    return f"pipeline/{pipeline.id}/{stage}"


def promotion(actor: Actor, identity: str) -> Promotion:
    """The promotion with that id, if its pipeline is visible to the actor."""
    row = (
        Promotion.objects.select_related("pipeline", "source").filter(pk=identity).first()
        if is_uuid(identity)
        else None
    )
    if row is None:
        raise NotFoundError("Couldn't find that promotion.", resource="pipeline_promotion")
    authorise(actor, str(row.pipeline_id), "pipelines:read")
    return row


def targets(promotion: Promotion) -> list[PromotionTarget]:
    """The promotion's targets by name."""
    return list(
        PromotionTarget.objects.filter(promotion=promotion).select_related("app", "release").order_by("app__name")
    )


def outcome(target: PromotionTarget) -> tuple[str, str]:
    """(status, error message) of a target, from its delivery."""
    release = target.release
    delivery = Delivery.objects.filter(release=release).first() if release else None
    state = of_release(release) if release else None
    return rules.outcome(
        delivery=delivery.state if delivery else "",
        reason=delivery.reason if delivery else release.reason if release else "",
        release=release.status if release else "",
        pending=state.pending if state else (),
        app=target.app.name,
        version=release.version if release else None,
    )


def promotion_status(rows: list[tuple[str, str]]) -> str:
    """Heroku's status of the promotion: ``pending`` until all targets have ended."""
    return "pending" if any(status == "pending" for status, _ in rows) else "completed"


def stages(rows: list[Coupling]) -> dict[str, str]:
    """name -> stage."""
    return {row.app.name: row.stage for row in rows}


def open_test_runs() -> QuerySet[TestRun]:
    """Test runs that are not over as far as their files say, oldest first."""
    return (
        TestRun.objects.filter(told=False)
        .select_related("app", "build__slug", "check_run", "account", "pipeline")
        .order_by("created_at")
    )
