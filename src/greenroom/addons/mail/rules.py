"""Rules of the mail trap: plans, config vars, the server's configuration, the allow list and the relay. Pure."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote, urlsplit

from greenroom.addons.rules.services import Diagnosis, Plan, Service
from greenroom.basics.backoff import Backoff
from greenroom.basics.errors import UserError

PORTS = range(21_000, 25_600)
"""TCP ports of the traps inside dynos: one for each add-on."""
INSIDE = 2525
"""The port in the server's own dyno."""
USER = "mail"
"""The user of the app's mail backend."""
MB, DAY = 1_000_000, 86_400


@dataclass(frozen=True)
class Size:
    """message_mb: the largest message; total_mb, count, days: limits of all; memory_mb: of the server."""

    message_mb: int
    total_mb: int
    count: int
    days: int
    memory_mb: int


SIZES = {"mini": Size(10, 50, 500, 7, 160), "standard": Size(25, 500, 5_000, 30, 320)}
"""Plan -> size."""
RETRIES = Backoff(first=60, longest=3600, attempts=6)
"""Attempts of a relayed message."""
MOST_ALLOWED, MOST_RELAYED = 100, 50
"""Entries of the allow list; allowed recipients of one message that get it."""
ENTRY = re.compile(
    r"(?:[a-z0-9.#$&'+/=?^_`{|}~-]{1,64})?@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,62}\Z"
)
"""``user@example.com`` or ``@example.com``, in lower case."""
ADDRESS = re.compile(r"[A-Za-z0-9.#$&'*+/=?^_`{|}~-]{1,64}@[a-z0-9.-]{1,255}\Z", re.IGNORECASE)
"""Recipients that the relay can get: no quotes, routes, ``%`` or ``!``, which servers may take for another address."""
SENDER = re.compile(r"[^<>\x00-\x20\x7f]{0,320}\Z")
RELAY_PORTS = {"smtp": 587, "smtps": 465}


def size(plan: str) -> Size:
    """The size of ``mail:mini``; of the smallest plan for an unknown one."""
    return SIZES.get(plan.partition(":")[2], SIZES["mini"])


def _plans() -> Iterable[Plan]:
    for number, (name, it) in enumerate(SIZES.items(), start=0x31):
        text = f"{it.count} mails, {it.total_mb} MB, {it.days} days, {it.message_mb} MB for each mail"
        yield Plan(
            id=f"00000000-0000-4000-8000-0000000000{number:x}", name=name, human_name=name.title(), description=text
        )


def _remedy(output: str) -> str:
    return (
        'the mail trap speaks no TLS: EMAIL_USE_TLS = os.environ.get("EMAIL_USE_TLS") == "True" in the settings'
        if "STARTTLS extension not supported by server" in output
        else ""
    )


SERVICE = Service(
    kind="mail",
    id="00000000-0000-4000-8000-000000000030",
    name="mail",
    human_name="Mail Trap",
    noun="mail trap",
    aliases=("mailgun", "mailertogo", "cloudmailin"),
    words=("mail", "sendgrid", "postmark", "sparkpost", "smtp"),
    plans=tuple(_plans()),
    attachment="EMAIL",
    further="MAIL",
    variables=("_URL", "_HOST", "_PORT", "_HOST_USER", "_HOST_PASSWORD", "_USE_TLS", "_USE_SSL"),
    dialects={
        "MAILGUN": {
            "_SMTP_SERVER": "_HOST",
            "_SMTP_PORT": "_PORT",
            "_SMTP_LOGIN": "_HOST_USER",
            "_SMTP_PASSWORD": "_HOST_PASSWORD",
        },
        "MAILERTOGO": {
            "_SMTP_HOST": "_HOST",
            "_SMTP_PORT": "_PORT",
            "_SMTP_USER": "_HOST_USER",
            "_SMTP_PASSWORD": "_HOST_PASSWORD",
        },
        "CLOUDMAILIN": {"_SMTP_URL": "_URL"},
    },
    nowhere={
        "_URL": "smtp://127.0.0.1:1",
        "_HOST": "127.0.0.1",
        "_PORT": "1",
        "_HOST_USER": USER,
        "_HOST_PASSWORD": "none",
        "_USE_TLS": "False",
        "_USE_SSL": "False",
    },
    size_command="greenroom mail:info",
    diagnosis=Diagnosis(refusal=lambda output, app, build: None, remedy=_remedy),
)


def values(password: str, port: int) -> dict[str, str]:
    """The values of the config vars, by suffix. ``False`` as Django's documentation writes it."""
    return {
        "_URL": f"smtp://{USER}:{password}@127.0.0.1:{port}",
        "_HOST": "127.0.0.1",
        "_PORT": str(port),
        "_HOST_USER": USER,
        "_HOST_PASSWORD": password,
        "_USE_TLS": "False",
        "_USE_SSL": "False",
    }


def free_port(taken: Collection[int]) -> int | None:
    """The port after the highest one that was given, else the first free one; None if all are taken."""
    newest = max(taken, default=PORTS.start - 1)
    return newest + 1 if newest + 1 in PORTS else next((port for port in PORTS if port not in taken), None)


def digest(password: str) -> str:
    """A password as the server's configuration contains it."""
    return hashlib.sha256(password.encode()).hexdigest()


def configuration(*, plan: str, passwords: Sequence[tuple[str, float]], platform: str) -> dict[str, Any]:
    """The server's configuration. passwords: of the app, each with the end of its validity, 0 for none."""
    it = size(plan)
    limits = {"message_bytes": it.message_mb * MB, "bytes": it.total_mb * MB, "count": it.count}
    return {
        "port": INSIDE,
        "user": USER,
        "passwords": [(digest(word), until) for word, until in passwords],
        "platform": digest(platform),
        "limits": {**limits, "seconds": it.days * DAY},
    }


def entry(text: str) -> str:
    """A checked entry of the allow list. UserError that says what is allowed."""
    found = text.strip().lower()
    if len(found) > 254 or not ENTRY.match(found):
        raise UserError(
            f"{text[:80]!r} cannot be allowed: an entry is an address, or @ and a domain.",
            hint="greenroom mail:allow you@example.com -a APP, or @example.com for a whole domain",
        )
    return found


def is_allowed(address: str, allowed: Collection[str]) -> bool:
    """Whether the address, or its domain, is in the allow list. Subdomains are domains of their own."""
    found = address.lower()
    return bool(ADDRESS.match(found)) and (found in allowed or f"@{found.partition('@')[2]}" in allowed)


def allowed_of(recipients: Iterable[str], allowed: Collection[str]) -> list[str]:
    """The recipients of one message that get it, at most MOST_RELAYED."""
    return [address for address in recipients if is_allowed(address, allowed)][:MOST_RELAYED]


@dataclass(frozen=True, kw_only=True)
class Relay:
    """The SMTP server that sends to allowed recipients. tls: from the first byte, else by STARTTLS."""

    host: str
    port: int
    tls: bool
    user: str = ""

    @property
    def url(self) -> str:
        """Without the password, for people."""
        place = f"{self.host}:{self.port}"
        return f"{'smtps' if self.tls else 'smtp'}://{self.user + '@' if self.user else ''}{place}"

    def facts(self) -> dict[str, Any]:
        """For the row."""
        return {"host": self.host, "port": self.port, "tls": self.tls, "user": self.user}


def relay(url: str) -> Relay:
    """The relay of ``smtp://USER@HOST:587`` or ``smtps://USER@HOST:465``. UserError, also for one with a password."""
    allowed = "greenroom mail:relay smtp://USER@HOST:587 -a APP; it asks for the password, or reads it from stdin"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise UserError("The URL of the relay has an invalid host or port.", hint=allowed) from None
    if parts.password is not None:
        raise UserError(
            "The URL of the relay must not contain the password: commands and URLs are logged.", hint=allowed
        )
    strange = len(url) > 500 or not url.isascii() or not url.isprintable() or " " in url
    if strange or parts.scheme not in RELAY_PORTS or not parts.hostname or port == 0 or parts.path not in ("", "/"):
        raise UserError("The relay is an SMTP server: smtp://HOST (STARTTLS) or smtps://HOST (TLS).", hint=allowed)
    user = unquote(parts.username or "")
    return Relay(host=parts.hostname, port=port or RELAY_PORTS[parts.scheme], tls=parts.scheme == "smtps", user=user)


def relay_of(data: Mapping[str, Any]) -> Relay | None:
    """The relay in a row's data."""
    found = data.get("relay")
    return Relay(host=found["host"], port=found["port"], tls=found["tls"], user=found["user"]) if found else None
