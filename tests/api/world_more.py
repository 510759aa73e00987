"""The resources around the world's app: a complete pipeline, a source, a certificate, a drain, a transfer offer, an
ignored finding.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from greenroom.accounts import actions as accounts
from greenroom.accounts.models import Account
from greenroom.accounts.rules import Actor
from greenroom.apps.actions import egress, invitations, transfers
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.checks.models import CheckRun, Ignore
from greenroom.deliveries.models import Delivery
from greenroom.jobs import actions as jobs
from greenroom.jobs.models import JobRun
from greenroom.logs.actions import drains
from greenroom.pipelines import actions as pipelines
from greenroom.pipelines.models import Promotion, PromotionTarget, ReviewApp, ReviewAppConfig, TestRun
from greenroom.releases.models import Release
from greenroom.router.actions import sni_endpoints
from greenroom.sources.models import HookCall, Report, Source
from tests.router.certificates import Authority


def make(owner: Actor, app: App, home: Path, delivery: Delivery) -> dict[str, list[str]]:
    """Create all of them. Returns the possible values of the parts of paths."""
    return {
        **_pipeline(owner, app, home, delivery),
        **_beside(owner, app, home),
        **_followed(owner, app, delivery),
        **_planned(owner, app),
    }


def _pipeline(owner: Actor, app: App, home: Path, delivery: Delivery) -> dict[str, list[str]]:
    account, release = Account.objects.get(pk=owner.account_id), Release.objects.filter(app=app).latest("version")
    pipeline = pipelines.create(actor=owner, name=f"{app.name}-pipe")
    coupling = pipelines.couple(actor=owner, pipeline=pipeline, app=app, stage="staging", home=home)
    pipelines.change_config(actor=owner, pipeline=pipeline, stage="test", home=home, updates={"CI_WORD": "hello"})
    promotion = Promotion.objects.create(
        pipeline=pipeline, source=app, source_release=release, account=account, forced=[app.name]
    )
    PromotionTarget.objects.create(promotion=promotion, app=app, release=release)
    run = TestRun.objects.create(
        pipeline=pipeline,
        number=1,
        app=app,
        sha=delivery.sha,
        commit_sha=delivery.sha,
        commit_branch="master",
        account=account,
        state="ended",
        told=True,
    )
    ReviewAppConfig.objects.create(pipeline=pipeline, parent=app, automatic=True)
    review = ReviewApp.objects.create(
        pipeline=pipeline, parent=app, app=app, app_name=app.name, branch="master", account=account, state="created"
    )
    return {
        "pipeline": [str(pipeline.id), pipeline.name],
        "coupling": [str(coupling.id)],
        "promotion": [str(promotion.id)],
        "test_run": [str(run.id)],
        "review_app": [str(review.id)],
        "branch": ["master"],
        "stage": ["test", "review"],
    }


def _beside(owner: Actor, app: App, home: Path) -> dict[str, list[str]]:
    egress.change(actor=owner, app=app, allow=["api.example.org:443", "10.2.0.0/16"])
    account = Account.objects.get(pk=owner.account_id)
    chain, key = Authority().leaf(f"www.{app.name}.example")
    endpoint = sni_endpoints.add(actor=owner, app=app, home=home, chain=chain, key=key)
    drain = drains.add(actor=owner, app=app, home=home, url="https://93.184.216.34/log")
    offer = transfers.offer(actor=owner, app=app, recipient=f"bob-of-{app.name}@example.com")
    session, _ = accounts.create_token(actor=owner, account=account, session=True)
    guest, _ = invitations.invite(actor=owner, email=f"guest-of-{app.name}@example.com", app=app, role="viewer")
    return {
        "accounts/email": [owner.email],
        "invitation": [str(guest.id)],
        "sni-endpoints/name": [endpoint.name],
        "drain": [str(drain.id)],
        "feature": ["preboot"],
        "buildpacks/name": ["heroku/python"],
        "app-transfers/id": [str(offer.id)],
        "sessions/id": [str(session.id)],
    }


def _followed(owner: Actor, app: App, delivery: Delivery) -> dict[str, list[str]]:
    account, now = Account.objects.get(pk=owner.account_id), clock.now()
    source = Source.objects.create(
        app=app,
        url="https://forge.example/world.git",
        branch="master",
        kind="gitea",
        hook="h" * 43,
        secret=b"x",
        interval=300,
        account=account,
        known_hosts="",
        state="synced",
        seen=delivery.sha,
        taken=delivery.sha,
        looked_at=now,
        next_at=now,
    )
    HookCall.objects.create(source=source, delivery="1", event="push", said="a look is due")
    Report.objects.create(
        source=source, delivery=delivery, kind="status", context="greenroom", state="success", status="sent", code=201
    )
    CheckRun.objects.create(
        app=app,
        sha=delivery.sha,
        name="ci/scan",
        number=2,
        status="completed",
        conclusion="success",
        title="none",
        finished_at=now,
        data={"sarif": "x"},
    )
    Ignore.objects.create(
        app=app,
        fingerprint="f" * 64,
        tool="ruff",
        rule="S105",
        path="app.py",
        reason="a trial",
        account=account,
        actor=owner.email,
        until=now + timedelta(days=1),
    )
    return {"fingerprint": ["f" * 64], "sarifs/number": ["2"]}


def _planned(owner: Actor, app: App) -> dict[str, list[str]]:
    given = {"schedule": "@daily", "command": "python manage.py clearsessions"}
    job, now = jobs.add(actor=owner, app=app, name="nightly", given=given), clock.now()
    row = JobRun.objects.create(
        app=app,
        job=job,
        number=1,
        trigger="schedule",
        planned_at=now,
        until=now,
        state="failed",
        reason="exit",
        detail="exited with status 1",
        dyno_name="scheduler.1234",
        exit_code=1,
        started_at=now,
        finished_at=now,
    )
    return {"job": [job.name], "run": [str(row.number)]}
