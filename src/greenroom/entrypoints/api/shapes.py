"""Serializes rows for the API, with all fields that Heroku's clients read if the resource exists at Heroku."""

from __future__ import annotations

from typing import Any

from django.conf import settings

from greenroom.accounts.models import Account, AuditEntry, Token
from greenroom.app_migrations.models import MigrationRun, MigrationState
from greenroom.app_migrations.queries.rehearsals import beside, foreseen
from greenroom.app_migrations.rules import migrate_command, no_framework, undo
from greenroom.apps.models import App, Collaborator
from greenroom.apps.queries import web_url
from greenroom.basics.clock import heroku_time
from greenroom.builds.models import Build
from greenroom.checks.models import Annotation
from greenroom.deliveries.models import Delivery
from greenroom.deliveries.queries.newest_green import unserved
from greenroom.dynos.models import Dyno, Formation
from greenroom.entrypoints.api import client_urls
from greenroom.releases.models import Release
from greenroom.releases.queries import newest
from greenroom.slugs.models import Slug

REGION = {"id": "00000000-0000-4000-8000-000000000001", "name": "local"}
STACK = {"id": "00000000-0000-4000-8000-000000000002", "name": "greenroom-1"}
GENERATION = {"id": "00000000-0000-4000-8000-000000000003", "name": "cedar"}


def urls(app: App) -> dict[str, str]:
    """The app's web URL and git URL."""
    install = settings.INSTALLATION
    return {
        "web_url": web_url(app, install),
        "git_url": client_urls.secure(f"/{app.name}.git"),
        "git_http_url": client_urls.plain(f"/{app.name}.git"),
    }


def account(row: Account) -> dict[str, Any]:
    """An account."""
    return {
        "id": str(row.id),
        "email": row.email,
        "name": row.name or None,
        "verified": True,
        "beta": False,
        "is_admin": row.is_admin,
        "allow_tracking": False,
        "federated": False,
        "two_factor_authentication": False,
        "sms_number": None,
        "suspended_at": heroku_time(row.disabled_at),
        "delinquent_at": None,
        "default_organization": None,
        "default_team": None,
        "identity_provider": None,
        "last_login": heroku_time(row.last_login),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def user(row: Account | None) -> dict[str, Any]:
    """A reference to an account."""
    return {"id": str(row.id) if row else "", "email": row.email if row else "greenroom"}


def authorization(row: Token, plain: str = "") -> dict[str, Any]:
    """A token; ``plain`` only right after its creation."""
    return {
        "id": str(row.id),
        "description": row.description,
        "scope": row.scopes,
        "client": None,
        "grant": None,
        "refresh_token": None,
        "session": None,
        "access_token": {
            "id": str(row.id),
            "token": plain or f"grm_...{row.last_four}",
            "expires_in": round((row.expires_at - row.created_at).total_seconds()) if row.expires_at else None,
        },
        "user": {"id": str(row.account_id), "email": row.account.email, "full_name": row.account.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def app(row: App, *, sdk: bool = False) -> dict[str, Any]:
    """An app."""
    return {
        "id": str(row.id),
        "name": row.name,
        "owner": user(row.owner),
        "region": REGION,
        "stack": STACK,
        "build_stack": STACK,
        "generation": "cedar" if sdk else GENERATION,
        "maintenance": row.maintenance,
        "acm": row.acm,
        "archived_at": None,
        "buildpack_provided_description": "Python",
        "create_status": "complete",
        "internal_routing": None,
        "locked": False,
        "joined": True,
        "organization": None,
        "team": None,
        "space": None,
        "repo_size": None,
        "slug_size": None,
        "released_at": heroku_time(row.released_at),
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
        "required_checks": row.required_checks,
        "deploy_paused": row.deploy_paused or None,
        "protected_branch": row.protected_branch,
        "deploy_paused_until": heroku_time(row.deploy_paused_until),
        **urls(row),
    }


def release(row: Release, *, current: bool = False) -> dict[str, Any]:
    """A release. Greenroom's status ``refused`` is shown as failed. A failed release's description has the reason."""
    return {
        "id": str(row.id),
        "version": row.version,
        "description": described(row),
        "kind": row.kind,
        "status": "failed" if row.status == "refused" else row.status,
        "reason": row.reason or None,
        "refused": row.status == "refused",
        "current": current,
        "addon_plan_names": [],
        "eligible_for_rollback": row.status == "succeeded" and row.slug_id is not None,
        "slug": {"id": str(row.slug_id), "commit": row.slug.commit, "digest": row.slug.digest} if row.slug else None,
        "oci_image": None,
        "output_stream_url": None,
        "user": user(row.account),
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def described(row: Release) -> str:
    """The description, with a failed release's reason: ``Deploy 575bfa81 (web.1 exited with status 127)``."""
    reason = row.reason.partition("\n")[0].rstrip(".")
    return f"{row.description} ({reason})" if row.status in ("failed", "refused") and reason else row.description


def news(row: Release) -> dict[str, str]:
    """The warning header for a release that also deploys code which was never live; empty for any other release."""
    old = unserved(row)
    if old is None or row.slug is None:
        return {}
    reason = old.reason.partition("\n")[0].rstrip(".")
    text = (
        f"v{row.version} also releases commit {row.slug.commit[:8]} of v{old.version}, which never went live: {reason}."
    )
    return {"X-Heroku-Warning": text[:1000]}


def news_of(app: App) -> dict[str, str]:
    """``news`` of the app's newest release, after a change that created one."""
    row = newest(app)
    return news(row) if row else {}


def formation(row: Formation, command: str) -> dict[str, Any]:
    """A process type with its quantity."""
    return {
        "id": str(row.id),
        "type": row.type,
        "quantity": row.quantity,
        "size": row.size,
        "command": command,
        "dyno_size": {"id": row.size, "name": row.size},
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def dyno_state(row: Dyno) -> str:
    """Heroku's dyno state: starting, up, crashed, complete, down."""
    if row.state == "ended":
        if row.kind in ("web", "worker"):
            return "down" if row.exit_reason == "asked" else "crashed"
        return "complete"
    return {
        "wanted": "crashed" if row.restarts else "starting",
        "starting": "starting",
        "up": "up",
        "stopping": "stopping",
    }[row.state]


def dyno(row: Dyno, attach_url: str | None = None) -> dict[str, Any]:
    """A dyno. ``exit_code`` and ``detail`` are Greenroom's own."""
    return {
        "id": str(row.id),
        "name": row.name,
        "type": row.type,
        "state": dyno_state(row),
        "size": row.size,
        "command": row.command,
        "attach_url": attach_url,
        "release": {"id": str(row.release_id), "version": row.release.version},
        "app": {"id": str(row.app_id), "name": row.app.name},
        "exit_code": row.exit_code,
        "exit_reason": row.exit_reason or None,
        "detail": row.health_detail or None,
        "restarts": row.restarts,
        "engine_id": row.engine_id,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
        "finished_at": heroku_time(row.finished_at),
    }


def build(row: Build, output_url: str) -> dict[str, Any]:
    """A build."""
    failure = {"reason": row.failure_reason, "message": row.failure_message, "hint": row.failure_hint}
    return {
        "id": str(row.id),
        "status": "failed" if row.status in ("errored", "cancelled") else row.status,
        "result": row.status,
        "source_blob": {"url": "", "version": row.commit, "checksum": None, "version_description": None},
        "slug": {"id": str(row.slug_id)} if row.slug_id else None,
        "stack": STACK["name"],
        "buildpacks": [{"url": name} for name in row.facts.get("buildpacks") or ["heroku/python"]],
        "release": None,
        "output_stream_url": output_url,
        "failure": failure if row.failure_reason else None,
        "user": user(row.account),
        "app": {"id": str(row.app_id)},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
        "finished_at": heroku_time(row.finished_at),
    }


def build_of_delivery(row: Delivery, output_url: str) -> dict[str, Any]:
    """The build of a delivery. Before the build starts, it has the delivery's id."""
    if row.build is not None:
        return build(row.build, output_url)
    failure = {"reason": row.state, "message": row.reason, "hint": ""} if row.finished_at else None
    return {
        "id": str(row.id),
        "status": "failed" if failure else "pending",
        "result": row.state if failure else "pending",
        "source_blob": {"url": "", "version": row.sha, "checksum": None, "version_description": None},
        "slug": None,
        "stack": STACK["name"],
        "buildpacks": [{"url": "heroku/python"}],
        "release": None,
        "output_stream_url": output_url,
        "failure": failure,
        "user": user(row.account),
        "app": {"id": str(row.app_id)},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
        "finished_at": heroku_time(row.finished_at),
    }


def slug(row: Slug, manifest: dict[str, Any]) -> dict[str, Any]:
    """A slug with its contents. There is no blob to download, because Greenroom creates no tarball."""
    return {
        "id": str(row.id),
        "commit": row.commit,
        "commit_description": None,
        "buildpack_provided_description": "Python",
        "checksum": f"SHA256:{row.digest}",
        "size": row.size,
        "process_types": row.process_types,
        "stack": STACK,
        "blob": {"method": "get", "url": ""},
        "manifest": manifest,
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.created_at),
    }


def annotation(row: Annotation) -> dict[str, Any]:
    """A finding of a check."""
    return {
        "path": row.path,
        "start_line": row.line,
        "end_line": row.end_line or row.line,
        "start_column": row.column or None,
        "end_column": row.end_column or None,
        "rule": row.rule,
        "tool": row.tool,
        "severity": row.severity,
        "message": row.message,
        "new": row.new,
        "fingerprint": row.fingerprint,
        "suppressed": row.suppressed or None,
        "justification": row.justification or None,
        "annotation_level": {1: "failure", 2: "failure", 3: "warning"}.get(row.severity, "notice"),
    }


def migrations(
    state: MigrationState | None, version: int | None, runs: list[MigrationRun], *, held: bool, none: bool = False
) -> dict[str, Any]:
    """Pending migrations and migrate commands. none: the code has no migrations of a supported framework."""
    return {
        "release": {"version": version} if version else None,
        "status": state.status if state else "none" if none else "unknown",
        "pending": state.pending if state else [],
        "missing": state.missing if state else [],
        "framework": state.framework if state else "",
        "conflicts": state.conflicts if state else {},
        "unmade": state.unmade if state else [],
        "lacking": state.lacking if state else [],
        "command": migrate_command(state.framework if state else ""),
        "warnings": [vars(one) | {"line": one.line()} for one in foreseen(state)],
        "undo": undo(state.framework, state.plan) if state else [],
        "detail": state.detail if state else no_framework() if none else "",
        "probed_at": heroku_time(state.probed_at) if state else None,
        "held": held,
        "runs": [migration_run(run) for run in runs],
    }


def migration_run(row: MigrationRun) -> dict[str, Any]:
    """A migrate command that a user ran."""
    return {
        "id": str(row.id),
        "actor": user(row.account)["email"],
        "user": user(row.account),
        "command": row.command,
        "dyno": row.dyno.name,
        "exit_code": row.exit_code,
        "before": row.before,
        "after": row.after,
        "release": {"version": row.release.version},
        "snapshot": row.snapshot.name if row.snapshot else None,
        "seconds": _seconds(row.dyno),
        "rehearsed_seconds": row.rehearsal.seconds if row.rehearsal else None,
        "health": row.health or None,
        "migrations": beside(row),
        "started_at": heroku_time(row.created_at),
        "finished_at": heroku_time(row.finished_at),
    }


def _seconds(row: Dyno) -> float | None:
    return round((row.finished_at - row.created_at).total_seconds(), 2) if row.finished_at else None


def collaborator(row: Collaborator) -> dict[str, Any]:
    """A user's role in an app."""
    return {
        "id": str(row.id),
        "role": row.role,
        "user": {**user(row.account), "federated": False},
        "permissions": [],
        "app": {"id": str(row.app_id), "name": row.app.name},
        "created_at": heroku_time(row.created_at),
        "updated_at": heroku_time(row.updated_at),
    }


def audit(row: AuditEntry) -> dict[str, Any]:
    """An audit log entry."""
    return {
        "id": row.id,
        "at": heroku_time(row.at),
        "created_at": heroku_time(row.at),
        "actor": row.actor,
        "action": row.action,
        "app": row.app_name or None,
        "address": row.address or None,
        "detail": row.detail,
        "hash": row.hash,
    }
