"""Webhooks: POST of the event to a URL, with Heroku's signature."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from greenroom.basics import outgoing
from greenroom.webhooks import rules
from greenroom.webhooks.channels.kind import Message, Outcome, Problem


class HttpWebhook:
    """A POST of JSON over https, or over http if allowed."""

    name = "webhook"
    schemes = ("https", "http")
    hidden = False

    def problem(self, url: str, allowed: Sequence[outgoing.Network]) -> Problem | None:
        """Checks the URL's format and a literal address. A host name is resolved anew for each attempt."""
        text = outgoing.url_problem(url, self.schemes)
        if text:
            return Problem(text=text)
        host = urlsplit(url).hostname or ""
        text = outgoing.host_problem(host, allowed)
        return Problem(text=text, hint=outgoing.allow_hint(host)) if text else None

    def shown(self, url: str) -> str:
        """The URL: it contains no credentials."""
        return url[:200]

    def deliver(self, url: str, message: Message, allowed: Sequence[outgoing.Network]) -> Outcome:
        """Success is a 2xx response. Redirects are not followed."""
        body = json.dumps(message.body).encode()
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Greenroom-Webhooks",
            "Heroku-Webhook-Hmac-SHA256": rules.signature(message.secret, body),
        }
        if message.authorization:
            headers["Authorization"] = message.authorization
        try:
            code = outgoing.post(url, body, headers, allowed=allowed)
        except outgoing.OutgoingError as trouble:
            return Outcome(error=trouble.kind)
        return Outcome(code=code, error="" if rules.succeeded(code) else "bad-status")


CHANNEL = HttpWebhook()
