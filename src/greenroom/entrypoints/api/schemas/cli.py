"""The shapes of certificates, drains, the buildpack registry, sign-ins and transfers, as the Heroku CLI needs them."""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import NAMED, TIMES
from greenroom.entrypoints.api.schemas.words import declare

declare("domain.update", "A new certificate, by name or id; null for none.", {"sni_endpoint": "text?"})
declare(
    "sni-endpoint",
    "A certificate of the app, without its private key.",
    {
        **NAMED,
        "display_name": "null",
        "certificate_chain": "text",
        "cname": "null",
        "domains": "[uuid]",
        "app": "#named",
        "ssl_cert": "#ssl-cert",
        **TIMES,
    },
)
declare(
    "ssl-cert",
    "The content of the certificate.",
    {
        "id": "uuid",
        "acm": "boolean",
        "ca_signed?": "boolean",
        "self_signed?": "boolean",
        "cert_domains": "[text]",
        "issuer": "text",
        "subject": "text",
        "starts_at": "moment",
        "expires_at": "moment",
    },
)
declare(
    "sni-endpoint.create",
    "Certificate chain and private key in PEM format.",
    {"certificate_chain": "name", "private_key": "name"},
)
declare(
    "log-drain",
    "A log drain. Its URL is shown without the password. Greenroom adds the state of delivery.",
    {
        "id": "uuid",
        "url": "text",
        "token": "text",
        "addon": "null",
        "extended": "#log-drain.extended?",
        "sent_lines": "count",
        "sent_at": "moment?",
        "failures": "count",
        "error": "text?",
        **TIMES,
    },
)
declare("log-drain.extended", "Heroku's number of a drain: here its id.", {"drain_id": "uuid"})
declare("log-drain.create", "The URL of the receiver: https, http, syslog+tls or syslog.", {"url": "name"})
declare(
    "app-feature",
    "A feature flag of Heroku, which is fixed here.",
    {
        **NAMED,
        "display_name": "text?",
        "description": "text",
        "doc_url": "text",
        "enabled": "boolean",
        "feedback_email": "text",
        "state": "text",
        **TIMES,
    },
)
declare("app-feature.update", "The new state. Only the current state is accepted.", {"enabled": "boolean"})
declare(
    "buildpack-installation.update",
    "The buildpacks in order: heroku/python with others of Greenroom, or none.",
    {"updates": "[#buildpack-installation.one]"},
)
declare("buildpack-installation.one", "A buildpack by name or URL.", {"buildpack": "text"})
ENTRY = {
    "id": "uuid",
    "namespace": "text",
    "name": "text",
    "description": "text",
    "official": "boolean",
    "support": {"method": "text", "website": "text"},
    "category": "text",
    "source": {"type": "text", "owner": "text", "repo": "text"},
    "blob_url": "text",
    "logo": "null",
    "release": "integer",
    "license": "null",
    "checksum": "null",
    **TIMES,
}
declare("registry-buildpack", "A buildpack of the registry.", ENTRY)
declare(
    "registry-revision", "A version of a buildpack.", {**ENTRY, "version": "text", "status": "text", "error": "null"}
)
declare("registry-readme", "A link to the buildpack's documentation.", {"content": "text"})
declare(
    "sign-in",
    "The URL for the browser, and the URL and token for the CLI.",
    {"browser_url": "text", "cli_url": "text", "token": "text"},
)
declare("sign-in.create", "A description of the command, shown to the user.", {"?description": "text?"})
declare(
    "session",
    "A confirmed sign-in.",
    {"id": "uuid", "description": "text", "expires_in": "integer?", "used_at": "moment?", **TIMES},
)
declare(
    "app-transfer",
    "The transfer of an app to another account.",
    {
        "id": "uuid",
        "app": "#named",
        "owner": "#user",
        "recipient": "#user",
        "state": "pending|accepted|declined",
        **TIMES,
    },
)
declare(
    "app-transfer.create", "The app and the recipient's e-mail.", {"app": "name", "recipient": "name", "?silent": "any"}
)
declare("app-transfer.update", "The recipient's answer.", {"state": "accepted|declined"})
declare(
    "notification",
    "A person or a chat that is told of events. The target is shown without secrets; no app: all of them.",
    {
        "id": "uuid",
        "app": "#named?",
        "channel": "text",
        "target": "text",
        "events": "[text]",
        "user": "#user?",
        "last_delivery": "#notification-delivery?",
        **TIMES,
    },
)
declare(
    "notification-delivery",
    "The delivery of one event to a notification.",
    {
        "id": "uuid",
        "event": "text",
        "status": "pending|retrying|failed|succeeded",
        "num_attempts": "count",
        "error": "text?",
        **TIMES,
    },
)
declare(
    "notification.create",
    "The target (mailto:NAME@HOST, or a URL of Apprise) and the events; none: the usual ones.",
    {"target": "name", "?events": ["[text]", "null"]},
)
