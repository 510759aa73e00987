"""The shapes of Heroku's resources, with Greenroom's additional fields."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.words import declare

TIMES = {"created_at": "moment", "updated_at": "moment"}
NAMED = {"id": "uuid", "name": "text"}

declare(
    "error",
    "An error. The message includes the hint, because Heroku's clients show only the message.",
    {
        "id": "text",
        "message": "text",
        "url": "text",
        "?hint": "text",
        "?resource": "text",
        "?documentation_url": "text",
        "?status": "text",
        "?errors": "[object]",
    },
)
declare("named", "A reference to another resource.", NAMED)
declare("of-app", "The id of an app.", {"id": "uuid"})
declare(
    "user",
    "A reference to an account. The id is empty for a deleted account or Greenroom itself.",
    {"id": "text", "email": "text"},
)
ACCOUNT = {
    "id": "uuid",
    "email": "email",
    "name": "text?",
    "verified": "boolean",
    "beta": "boolean",
    "is_admin": "boolean",
    "allow_tracking": "boolean",
    "federated": "boolean",
    "two_factor_authentication": "boolean",
    "sms_number": "text?",
    "suspended_at": "moment?",
    "delinquent_at": "moment?",
    "default_organization": "null",
    "default_team": "null",
    "identity_provider": "null",
    "last_login": "moment?",
    **TIMES,
}
declare("account", "An account.", ACCOUNT)
declare("account.new", "A new account with its first token, which is shown only once.", {**ACCOUNT, "token": "text"})
declare("account.token", "An account with a new token, which is shown only once.", {**ACCOUNT, "token": "text"})
declare(
    "authorization",
    "An API token. Only the response that creates it contains the full token.",
    {
        "id": "uuid",
        "description": "text",
        "scope": "[text]",
        "client": "null",
        "grant": "null",
        "refresh_token": "null",
        "session": "null",
        "access_token": {"id": "uuid", "token": "text", "expires_in": "integer?"},
        "user": {"id": "uuid", "email": "email", "full_name": "text"},
        **TIMES,
    },
)
declare(
    "key",
    "An SSH key.",
    {
        "id": "uuid",
        "public_key": "text",
        "fingerprint": "text",
        "comment": "text",
        "email": "text",
        **TIMES,
    },
)
declare("rate-limit", "The number of requests that the account may still make.", {"remaining": "count"})
declare(
    "region",
    "A region.",
    {
        **NAMED,
        "country": "text",
        "description": "text",
        "locale": "text",
        "private_capable": "boolean",
        "provider": {"name": "text", "region": "text"},
        "?created_at": "moment",
        "?updated_at": "moment",
    },
)
declare(
    "stack",
    "A stack.",
    {
        **NAMED,
        "default": "boolean",
        "state": "text",
        "?created_at": "moment",
        "?updated_at": "moment",
    },
)
declare(
    "app",
    "An app. ``generation`` is an object in version 3 and a string in version 3.sdk.",
    {
        **NAMED,
        "owner": "#user",
        "region": "#named",
        "stack": "#named",
        "build_stack": "#named",
        "generation": ["#named", "text"],
        "maintenance": "boolean",
        "acm": "boolean",
        "archived_at": "moment?",
        "buildpack_provided_description": "text?",
        "create_status": "text",
        "internal_routing": "boolean?",
        "locked": "boolean",
        "joined": "boolean",
        "organization": "null",
        "team": "null",
        "space": "null",
        "repo_size": "integer?",
        "slug_size": "integer?",
        "released_at": "moment?",
        "required_checks": "[text]",
        "deploy_paused": "text?",
        "deploy_paused_until": "moment?",
        "protected_branch": "text",
        "?state": "live|held|crashed|none",
        "?live_version": "integer?",
        "web_url": "text",
        "git_url": "text",
        "git_http_url": "text",
        **TIMES,
    },
)
declare(
    "release",
    "A release: a slug and a version of the config vars.",
    {
        "id": "uuid",
        "version": "integer",
        "description": "text",
        "kind": "text",
        "status": "failed|pending|succeeded|expired",
        "reason": "text?",
        "refused": "boolean",
        "current": "boolean",
        "addon_plan_names": "[text]",
        "eligible_for_rollback": "boolean",
        "slug": "#release.slug?",
        "oci_image": "null",
        "output_stream_url": "text?",
        "user": "#user",
        "app": "#named",
        "?patience": "integer",
        "?held": "boolean",
        **TIMES,
    },
)
declare("release.slug", "A release's slug.", {"id": "uuid", "commit": "text", "digest": "text"})
declare(
    "formation",
    "A process type with its quantity.",
    {
        "id": "uuid",
        "type": "text",
        "quantity": "count",
        "size": "text",
        "command": "text",
        "dyno_size": {"id": "text", "name": "text"},
        "app": "#named",
        **TIMES,
    },
)
declare(
    "dyno",
    "A dyno. exit_code, exit_reason, detail, restarts, engine_id and finished_at are Greenroom's own.",
    {
        "id": "uuid",
        "name": "text",
        "type": "text",
        "state": "starting|up|stopping|crashed|complete|down",
        "size": "text",
        "command": "text",
        "attach_url": "text?",
        "release": {"id": "uuid", "version": "integer"},
        "app": "#named",
        "exit_code": "integer?",
        "exit_reason": "text?",
        "detail": "text?",
        "restarts": "count",
        "engine_id": "text",
        "finished_at": "moment?",
        **TIMES,
    },
)
declare(
    "build",
    "A build: one compilation of a commit into a slug.",
    {
        "id": "uuid",
        "status": "pending|succeeded|failed",
        "result": "text",
        "source_blob": {"url": "text", "version": "text?", "checksum": "text?", "version_description": "text?"},
        "slug": "#of-app?",
        "stack": "text",
        "buildpacks": "[#buildpack]",
        "release": "#of-app?",
        "output_stream_url": "text",
        "failure": "#failure?",
        "user": "#user",
        "app": "#of-app",
        "finished_at": "moment?",
        **TIMES,
    },
)
declare(
    "dyno-size",
    "A dyno size.",
    {
        **NAMED,
        "architecture": "text",
        "compute": "integer",
        "precise_dyno_units": "number",
        "dedicated": "boolean",
        "dyno_units": "integer",
        "generation": "#named",
        "memory": "number",
        "private_space_only": "boolean",
        "cost": "object",
    },
)
declare(
    "build-result",
    "The output of a build.",
    {
        "build": "#build.short",
        "exit_code": "integer?",
        "lines": "[#build.line]",
    },
)
declare(
    "build.short",
    "A reference to a build.",
    {"id": "uuid", "status": "pending|succeeded|failed", "output_stream_url": "text"},
)
declare("build.line", "A line of build output.", {"stream": "text", "line": "text"})
declare(
    "app-setup",
    "An app that is created with its first build.",
    {
        "id": "uuid",
        "app": "#named",
        "status": "pending|succeeded|failed",
        "build": "#build.short",
        "failure_message": "text?",
        "manifest_errors": "[text]",
        "postdeploy": "null",
        "resolved_success_url": "text?",
        **TIMES,
    },
)
declare(
    "source",
    "The URL to upload an archive to, and the URL to build it from.",
    {
        "source_blob": {"put_url": "text", "get_url": "text"},
        **TIMES,
    },
)
declare("failure", "The reason of a failure.", {"reason": "text", "message": "text", "hint": "text"})
declare("buildpack", "A buildpack by its name.", {"url": "text", "?name": "text"})
declare(
    "slug",
    "A slug and its contents.",
    {
        "id": "uuid",
        "commit": "text",
        "commit_description": "text?",
        "buildpack_provided_description": "text?",
        "checksum": "text?",
        "size": "integer?",
        "process_types": "strings",
        "stack": "#named",
        "blob": {"method": "text", "url": "text"},
        "manifest": "object",
        **TIMES,
    },
)
declare(
    "domain",
    "A domain.",
    {
        "id": "uuid",
        "hostname": "text",
        "kind": "heroku|custom",
        "cname": "text?",
        "status": "text",
        "acm_status": "text?",
        "acm_status_reason": "text?",
        "sni_endpoint": "#named?",
        "app": "#named",
        **TIMES,
    },
)
declare(
    "collaborator",
    "A user's role in an app.",
    {
        "id": "uuid",
        "role": "owner|operator|developer|viewer",
        "user": {"id": "uuid", "email": "email", "federated": "boolean"},
        "permissions": "[object]",
        "app": "#named",
        **TIMES,
    },
)
declare("config-vars", "All config vars with their values.", "strings")
declare(
    "buildpack-installation",
    "The buildpacks of an app, in order.",
    {"ordinal": "count", "buildpack": {"url": "text", "name": "text"}},
)
declare("log-session", "A URL that streams the log.", {"id": "uuid", "logplex_url": "text", **TIMES})
declare(
    "webhook",
    "A webhook. Its secret is shown only once, in the header Heroku-Webhook-Secret.",
    {
        "id": "uuid",
        "url": "text",
        "include": "[text]",
        "level": "notify|sync",
        "app": "#named",
        **TIMES,
    },
)
declare(
    "webhook-delivery",
    "The delivery of an event to a webhook.",
    {
        "id": "uuid",
        "status": "pending|scheduled|retrying|failed|succeeded",
        "num_attempts": "count",
        "next_attempt_at": "moment?",
        "last_attempt": "#webhook-attempt?",
        "event": {"id": "uuid", "include": "text"},
        "webhook": {"id": "uuid", "level": "text"},
        **TIMES,
    },
)
declare(
    "webhook-attempt",
    "The last attempt of a delivery.",
    {
        "id": "uuid",
        "code": "integer?",
        "error_class": "text?",
        "status": "scheduled|succeeded|failed",
        "created_at": "moment?",
        "updated_at": "moment?",
    },
)
declare(
    "webhook-event",
    "A change of an app's resource.",
    {"id": "uuid", "include": "text", "payload": "object", **TIMES},
)
declare(
    "feature",
    "A feature flag.",
    {
        **NAMED,
        "display_name": "text",
        "description": "text",
        "doc_url": "text",
        "enabled": "boolean",
        "feedback_email": "text",
        "state": "text",
        **TIMES,
    },
)
declare("nothing", "An empty object.", {})
