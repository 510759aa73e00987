"""Greenroom's API of mail traps: messages, allow list, relay. A message is only served as JSON, never as a page."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any

from django.conf import settings

from greenroom.addons.mail import actions, queries
from greenroom.addons.models import Addon
from greenroom.basics.clock import heroku_time
from greenroom.basics.errors import UserError
from greenroom.entrypoints.api.routing import HOME, Call, route

MOST, USUAL = 200, 50
"""Entries of a list, at most and by default."""
LATEST = "latest"


def _number(text: str, name: str, most: int) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > 12 or not 0 < int(text) <= most:
        raise UserError(f"{name} is {text[:40]!r}, but must be a number from 1 to {most}.")
    return int(text)


def _mail(call: Call) -> int:
    """The number in the path; 0 for the newest message."""
    text = call.params["mail"]
    if text != LATEST and not (text.isascii() and text.isdecimal()):
        raise UserError(
            f"{text[:40]!r} is not a mail: use its number, or {LATEST}.", hint=f"greenroom mail -a {call.app.name}"
        )
    return 0 if text == LATEST else _number(text, "the mail", 10**12 - 1)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    try:
        moment = datetime.fromtimestamp(row["at"], UTC)
    except (ValueError, OverflowError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return {**{name: value for name, value in row.items() if name != "at"}, "created_at": heroku_time(moment)}


def _info(addon: Addon) -> dict[str, Any]:
    return queries.info(addon, HOME)


@route(
    "GET",
    "/apps/{app}/mail",
    "data:read",
    query=("before", "limit", "to", "from", "subject"),
    returns="[mail]",
)
def list_mail(call: Call) -> list[dict[str, Any]]:
    """List the messages in the app's mail trap, newest first.

    ?to, ?from and ?subject contain a part of the address or subject; ?limit (50, at most 200) and ?before (a number)
    give further pages.
    """
    words = {name: call.query(name)[:200] for name in ("to", "from", "subject")}
    limit = _number(call.query("limit") or str(USUAL), "limit", MOST)
    before = _number(call.query("before"), "before", 10**12 - 1) if call.query("before") else 0
    rows = queries.messages(queries.trap_of(call.app), HOME, before=before, limit=limit, words=words)
    return [_shown(row) for row in rows]


@route("GET", "/apps/{app}/mail/{mail}", "data:read", returns="mail-info")
def get_mail(call: Call) -> dict[str, Any]:
    """Get one message: headers, text, HTML, attachments, and who got it. ``latest`` is the newest."""
    return _shown(queries.message(queries.trap_of(call.app), HOME, _mail(call)))


@route("GET", "/apps/{app}/mail/{mail}/raw", "data:read", returns="mail-content")
def get_raw_mail(call: Call) -> dict[str, Any]:
    """Get one message as it was received, in base64."""
    _, content = queries.raw(queries.trap_of(call.app), HOME, _mail(call))
    return _content("message.eml", "message/rfc822", content)


@route("GET", "/apps/{app}/mail/{mail}/attachments/{part}", "data:read", returns="mail-content")
def get_attachment(call: Call) -> dict[str, Any]:
    """Get an attachment, in base64."""
    part = _number(call.params["part"], "the attachment", 10_000)
    return _content(*queries.attachment(queries.trap_of(call.app), HOME, _mail(call), part))


def _content(name: str, kind: str, content: bytes) -> dict[str, Any]:
    return {"name": name, "type": kind, "size": len(content), "content": base64.b64encode(content).decode()}


@route("DELETE", "/apps/{app}/mail", "config:write", returns="mail-cleared")
def clear_mail(call: Call) -> dict[str, Any]:
    """Delete all messages in the app's mail trap."""
    return {"cleared": actions.clear(actor=call.actor, addon=queries.trap_of(call.app), home=HOME)}


@route("GET", "/apps/{app}/mail-trap", "data:read", returns="mail-trap")
def get_trap(call: Call) -> dict[str, Any]:
    """Get limits, size, allow list and relay of the app's mail trap."""
    return _info(queries.trap_of(call.app))


@route("POST", "/apps/{app}/mail-trap/allowed", "config:write", takes="mail-trap.allow", returns="mail-trap")
def allow(call: Call) -> dict[str, Any]:
    """Allow an address, or @ and a domain: {entry}. The relay sends later messages to it."""
    addon = queries.trap_of(call.app)
    actions.allow(actor=call.actor, addon=addon, entry=call.text("entry", required=True))
    return _info(addon)


@route("DELETE", "/apps/{app}/mail-trap/allowed/{entry}", "config:write", returns="mail-trap")
def deny(call: Call) -> dict[str, Any]:
    """Remove an entry of the allow list. Messages that wait for the relay stay in the trap."""
    addon = queries.trap_of(call.app)
    actions.deny(actor=call.actor, addon=addon, entry=call.params["entry"])
    return _info(addon)


@route("PUT", "/apps/{app}/mail-trap/relay", "config:write", takes="mail-trap.relay", returns="mail-trap")
def set_relay(call: Call) -> dict[str, Any]:
    """Set the SMTP server for allowed recipients: {url, password}. The password is stored encrypted and never shown."""
    addon = queries.trap_of(call.app)
    actions.set_relay(
        actor=call.actor,
        addon=addon,
        home=HOME,
        url=call.text("url", required=True),
        password=call.text("password"),
        allowed=settings.PRIVATE_TARGETS,
    )
    return _info(addon)


@route("DELETE", "/apps/{app}/mail-trap/relay", "config:write", returns="mail-trap")
def unset_relay(call: Call) -> dict[str, Any]:
    """Remove the relay and its password."""
    addon = queries.trap_of(call.app)
    actions.unset_relay(actor=call.actor, addon=addon, home=HOME)
    return _info(addon)
