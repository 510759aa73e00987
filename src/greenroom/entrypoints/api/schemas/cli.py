"""The shapes of what the Heroku CLI asks for beside apps: certificates, drains, the registry of buildpacks, sign-ins,
transfers.
"""

from __future__ import annotations

from greenroom.entrypoints.api.schemas.heroku import NAMED, TIMES
from greenroom.entrypoints.api.schemas.words import declare

declare("domain.update", "Another certificate, by name or id; null for none.", {"sni_endpoint": "text?"})
declare(
    "sni-endpoint",
    "A certificate of the app; never its key.",
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
    "What stands in the certificate.",
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
declare("sni-endpoint.create", "Chain and key, both as PEM.", {"certificate_chain": "name", "private_key": "name"})
declare(
    "log-drain",
    "A receiver of the log. The URL is shown without its password; how far the receiver got is Greenroom's own.",
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
declare("log-drain.extended", "The number that Heroku gives a drain: here its id.", {"drain_id": "uuid"})
declare("log-drain.create", "Where to send the log: https, http, syslog+tls or syslog.", {"url": "name"})
declare(
    "app-feature",
    "What can be switched at Heroku and is settled here.",
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
declare("app-feature.update", "What it is to be; only what it is already is accepted.", {"enabled": "boolean"})
declare(
    "buildpack-installation.update", "heroku/python once, or nothing.", {"updates": "[#buildpack-installation.one]"}
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
declare("registry-revision", "A version of one.", {**ENTRY, "version": "text", "status": "text", "error": "null"})
declare("registry-readme", "Where its behaviour is written down.", {"content": "text"})
declare(
    "sign-in",
    "Where the person goes, and where the command asks with the token.",
    {"browser_url": "text", "cli_url": "text", "token": "text"},
)
declare("sign-in.create", "Which command asks, as its person is told.", {"?description": "text?"})
declare(
    "session",
    "A sign-in that holds.",
    {"id": "uuid", "description": "text", "expires_in": "integer?", "used_at": "moment?", **TIMES},
)
declare(
    "app-transfer",
    "An offer of an app to another account.",
    {
        "id": "uuid",
        "app": "#named",
        "owner": "#user",
        "recipient": "#user",
        "state": "pending|accepted|declined",
        **TIMES,
    },
)
declare("app-transfer.create", "Which app, to whom: an e-mail.", {"app": "name", "recipient": "name", "?silent": "any"})
declare("app-transfer.update", "The recipient's answer.", {"state": "accepted|declined"})
