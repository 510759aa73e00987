"""The names of an installation: its base domain, the source of its certificates, and the proxies in front of it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography import x509

from greenroom.basics import atomic
from greenroom_cli.host.errors import HostError

LOCAL = "localhost"
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)*\Z")
EMAIL = re.compile(r"[^@\s\"<>]{1,64}@[^@\s\"<>]{1,190}\Z")
OWN, ACME = "own", "acme"
NONE = "none"
LARGEST = 1_000_000
"""Bytes of a file with CA certificates."""


@dataclass(frozen=True, kw_only=True)
class Asked:
    """The options of ``up`` about names; None or empty: keep the stored value. ``none`` clears a value."""

    domain: str | None = None
    certificates: str | None = None
    email: str | None = None
    acme_ca: str | None = None
    acme_root: Path | None = None
    trusted_proxies: tuple[str, ...] = ()
    api_bind: str | None = None


def changes(asked: Asked) -> dict[str, Any]:
    """The settings that the options change, with their new values. HostError for an invalid option."""
    found: dict[str, Any] = {}
    if asked.domain:
        found["domain"] = domain_of(asked.domain)
    if asked.certificates:
        found["certificates"] = asked.certificates
    if asked.email:
        found["email"] = "" if asked.email == NONE else _email(asked.email)
    if asked.acme_ca:
        found["acme_ca"] = "" if asked.acme_ca == NONE else _url(asked.acme_ca)
    if asked.acme_root:
        found["acme_root"] = str(asked.acme_root) != NONE
    if asked.trusted_proxies:
        found["trusted_proxies"] = _networks(asked.trusted_proxies)
    if asked.api_bind:
        found["api_bind"] = asked.api_bind
    return found


def check(domain: str, certificates: str) -> None:
    """HostError for certificates of a public CA without a public domain."""
    if certificates == ACME and domain == LOCAL:
        raise HostError(
            "--certificates acme needs a domain: a CA issues no certificate for localhost.",
            "greenroom up --domain staging.example.org --certificates acme",
        )


def domain_of(text: str) -> str:
    """The normalized base domain. HostError when it is not ``localhost`` or a host name with a dot."""
    name = text.lower().strip().rstrip(".").removeprefix("*.")
    valid = len(name) <= 200 and HOST_NAME.match(name) and not name.replace(".", "").isdigit()
    if not valid or ("." not in name and name != LOCAL):
        raise HostError(
            f"--domain {text[:60]!r} is not a valid domain.",
            "use a domain whose DNS you control, for example staging.example.org; without one: localhost",
        )
    return name


def _email(text: str) -> str:
    if not EMAIL.match(text) or not text.isascii():
        raise HostError(f"--email {text[:60]!r} is not an e-mail address.", "for example: --email ops@example.org")
    return text


def _url(text: str) -> str:
    try:
        parts = urlsplit(text)
        valid = parts.scheme == "https" and bool(parts.hostname) and parts.port != 0 and text.isprintable()
    except ValueError:
        valid = False
    if not valid or " " in text or "{" in text:
        raise HostError(
            f"--acme-ca {text[:80]!r} is not an https URL.",
            "use the directory URL of the CA, for example https://ca.example.org/acme/acme/directory",
        )
    return text


def _networks(texts: tuple[str, ...]) -> tuple[str, ...]:
    if texts == (NONE,):
        return ()
    try:
        return tuple(str(ipaddress.ip_network(text)) for text in texts)
    except ValueError as error:
        raise HostError(f"--trusted-proxy: {error}.", "use networks like 10.2.0.7/32, or none") from None


def take_root(home: Path, asked: Asked) -> None:
    """Copy the CA certificate of ``--acme-root`` to ``keys/acme-root.pem``, for the router. HostError."""
    if asked.acme_root is None:
        return
    if str(asked.acme_root) == NONE:
        (home / ROOT).unlink(missing_ok=True)
        return
    try:
        with asked.acme_root.open("rb") as file:
            data = file.read(LARGEST)
        x509.load_pem_x509_certificates(data)
    except OSError as error:
        raise HostError(f"Cannot read --acme-root {asked.acme_root}: {error.strerror}.", "name a PEM file") from error
    except ValueError as error:
        raise HostError(f"--acme-root {asked.acme_root} contains no certificate in PEM.", "name a PEM file") from error
    (home / "keys").mkdir(mode=0o700, parents=True, exist_ok=True)
    for path in (home / ROOT, home / PUBLIC_ROOT):
        atomic.write(path, data, mode=0o644)


def publish_root(home: Path) -> None:
    """Copy a restored ``keys/acme-root.pem`` to where all users can read it."""
    if (home / ROOT).exists():
        atomic.write(home / PUBLIC_ROOT, (home / ROOT).read_bytes(), mode=0o644)


ROOT = "keys/acme-root.pem"
PUBLIC_ROOT = "acme-root.pem"
"""A copy that all users of this machine can read, unlike ``keys``."""


def alias(domain: str) -> str:
    """The name of the API for the Heroku CLI, which accepts only names that contain ``localhost``."""
    return domain if domain == LOCAL else f"{LOCAL}.{domain}"


def url(scheme: str, name: str, port: int) -> str:
    """The URL without a default port and without a trailing slash."""
    return f"{scheme}://{name}" + ("" if port == {"http": 80, "https": 443}[scheme] else f":{port}")
