"""Renders and loads Caddy's configuration. It contains no apps: only certificates and ports change it."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.basics import atomic
from greenroom.basics.errors import PlatformError
from greenroom.basics.unixsock import connect
from greenroom.router.rules import Page, caddy_routes, error_pages, public_names

OWN_PAGES = {
    "nosuchapp.html": ("H01", Page("No such app", "There is no app at this address.")),
    "timeout.html": (
        "H12",
        Page("No answer in time", "The app took too long to answer. Please try again in a moment."),
    ),
    "unavailable.html": (
        "H13",
        Page("No answer", "The app did not answer this request. Please try again in a moment."),
    ),
}


@dataclass(frozen=True)
class Served:
    """A certificate for Caddy: its tag, which changes with it, and its host names."""

    tag: str
    hosts: tuple[str, ...]


def render(installation: dict[str, Any], served: Sequence[Served] = ()) -> dict[str, Any]:
    """Caddy's configuration as JSON, without the private keys of ``served``. It contains no app names."""
    server = {
        "errors": caddy_routes.errors(),
        "automatic_https": {"disable": True},
        "logs": {"default_logger_name": "router"},
        "read_header_timeout": "30s",
        "idle_timeout": "2m",
        "max_header_bytes": 65536,
        **public_names.trusted(installation),
    }
    bind = installation["bind"]
    plain = {
        **server,
        "routes": caddy_routes.routes(installation, secure=False),
        "listen": [f"{bind}:{installation['http_port']}"],
        "protocols": ["h1"],
    }
    secure = {
        **server,
        "routes": caddy_routes.routes(installation, secure=True),
        "listener_wrappers": [{"wrapper": "http_redirect"}, {"wrapper": "tls"}],
        "listen": [f"{bind}:{installation['https_port']}"],
        "tls_connection_policies": [*(_policy(row) for row in served), {"fallback_sni": "localhost"}],
        "protocols": ["h1", "h2"],
    }
    return {
        "admin": {"listen": "unix/run/caddy-admin.sock|0600", "config": {"persist": False}},
        "logging": _logging(),
        "apps": {
            "http": {"servers": {"plain": plain, "secure": secure}, "grace_period": "10s", **_ports(installation)},
            "tls": {
                "certificates": {"load_files": [{"certificate": "keys/tls.pem", "key": "keys/tls.key"}]},
                **public_names.automation(installation),
            },
        },
    }


def _ports(installation: dict[str, Any]) -> dict[str, int]:
    """The ports at which Caddy expects the requests of an ACME CA."""
    return {name: installation[name] for name in ("http_port", "https_port")}


def _policy(row: Served) -> dict[str, Any]:
    return {"match": {"sni": list(row.hosts)}, "certificate_selection": {"any_tag": [row.tag]}}


def with_keys(config: dict[str, Any], pairs: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """The configuration with the (tag, chain, key) of each certificate, to send to Caddy. It is never written to
    disk.
    """
    loaded = [{"certificate": chain, "key": key, "tags": [tag]} for tag, chain, key in pairs]
    files = config["apps"]["tls"]["certificates"]
    tls = {**config["apps"]["tls"], "certificates": {**files, "load_pem": loaded}}
    return {**config, "apps": {**config["apps"], "tls": tls}}


def _logging() -> dict[str, Any]:
    file = {
        "output": "file",
        "filename": "logs/router/access.log",
        "roll_size_mb": 20,
        "roll_keep": 3,
        "roll_gzip": False,
        "mode": "0640",
    }
    return {
        "logs": {
            "default": {"level": "WARN", "exclude": ["http.log.access.router"]},
            "router": {"writer": file, "encoder": {"format": "json"}, "include": ["http.log.access.router"]},
        }
    }


def write_pages(home: Path) -> None:
    """Write the pages that belong to no app."""
    folder = home / "caddy" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    for name, (code, what) in OWN_PAGES.items():
        atomic.write(folder / name, error_pages.page(code, what))


def load(home: Path, config: dict[str, Any], pairs: Sequence[tuple[str, str, str]] = ()) -> None:
    """Load the configuration with the keys into Caddy, and store it without them for Caddy's next start. PlatformError
    if Caddy rejects it or does not answer.
    """
    given = json.dumps(with_keys(config, pairs) if pairs else config, sort_keys=True).encode()
    status, text = _ask(home, "POST", "/load", given)
    if status != 200:
        raise PlatformError(f"Caddy rejected the configuration: {text[:500]}")
    atomic.write(home / "caddy" / "config.json", json.dumps(config, sort_keys=True))


def tags(home: Path) -> set[str]:
    """The tags of the certificates whose keys Caddy has in memory; none after a restart of Caddy."""
    status, text = _ask(home, "GET", "/config/apps/tls/certificates/load_pem", b"")
    rows = json.loads(text) if status == 200 else None
    return {tag for row in rows or [] for tag in row.get("tags", [])}


def _ask(home: Path, method: str, path: str, body: bytes) -> tuple[int, str]:
    connection = http.client.HTTPConnection("localhost", timeout=10)
    try:
        connection.sock = connect(home / "run" / "caddy-admin.sock", timeout=10)
        connection.request(method, path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except OSError as error:
        raise PlatformError(f"Caddy does not answer: {error}", hint="greenroom status") from error
    finally:
        connection.close()


def current(home: Path) -> dict[str, Any]:
    """The last loaded configuration, or an empty one."""
    try:
        return json.loads((home / "caddy" / "config.json").read_text())
    except (OSError, ValueError):
        return {}
