"""The shapes of add-ons, attachments and Heroku's data API."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import NAMED, TIMES
from greenroom.entrypoints.api.schemas.words import declare

declare(
    "price",
    "The price, always zero.",
    {"cents": "integer", "unit": "text", "contract": "boolean", "metered": "boolean"},
)
declare(
    "plan",
    "A plan of an add-on service.",
    {
        **NAMED,
        "human_name": "text",
        "description": "text",
        "price": "#price",
        "default": "boolean",
        "state": "text",
        "installable_inside_private_network": "boolean",
        "installable_outside_private_network": "boolean",
        "space_default": "boolean",
        "visible": "boolean",
        "addon_service": "#named",
        "?compliance": "null",
        "?created_at": "moment",
        "?updated_at": "moment",
    },
)
declare(
    "addon-service",
    "An add-on service.",
    {
        **NAMED,
        "human_name": "text",
        "state": "text",
        "cli_plugin_name": "text?",
        "supports_multiple_installations": "boolean",
        "supports_sharing": "boolean",
        **TIMES,
    },
)
declare(
    "addon",
    "An add-on: a database.",
    {
        **NAMED,
        "state": "provisioning|provisioned|deprovisioning|deprovisioned",
        "plan": "#plan",
        "config_vars": "[text]",
        "addon_service": {**NAMED, "human_name": "text"},
        "app": "#named",
        "provider_id": "text",
        "provision_message": "text",
        "web_url": "text?",
        "actions": "[object]",
        "billed_price": "#price",
        "billing_entity": {**NAMED, "type": "text"},
        **TIMES,
    },
)
declare(
    "addon-attachment",
    "An attachment: the name of an add-on in an app.",
    {
        **NAMED,
        "namespace": "text?",
        "config_vars": "[text]",
        "web_url": "text?",
        "log_input_url": "text?",
        "addon": {**NAMED, "app": "#named", "plan": "#plan", "state": "text"},
        "addon_service": "#named",
        "app": "#named",
        **TIMES,
    },
)
declare(
    "database",
    "A database, in the data API's format.",
    {
        **NAMED,
        "plan": "text",
        "info": "[#database.info]",
        "resource_url": "text",
        "database_name": "text",
        "database_user": "text",
        "following": "null",
        "leader": "null",
        "forked_from": "null",
        "target_transaction": "null",
        "available_for_ingress": "boolean",
        "num_bytes": "integer",
        "num_tables": "integer",
        "num_connections": "integer",
        "num_connections_waiting": "integer",
        "standalone?": "boolean",
        "created_at": "text",
    },
)
declare("database.info", "A line of ``pg:info``.", {"name": "text", "values": "[text?]"})
declare(
    "wait-status", "Whether the database is ready.", {"waiting?": "boolean", "message": "text", "error?": "boolean"}
)
declare(
    "store",
    "A key-value store.",
    {
        **NAMED,
        "plan": "text",
        "info": "[#database.info]",
        "resource_url": "text",
        "version": "text?",
        "port": "integer",
        "prefer_native_tls": "boolean",
        "formation": "null",
        "metaas_source": "null",
        "customer_encryption_key": "null",
        "created_at": "text",
    },
)
declare(
    "store-config",
    "The settings of a key-value store.",
    {
        "maxmemory_policy": {"value": "text", "values": "strings"},
        "timeout": {"value": "integer"},
        "notify_keyspace_events": {"value": "text"},
    },
)
declare("message", "A confirmation.", {"message": "text"})
declare(
    "transfer",
    "A backup or a restore.",
    {
        "uuid": "uuid",
        "num": "integer",
        "options": "object",
        "warnings": "integer",
        "schedule": "null",
        "canceled_at": "null",
        "logs": "[#transfer.line]",
        "from_type": "text",
        "from_name": "text",
        "from_url": "text?",
        "to_type": "text",
        "to_name": "text",
        "to_url": "text?",
        "source_bytes": "integer?",
        "processed_bytes": "integer",
        "started_at": "text?",
        "finished_at": "text?",
        "succeeded": "boolean",
        "created_at": "text",
        "updated_at": "text?",
    },
)
declare("transfer.line", "A log line of a transfer.", {"created_at": "text?", "message": "text"})
declare("public-url", "A temporary link that needs no credentials.", {"url": "text", "expires_at": "text"})
declare(
    "schedule",
    "A daily backup.",
    {
        "uuid": "uuid",
        "name": "text",
        "hour": "integer",
        "timezone": "text",
        "days": "[text]",
        "retain_weeks": "integer",
        "retain_months": "integer",
        "created_at": "text",
        "updated_at": "text?",
        "deleted_at": "null",
    },
)
declare(
    "credential",
    "A role of the database with its password.",
    {
        "uuid": "uuid",
        "name": "text",
        "state": "text",
        "database": "text",
        "host": "text",
        "port": "integer",
        "credentials": "[#credential.user]",
    },
)
declare(
    "credential.user",
    "User and password.",
    {"user": "text", "password": "text", "state": "text", "connections": "integer?"},
)
declare(
    "transfer.copy",
    "Source and target database in this installation, by URL.",
    {
        "from_url": "name",
        "to_url": "name",
        "?from_name": "text?",
        "?to_name": "text?",
    },
)
