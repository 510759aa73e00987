"""The shapes of request bodies. What may be left out has a ``?`` before it; keys that nobody knows are let pass."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.words import declare

declare("account.create", "A new account.", {"email": "email", "?name": "text?", "?is_admin": "boolean"})
declare(
    "account.update",
    "Another name, or another password.",
    {
        "?name": "text?",
        "?password": "text?",
        "?new_password": "text?",
        "?email": "text?",
    },
)
declare(
    "password.change",
    "Another password; the one that holds now proves that it is you.",
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
declare("authorization.update", "Another description.", {"description": "name"})
declare("key.create", "A public key in OpenSSH's form.", {"public_key": "name"})
declare("app.create", "A new app; without a name it gets one.", {"?name": "text?", "?region": "any", "?stack": "any"})
declare(
    "app.update",
    "Settings; what is left out stays as it is.",
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
    "Whom to let in.",
    {"user": "name", "?role": "text?", "?permissions": "[any]?", "?silent": "any"},
)
declare(
    "release.create",
    "The release to go back to, by id or version; without it the last good one.",
    {
        "?release": ["text", "integer", "null"],
        "?force": "any",
        "?confirm": "any",
        "?slug": "any",
        "?description": "any",
    },
)
declare("formation.update", "Quantities: a number, or a text such as 2, +1 or -1.", {"updates": "[#formation.change]"})
declare(
    "formation.change", "One process type.", {"type": "name", "?quantity": ["count", "text", "null"], "?size": "any"}
)
declare("formation.change-one", "Quantity and size.", {"?quantity": ["count", "text", "null"], "?size": "any"})
declare(
    "dyno.create",
    "A one-off dyno. snapshot: false leaves out the one before a migrate; force runs it in spite of a red rehearsal.",
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
    "A new app and its first code.",
    {
        "source_blob": "#source-blob",
        "?app": "object?",
        "?overrides": "object?",
    },
)
declare(
    "log-session.create",
    "Which lines.",
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
    "Whom to tell of what.",
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
    "What is to be changed.",
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
declare("addon.update", "Another name.", {"name": "name"})
declare("addon.delete", "force: even when other apps see it.", {"?force": "any"})
declare(
    "addon-attachment.create",
    "Which app shall see which add-on, under which name.",
    {
        "addon": ["name", "object"],
        "app": ["name", "object"],
        "?name": "text?",
        "?confirm": "text?",
        "?namespace": "any",
    },
)
declare("addon.resolve", "What an add-on may be called.", {"addon": "name", "?app": "any", "?addon_service": "any"})
declare(
    "addon-attachment.resolve",
    "What an attachment may be called.",
    {"addon_attachment": "name", "?app": "any", "?addon_service": "any"},
)
declare("database.reset", "Extensions cannot be asked for.", {"?extensions": "any"})
declare("transfer.restore", "Which backup: its to_url, or a link to it.", {"backup_url": "name", "?extensions": "any"})
declare("schedule.create", "When.", {"hour": ["text", "count"], "?timezone": "text?", "?schedule_name": "text?"})
declare(
    "checks.rerun",
    "Which check of which commit; without a name, all that are not green.",
    {"?name": "text?", "?sha": "text?"},
)
declare(
    "override.create",
    "Which commit, which checks, and why.",
    {"sha": "name", "reason": "name", "?checks": ["[text]", "text", "null"]},
)
declare(
    "check-token.create",
    "Which checks it may report. pin: no other report of them counts.",
    {
        "checks": "[text]",
        "?pin": "any",
        "?description": "text?",
        "?expires_in": "seconds?",
    },
)
declare("snapshot.create", "Why, and whether to keep it.", {"?reason": "text?", "?pinned": "boolean"})
declare("snapshot.update", "Whether to keep it.", {"pinned": "boolean"})
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
    "What is to be changed of a check run.",
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
