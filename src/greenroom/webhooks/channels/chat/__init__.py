"""Chats and pagers by Apprise, in a process of its own that may connect to public addresses only."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

from greenroom.basics import outgoing
from greenroom.webhooks.channels.kind import Message, Outcome, Problem

SECONDS = 40.0
MAX_URL = 2000
MOST = 10_000
"""Bytes that are read of the process's answer."""
HINT = "the URLs of all services: https://appriseit.com/services/"


class Chat:
    """A title and a text to a service of Apprise."""

    name = "chat"
    hidden = True
    schemes = (
        "discord",
        "gchat",
        "gotify",
        "gotifys",
        "json",
        "jsons",
        "matrix",
        "matrixs",
        "mmost",
        "mmosts",
        "msteams",
        "ntfy",
        "ntfys",
        "opsgenie",
        "pagerduty",
        "pover",
        "rocket",
        "rockets",
        "signal",
        "signals",
        "slack",
        "tgram",
        "webex",
        "workflows",
        "zulip",
    )

    def problem(self, url: str, allowed: Sequence[outgoing.Network]) -> Problem | None:
        """Whether Apprise takes the URL; it is not contacted."""
        if len(url) > MAX_URL or not url.isascii() or not url.isprintable() or " " in url:
            return Problem(text=f"must have at most {MAX_URL} printable ASCII characters without spaces", hint=HINT)
        answer = _ask({"url": url, "only_check": True})
        return None if answer.get("ok") else Problem(text="is not complete for its service", hint=HINT)

    def shown(self, url: str) -> str:
        """The scheme alone: hosts, paths and queries of such URLs contain tokens."""
        return f"{url.partition(':')[0].lower()}://***"

    def deliver(self, url: str, message: Message, allowed: Sequence[outgoing.Network]) -> Outcome:
        """Success: the service took the message."""
        data: dict[str, Any] = message.body.get("data") or {}
        given = {
            "url": url,
            "title": str(data.get("subject") or "An event of Greenroom")[:250],
            "text": str(data.get("text") or "")[:4000],
            "allowed": [str(network) for network in allowed],
        }
        answer = _ask(given)
        return Outcome() if answer.get("ok") else Outcome(error=str(answer.get("error") or "not-taken"))


def _ask(given: dict[str, Any]) -> dict[str, Any]:
    """The answer of the process; the URL is on its standard input, in no argument and no environment."""
    argv = [sys.executable, "-I", "-m", "greenroom.webhooks.channels.chat.send"]
    trusted = os.environ.get("SSL_CERT_FILE", "")
    env = {
        "LANG": "C.UTF-8",
        **({"REQUESTS_CA_BUNDLE": trusted} if trusted else {}),
    }  # no proxy: it would look names up
    try:
        done = subprocess.run(
            argv, input=json.dumps(given).encode(), capture_output=True, timeout=SECONDS, check=True, cwd="/", env=env
        )
        answer = json.loads(done.stdout[:MOST])
    except subprocess.TimeoutExpired:
        return {"error": "timeout"}
    except (OSError, subprocess.SubprocessError, ValueError):
        return {"error": "internal"}
    return answer if isinstance(answer, dict) else {"error": "internal"}


CHANNEL = Chat()
