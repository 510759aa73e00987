"""The SMTP server of the installation, from a URL in Django's terms."""

from __future__ import annotations

from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

SETTING = "GREENROOM_SMTP_URL"
PORTS = {"smtp": 25, "smtp+tls": 587, "smtps": 465}
FORM = "smtps://USER:PASSWORD@HOST, smtp+tls://USER:PASSWORD@HOST (STARTTLS), or smtp://HOST (without TLS)"
LOOPBACK = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, kw_only=True)
class MailServer:
    """host, port, user, password, and how its connection is encrypted: tls (STARTTLS), ssl, or neither."""

    host: str
    port: int
    user: str = ""
    password: str = field(default="", repr=False)
    tls: bool = False
    ssl: bool = False


def parse(url: str) -> MailServer | None:
    """The server of a URL; None for an empty one. ValueError says what is wrong, without the password."""
    if not url:
        return None
    try:
        parts = urlsplit(url)
        port, host = parts.port, parts.hostname
    except ValueError as error:
        raise ValueError(f"{SETTING} has an invalid host or port; use {FORM}") from error
    if parts.scheme not in PORTS or not host or parts.path not in ("", "/") or parts.query or port == 0:
        raise ValueError(f"{SETTING} is no SMTP URL; use {FORM}")
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if parts.scheme == "smtp" and password and host not in LOOPBACK:
        raise ValueError(f"{SETTING} would send a password without TLS; use smtps:// or smtp+tls://")
    return MailServer(
        host=host,
        port=port or PORTS[parts.scheme],
        user=user,
        password=password,
        tls=parts.scheme == "smtp+tls",
        ssl=parts.scheme == "smtps",
    )
