"""An app with one of everything that the API can show, created by the rooms' actions where no worker is needed."""

from __future__ import annotations

import base64
import io
import os
import tarfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.test import Client

from greenroom.accounts import actions as accounts
from greenroom.accounts.actions import ssh_keys
from greenroom.accounts.models import Account
from greenroom.accounts.queries import actor_of
from greenroom.accounts.rules import PLATFORM, Actor
from greenroom.addons.actions import set_secret
from greenroom.addons.models import Addon, Attachment, Restore, Schedule, Snapshot
from greenroom.addons.postgres import actions as postgres
from greenroom.addons.postgres.actions import snapshots
from greenroom.app_migrations.models import MigrationRun, MigrationState, Rehearsal
from greenroom.apps import actions as apps
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.builds.models import Build
from greenroom.checks.models import Annotation, CheckRun, Override, Verdict
from greenroom.config_vars.models import ConfigVersion
from greenroom.deliveries.actions import app_lifecycle, source_builds
from greenroom.deliveries.models import Delivery
from greenroom.dynos.models import Dyno, Formation, Rollout
from greenroom.engine.memory import MemoryEngine
from greenroom.entrypoints.api.drivers import use_engine
from greenroom.releases.actions import conclude, release
from greenroom.slugs.models import Slug
from greenroom.webhooks.models import Event, Notification, WebhookDelivery
from tests.api import world_more

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIB{:02}mJ7JX0nqGrUgj1cMsCZCFqb0l1hU0R2vXyLHTdI0 alice@laptop"


@dataclass
class World:
    """The app, its owner, and the possible values of each part of a path."""

    app: App
    owner: Actor
    known: dict[str, list[str]]

    def client(self, actor: Actor | None = None, *scopes: str) -> Client:
        """A client with a new token of the actor, the owner's by default."""
        return client_of(actor or self.owner, *scopes)


def client_of(actor: Actor, *scopes: str) -> Client:
    """A client with a new token with these scopes, by default global."""
    _, plain = accounts.create_token(
        actor=actor, account=Account.objects.get(pk=actor.account_id), scopes=scopes or ("global",)
    )
    return Client(headers={"Authorization": f"Bearer {plain}"})


def person(email: str, *, admin: bool = False) -> Actor:
    """Create a user with a password."""
    return actor_of(accounts.create_account(actor=PLATFORM, email=email, password="correct horse", is_admin=admin))


MASTER_KEY = base64.b64encode(os.urandom(32)).decode()
"""One for the whole process: keys are cached per home, and this home is always the same."""


@contextmanager
def place() -> Iterator[Path]:
    """The suite's home with a master key, an engine in memory, and settings of an external PostgreSQL."""
    home, before = settings.HOME, settings.INSTALLATION
    key = home / "keys" / "master.key"
    key.parent.mkdir(parents=True, exist_ok=True)
    key.write_text(MASTER_KEY)
    settings.INSTALLATION = {**before, "postgres": "external"}
    use_engine(MemoryEngine())
    try:
        yield home
    finally:
        for addon in Addon.objects.filter(kind="postgres"):
            postgres.deprovision(addon=addon)
        settings.INSTALLATION = before
        key.unlink()


def archive(**files: str) -> bytes:
    """A tar archive of those files."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name, text in (files or {"Procfile": "web: python app.py\n"}).items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            tar.addfile(member, io.BytesIO(text.encode()))
    return out.getvalue()


def make(owner: Actor, home: Path, name: str = "world") -> World:
    """Create the app with one of everything."""
    app = app_lifecycle.create(actor=owner, name=name, home=home)
    tarball = home / "first.tar.gz"
    tarball.write_bytes(archive())
    delivery = source_builds.deliver(actor=owner, app=app, home=home, archive=tarball)
    (home / delivery.transcript).parent.mkdir(parents=True, exist_ok=True)
    (home / delivery.transcript).write_text("-----> Building\n       done\n")
    built = _built(owner, app, delivery)
    judged = _judged(app, delivery.sha)
    kept = _kept(owner, app, home, built)
    known = {
        "app": [app.name, str(app.id)],
        "delivery": [str(delivery.id), delivery.sha],
        "sha": [delivery.sha],
        "ref": ["master", delivery.sha],
        "setup": [str(delivery.id)],
        "stack": ["greenroom-1"],
        "region": ["local"],
        "size": ["basic"],
        "plan": ["heroku-postgresql:essential-0"],
        "owner": ["anybody"],
        **built,
        **judged,
        **kept,
        **world_more.make(owner, app, home, delivery),
    }
    return World(app, owner, known)


def _built(owner: Actor, app: App, delivery: Delivery) -> dict[str, list[str]]:
    account = Account.objects.get(pk=owner.account_id)
    types = {"web": "python app.py", "worker": "python worker.py"}
    slug = Slug.objects.create(
        app=app, digest="d" * 64, commit=delivery.sha, env_key="e" * 40, process_types=types, size=1234
    )
    build = Build.objects.create(
        app=app, commit=delivery.sha, account=account, status="succeeded", slug=slug, finished_at=clock.now()
    )
    failed = Build.objects.create(
        app=app,
        commit=delivery.sha,
        account=account,
        status="failed",
        failure_reason="detect",
        failure_message="No.",
        finished_at=clock.now(),
    )
    config = ConfigVersion.objects.filter(app=app).latest("pk")
    row = release(actor=owner, app=app, kind="push", description="Deploy", slug=slug, config=config)
    conclude(release=row, status="succeeded")
    rollout = Rollout.objects.create(app=app, release=row, state="live")
    delivery.build, delivery.release, delivery.state, delivery.finished_at = build, row, "live", clock.now()
    delivery.save()
    Formation.objects.create(app=app, type="web", quantity=1)
    dyno = Dyno.objects.create(
        app=app,
        release=row,
        kind="web",
        type="web",
        ordinal=1,
        command=types["web"],
        engine_id=f"{app.id.hex}-web-1",
        endpoint=f"run/sockets/{app.id.hex}-web-1",
        state="up",
        healthy=True,
    )
    run = Dyno.objects.create(
        app=app,
        release=row,
        kind="run",
        type="run",
        ordinal=1,
        command="python manage.py migrate",
        engine_id=f"{app.id.hex}-run-1",
        state="ended",
        exit_code=0,
        finished_at=clock.now(),
    )
    MigrationState.objects.create(release=row, app=app, status="ok", pending=["shop.0002_more"], probed_at=clock.now())
    rehearsal = Rehearsal.objects.create(
        app=app,
        release=row,
        number=1,
        state="failed",
        failure="no room",
        pending=["shop.0002_more"],
        finished_at=clock.now(),
    )
    MigrationRun.objects.create(
        app=app,
        release=row,
        dyno=run,
        account=account,
        command=run.command,
        exit_code=0,
        rehearsal=rehearsal,
        finished_at=clock.now(),
    )
    assert rollout.pk
    return {
        "build": [str(build.id), str(failed.id)],
        "slug": [str(slug.id), "current", "v3"],
        "release": ["v3", str(row.id), "1"],
        "dyno": ["web.1", str(dyno.id)],
        "type": ["web", "worker"],
        "rehearsal": ["1"],
    }


def _judged(app: App, sha: str) -> dict[str, list[str]]:
    run = CheckRun.objects.create(
        app=app,
        sha=sha,
        name="scan",
        number=1,
        builtin=True,
        status="completed",
        conclusion="failure",
        title="1 finding",
        finished_at=clock.now(),
    )
    Annotation.objects.create(
        check_run=run, path="app.py", tool="ruff", rule="S105", severity=2, message="A password.", fingerprint="f" * 64
    )
    Verdict.objects.create(app=app, sha=sha, colour="red", reasons=["scan is red"])
    Override.objects.create(
        app=app, sha=sha, checks=["scan"], attempts={"scan": 1}, reason="It is a test key.", actor="owner@example.com"
    )
    return {"check": [str(run.id)], "number": ["1"]}


def _kept(owner: Actor, app: App, home: Path, built: dict[str, list[str]]) -> dict[str, list[str]]:
    addon = Addon.objects.get(app=app)
    snapshot = snapshots.capture(actor=owner, addon=addon, home=home, kind="manual")
    store = Addon.objects.create(
        app=app,
        kind="redis",
        name=f"redis-of-{app.name}",
        plan="heroku-redis:mini",
        state="provisioned",
        data={"port": 16_400, "starts": 1},
    )
    set_secret(store, home, {"password": "p" * 24, "platform": "q" * 24})
    restore = Restore.objects.create(
        addon=addon, number=90, snapshot=snapshot, state="failed", failure="It was a trial.", finished_at=clock.now()
    )
    volume, copy = _volume(app)
    Schedule.objects.create(addon=addon, name="DATABASE_URL", hour=3, timezone="UTC")
    account = Account.objects.get(pk=owner.account_id)
    domain = apps.add_domain(actor=owner, app=app, hostname=f"www.{app.name}.example")
    person(f"bob-of-{app.name}@example.com")
    apps.add_collaborator(actor=owner, app=app, email=f"bob-of-{app.name}@example.com", role="developer")
    key = ssh_keys.add(actor=owner, account=account, text=KEY.format(Account.objects.count()))
    token, _ = accounts.create_token(
        actor=owner, account=account, scopes=("checks:write",), app=app, checks=("ci/build",)
    )
    webhook = app.webhooks.create(url="https://example.com/hook", include=["api:release"], level="notify", secret=b"x")
    event = Event.objects.create(app=app, include="api:release", payload={"a": 1})
    delivery = WebhookDelivery.objects.create(webhook=webhook, event=event)
    told = Event.objects.create(app=app, include="alerts", payload={"data": {"event": "crashed"}})
    people = [
        Notification.objects.create(app=it, channel="email", url=b"x", shown="mailto:a@example.com", events=["live"])
        for it in (app, None)
    ]
    for row in people:
        WebhookDelivery.objects.create(notification=row, event=told)
    spare, _ = accounts.create_token(actor=owner, account=account)
    return {
        "addon": [addon.name, str(addon.id)],
        "database": [addon.name, str(addon.id)],
        "store": [store.name],
        "volume": [volume.name],
        "volume_snapshot": [copy.name],
        "volume_restore": ["r92"],
        "service": ["heroku-postgresql"],
        "attachment": [str(addon.attachments.get().id)],
        "name": ["DATABASE"],
        "snapshot": [snapshot.name],
        "restore": [restore.name],
        "transfer": [str(snapshot.number), "90"],
        "schedule": ["DATABASE_URL"],
        "credential": ["default"],
        "hostname": [domain.hostname],
        "email": [f"bob-of-{app.name}@example.com"],
        "token": [str(token.id)],
        "id": [
            *(str(row.pk) for row in people),
            str(webhook.pk),
            str(delivery.pk),
            str(event.pk),
            str(key.id),
            str(spare.id),
            "~",
        ],
    }


def _volume(app: App) -> tuple[Addon, Snapshot]:
    """A volume with a snapshot and a restore. Their ids are the last ones: tests copy the first row of a table."""
    last = {"id": uuid.UUID("f" * 12 + app.id.hex[12:])}
    data = {"path": "/app/media", "size": 5_000_000, "key": "files-1", "level": "near", "bytes": 4_100_000, "files": 7}
    values = {"name": f"volume-of-{app.name}", "plan": "volume:standard", "state": "provisioned"}
    row = Addon.objects.create(app=app, kind="volume", data=data, **values, **last)
    Attachment.objects.create(addon=row, app=app, name="VOLUME_MEDIA", **last)
    facts = {"addon": row, "finished_at": clock.now(), **last}
    copy = Snapshot.objects.create(number=91, kind="manual", state="succeeded", size=9, file="files-2", **facts)
    Restore.objects.create(number=92, snapshot=copy, state="done", copy="files-3", saved=copy, **facts)
    return row, copy


def path_of(pattern: str, known: dict[str, list[str]], **fixed: Any) -> str:
    """The pattern with the first known value of each part. A key ``word/name`` takes precedence for a part ``name``
    after ``word``.
    """
    import re

    def value(before: str, name: str) -> str:
        return str(known.get(f"{before}/{name}", [""])[0] or fixed.get(name) or known.get(name, ["none"])[0])

    parts = pattern.split("/")
    return "/".join(
        re.sub(r"\{(\w+)\}", lambda match, before=before: value(before, match[1]), part)
        for before, part in zip(["", *parts], parts, strict=False)
    )
