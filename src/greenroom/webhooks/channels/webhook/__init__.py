"""Webhooks: the event is posted to a URL, signed as Heroku signs it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from urllib.parse import urlsplit

from greenroom.basics import outgoing
from greenroom.webhooks import rules
from greenroom.webhooks.channels.kind import Message, Outcome, Problem


class HttpWebhook:
    """A POST of JSON by https, or by http where that is allowed."""

    name = "webhook"
    schemes = ("https", "http")

    def problem(self, url: str, allowed: Sequence[outgoing.Network]) -> Problem | None:
        """The form of the URL, and an address in it. A name is resolved when it is used, each time anew."""
        text = outgoing.url_problem(url, self.schemes)
        if text:
            return Problem(text=text)
        host = urlsplit(url).hostname or ""
        text = outgoing.host_problem(host, allowed)
        return Problem(text=text, hint=outgoing.allow_hint(host)) if text else None

    def deliver(self, url: str, message: Message, allowed: Sequence[outgoing.Network]) -> Outcome:
        """A 2xx is a success. A redirect is not followed."""
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
