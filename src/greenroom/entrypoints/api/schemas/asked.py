"""The shapes of request bodies. Optional keys start with ``?``; unknown keys in the body are ignored."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.words import declare

declare("account.create", "A new account.", {"email": "email", "?name": "text?", "?is_admin": "boolean"})
declare(
    "account.update",
    "A new name or a new password.",
    {
        "?name": "text?",
        "?password": "text?",
        "?new_password": "text?",
        "?email": "text?",
    },
)
declare(
    "password.change",
    "A new password. The current password is required.",
    {
        "?current_password": "text?",
        "?password": "text?",
        "new_password": "name",
    },
)
declare(
    "authorization.create",
    "A new token.",
    {"?scope": ["[text]", "text", "null"], "?expires_in": "seconds?", "?description": "text?"},
)
declare("authorization.update", "A new description.", {"description": "name"})
declare("key.create", "A public key in OpenSSH format.", {"public_key": "name"})
declare(
    "app.create",
    "A new app. The default name is random. database: false for an app without one.",
    {"?name": "text?", "?region": "any", "?stack": "any", "?database": "boolean"},
)
declare(
    "app.update",
    "Settings to change. Omitted keys keep their value.",
    {
        "?name": "text?",
        "?maintenance": "boolean",
        "?required_checks": "[text]",
        "?deploy_paused": "text?",
        "?deploy_paused_until": "text?",
        "?build_stack": "any",
    },
)
declare("config-vars.update", "Config vars to set; null removes one.", "nullable-strings")
declare("domain.create", "A host name.", {"hostname": "name", "?sni_endpoint": "any"})
declare(
    "collaborator.create",
    "The account to add.",
    {"user": "name", "?role": "text?", "?permissions": "[any]?", "?silent": "any"},
)
declare(
    "release.create",
    "The release to roll back to, by id or version. Default: the previous successful release.",
    {
        "?release": ["text", "integer", "null"],
        "?force": "any",
        "?confirm": "any",
        "?slug": "any",
        "?description": "any",
    },
)
declare(
    "formation.update", "Quantities: a number, or a string such as 2, +1 or -1.", {"updates": "[#formation.change]"}
)
declare(
    "formation.change", "One process type.", {"type": "name", "?quantity": ["count", "text", "null"], "?size": "any"}
)
declare("formation.change-one", "Quantity and size.", {"?quantity": ["count", "text", "null"], "?size": "any"})
declare(
    "dyno.create",
    "A one-off dyno. snapshot: false skips the snapshot before a migrate; force runs it despite a failed rehearsal.",
    {
        "command": "name",
        "?attach": "any",
        "?env": "object?",
        "?force_no_tty": "any",
        "?size": "text?",
        "?type": "any",
        "?time_to_live": "any",
        "?snapshot": "any",
        "?force": "any",
    },
)
declare(
    "source-blob",
    "An archive: a get_url of this installation's /sources.",
    {
        "url": "name",
        "?version": "text?",
        "?checksum": "text?",
        "?version_description": "any",
    },
)
declare("build.create", "An archive to build.", {"source_blob": "#source-blob", "?buildpacks": "any"})
declare(
    "app-setup.create",
    "A new app and its first source code.",
    {
        "source_blob": "#source-blob",
        "?app": "object?",
        "?overrides": "object?",
    },
)
declare(
    "log-session.create",
    "The log lines to read.",
    {
        "?lines": "count?",
        "?tail": "any",
        "?dyno": "text?",
        "?type": "text?",
        "?dyno_name": "text?",
        "?source": "text?",
    },
)
declare(
    "webhook.create",
    "The receiver and the events of a webhook.",
    {
        "url": "name",
        "include": "[text]",
        "level": "notify|sync",
        "?secret": "text?",
        "?authorization": "text?",
    },
)
declare(
    "webhook.update",
    "Changes of a webhook.",
    {
        "?url": "text?",
        "?include": ["[text]", "null"],
        "?level": "text?",
        "?secret": "text?",
        "?authorization": "text?",
    },
)
declare(
    "addon.create",
    "A database.",
    {
        "plan": ["name", {"name": "name"}],
        "?attachment": "any",
        "?name": "text?",
        "?confirm": "text?",
        "?config": "any",
    },
)
declare(
    "app-volume.create", "A volume: its path in dynos, and its size.", {"name": "name", "?at": "text?", "?size": "any"}
)
declare("app-volume.update", "Another size.", {"size": "any"})
declare("volume-snapshot.create", "A description of its purpose.", {"?reason": "text?"})
declare("addon.update", "A new name.", {"name": "name"})
declare("addon.delete", "force: even if other apps are attached.", {"?force": "any"})
declare(
    "addon-attachment.create",
    "The app, the add-on and the name of a new attachment.",
    {
        "addon": ["name", "object"],
        "app": ["name", "object"],
        "?name": "text?",
        "?confirm": "text?",
        "?namespace": "any",
    },
)
declare("addon.resolve", "The name of an add-on to resolve.", {"addon": "name", "?app": "any", "?addon_service": "any"})
declare(
    "addon-attachment.resolve",
    "The name of an attachment to resolve.",
    {"addon_attachment": "name", "?app": "any", "?addon_service": "any"},
)
declare("database.reset", "Options of a reset. Extensions are not supported.", {"?extensions": "any"})
declare(
    "store.config",
    "Settings of a key-value store to change.",
    {"?maxmemory_policy": "text", "?timeout": "integer", "?notify_keyspace_events": "text"},
)
declare("transfer.restore", "The backup: its to_url, or a link to it.", {"backup_url": "name", "?extensions": "any"})
declare(
    "schedule.create",
    "The time of a daily backup.",
    {"hour": ["text", "count"], "?timezone": "text?", "?schedule_name": "text?"},
)
declare(
    "checks.rerun",
    "The check and the commit. Default: all unsuccessful checks.",
    {"?name": "text?", "?sha": "text?"},
)
declare(
    "override.create",
    "The commit, the checks and the reason.",
    {"sha": "name", "reason": "name", "?checks": ["[text]", "text", "null"]},
)
declare(
    "check-token.create",
    "The checks that the token may report. pin: reject reports of other tokens.",
    {
        "checks": "[text]",
        "?pin": "any",
        "?description": "text?",
        "?expires_in": "seconds?",
    },
)
declare("snapshot.create", "The reason, and whether to keep the snapshot.", {"?reason": "text?", "?pinned": "boolean"})
declare("snapshot.update", "Whether to keep the snapshot.", {"pinned": "boolean"})
declare(
    "github.status.create",
    "A commit status.",
    {
        "state": "error|failure|pending|success",
        "?context": "text?",
        "?description": "text?",
        "?target_url": "text?",
    },
)
declare(
    "github.check-run.create",
    "A check run.",
    {
        "name": "name",
        "head_sha": "name",
        "?status": "text?",
        "?conclusion": "text?",
        "?details_url": "text?",
        "?external_id": "text?",
        "?started_at": "text?",
        "?completed_at": "text?",
        "?output": "object?",
        "?actions": ["[object]", "null"],
    },
)
declare(
    "github.check-run.update",
    "Changes of a check run.",
    {
        "?name": "text?",
        "?status": "text?",
        "?conclusion": "text?",
        "?details_url": "text?",
        "?external_id": "text?",
        "?started_at": "text?",
        "?completed_at": "text?",
        "?output": "object?",
        "?actions": ["[object]", "null"],
    },
)
