"""Reads the facts of a trap: its server, its messages, and which recipients got them."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from greenroom.addons import queries as addons
from greenroom.addons.mail import rules
from greenroom.addons.mail.drivers import clients
from greenroom.addons.mail.drivers.servers import Server
from greenroom.addons.models import Addon, RelayedMail
from greenroom.addons.queries import secret_of, server_key, server_start
from greenroom.apps.models import App
from greenroom.basics import clock
from greenroom.basics.errors import ConflictError, NotFoundError, PlatformError


def trap_of(app: App) -> Addon:
    """The app's own trap. NotFoundError without one, ConflictError while it is being provisioned."""
    found = addons.of_kind(app, rules.SERVICE.kind)
    if found is None:
        other = addons.seen_by(app).filter(kind=rules.SERVICE.kind).select_related("app").first()
        if other:
            text, hint = (
                f"{app.name} sends to the mail trap of {other.app.name}.",
                f"greenroom mail -a {other.app.name}",
            )
        else:
            text, hint = f"{app.name} has no mail trap.", f"heroku addons:create {rules.SERVICE.name} -a {app.name}"
        raise NotFoundError(text, hint=hint, resource="add_on")
    if found.state != "provisioned":
        raise ConflictError(f"The mail trap {found.name} is {found.state}.", hint=f"heroku addons:wait -a {app.name}")
    return found


def passwords_of(addon: Addon, home: Path) -> list[tuple[str, float]]:
    """The app's passwords that are valid now, each with the end of its validity (0: none)."""
    secret, until = secret_of(addon, home), float(addon.data.get("former_until", 0))
    former = [(secret["former"], until)] if "former" in secret and until > clock.now().timestamp() else []
    return [(secret["password"], 0.0), *former]


def server_of(addon: Addon, home: Path) -> Server:
    """The server of the trap's present start."""
    platform = secret_of(addon, home)["platform"]
    return Server(
        key=server_key(addon),
        number=server_start(addon),
        owner=addon.app_id.hex,
        uid=addon.app.number,
        plan=addon.plan,
        configuration=rules.configuration(plan=addon.plan, passwords=passwords_of(addon, home), platform=platform),
        log=addon.app.log_folder,
    )


def connection(addon: Addon, home: Path) -> AbstractContextManager[clients.Client]:
    """A connection to the trap as the platform. PlatformError if its server does not answer."""
    return clients.connect(home, server_key(addon), secret_of(addon, home)["platform"], app=addon.app.name)


def values_of(addon: Addon, home: Path) -> dict[str, str]:
    """The values of the config vars, by suffix."""
    return rules.values(secret_of(addon, home)["password"], int(addon.data["port"]))


def info(addon: Addon, home: Path) -> dict[str, Any]:
    """Limits, allow list and relay, and the server's facts, which are None if it does not answer."""
    it, relay = rules.size(addon.plan), rules.relay_of(addon.data)
    found: dict[str, Any] = {
        "name": addon.name,
        "state": addon.state,
        "plan": addon.plan,
        "limit_bytes": it.total_mb * rules.MB,
        "limit_count": it.count,
        "limit_days": it.days,
        "message_bytes": it.message_mb * rules.MB,
        "restarts": server_start(addon) - 1,
        "allowed": allowed_of(addon),
        "relay": relay.url if relay else None,
        "waiting": RelayedMail.objects.filter(addon=addon, state="waiting").count(),
    }
    try:
        with connection(addon, home) as client:
            facts = client.facts("info")
            numbers = {name: int(facts[name]) for name in ("count", "bytes", "refused")}
        return {**found, "answers": True, **numbers}
    except PlatformError:
        return {**found, "answers": False, "count": None, "bytes": None, "refused": None}


def allowed_of(addon: Addon) -> list[str]:
    """The allow list, sorted."""
    return sorted(addon.data.get("allow", []))


def messages(addon: Addon, home: Path, *, before: int, limit: int, words: dict[str, str]) -> list[dict[str, Any]]:
    """Summaries, newest first. words: filter by ``to``, ``from`` and ``subject``."""
    with connection(addon, home) as client:
        rows = client.facts("list", before=before, limit=limit, **words)
        found = [_summary(row) for row in rows[:limit]]
    counts = RelayedMail.objects.filter(addon=addon, number__in=[row["number"] for row in found], state="sent")
    sent: dict[int, int] = {}
    for number in counts.values_list("number", flat=True):
        sent[number] = sent.get(number, 0) + 1
    return [{**row, "relayed": sent.get(row["number"], 0)} for row in found]


def message(addon: Addon, home: Path, number: int) -> dict[str, Any]:
    """One message with its parts and the state of each recipient. number 0: the newest. NotFoundError, AppError."""
    with connection(addon, home) as client:
        row = client.facts("show", number=number)
        found = {**_summary({**row, "recipients": len(row["to"])}), **_parts(row)}
    rows = {one.recipient: one for one in RelayedMail.objects.filter(addon=addon, number=found["number"])}
    to = [_recipient(str(address)[:320], rows) for address in row["to"]]
    return {**found, "to": to, "relayed": sum(one["state"] == "sent" for one in to)}


def raw(addon: Addon, home: Path, number: int) -> tuple[str, bytes]:
    """(sender, content) of one message as it was received. number 0: the newest. NotFoundError."""
    with connection(addon, home) as client:
        facts, content = _split(client.ask("raw", number=number))
        sender = str(facts["from"])
        if not rules.SENDER.match(sender):
            raise ValueError("the sender is not an address")
        return sender, content


def attachment(addon: Addon, home: Path, number: int, part: int) -> tuple[str, str, bytes]:
    """(name, type, content) of an attachment. NotFoundError, AppError."""
    with connection(addon, home) as client:
        facts, content = _split(client.ask("part", number=number, part=part))
        return str(facts["name"])[:200], str(facts["type"])[:200], content


def _split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """A line of JSON, and the content after it."""
    head, _, content = data.partition(b"\n")
    return json.loads(head), content


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    """The checked fields of a summary. TypeError, KeyError or ValueError for a wrong one."""
    texts = {name: str(row[name])[:1000] for name in ("from", "header_from", "subject", "type")}
    numbers = {"number": int(row["number"]), "size": int(row["size"]), "recipients": int(row["recipients"])}
    return {**numbers, **texts, "at": float(row["at"]), "to": [str(address)[:320] for address in row["to"][:10]]}


def _parts(row: dict[str, Any]) -> dict[str, Any]:
    """The checked parts of a message."""
    texts = {name: None if row[name] is None else str(row[name]) for name in ("text", "html")}
    headers = [{"name": str(name), "value": str(value)} for name, value in row["headers"]]
    return {
        "headers": headers,
        **texts,
        "attachments": [
            {
                **{name: int(one[name]) for name in ("number", "size")},
                **{name: str(one[name])[:200] for name in ("name", "type", "id")},
                "inline": one["inline"] is True,
            }
            for one in row["attachments"]
        ],
        "truncated": row["truncated"] is True,
    }


def _recipient(address: str, rows: dict[str, RelayedMail]) -> dict[str, Any]:
    row = rows.get(address)
    state = row.state if row else "trapped"
    return {"address": address, "state": state, "error": (row.error or None) if row else None}
