"""Renders Caddy's whole configuration from the list of apps, and loads it. Done when an app or domain comes or goes, never for a release."""

from __future__ import annotations

import http.client
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.basics.errors import PlatformError
from greenroom.basics.unixsock import connect
from greenroom.router import pages
from greenroom.router.rules import PAGES, SLOTS

HOLD = "10s"
FIRST_BYTE = "30s"


@dataclass(frozen=True)
class Site:
    """An app as the router knows it: its folder below ``run/router`` and its host names."""

    folder: str
    hosts: tuple[str, ...]


@dataclass(frozen=True)
class Served:
    """A certificate as Caddy knows it: a tag that changes with it, and the host names that it serves."""

    tag: str
    hosts: tuple[str, ...]


def render(sites: Sequence[Site], installation: dict[str, Any], served: Sequence[Served] = ()) -> dict[str, Any]:
    """The configuration as Caddy's JSON, without the private keys of ``served``. Host names reach it as JSON strings only."""
    routes = [_site(site) for site in sites]
    unknown = {"handle": [_headers("H01"), _page("nosuchapp.html", "404")]}
    errors = {"routes": [{"handle": [_headers("H13"), _page("unavailable.html", "503")]}]}
    server = {
        "routes": [*routes, unknown],
        "errors": errors,
        "automatic_https": {"disable": True},
        "logs": {"default_logger_name": "router"},
        "read_header_timeout": "30s",
        "idle_timeout": "2m",
        "max_header_bytes": 65536,
    }
    bind = installation["bind"]
    plain = {**server, "listen": [f"{bind}:{installation['http_port']}"], "protocols": ["h1"]}
    secure = {
        **server,
        "listen": [f"{bind}:{installation['https_port']}"],
        "tls_connection_policies": [*(_policy(row) for row in served), {"fallback_sni": "localhost"}],
        "protocols": ["h1", "h2"],
    }
    return {
        "admin": {"listen": "unix/run/caddy-admin.sock|0600", "config": {"persist": False}},
        "logging": _logging(),
        "apps": {
            "http": {"servers": {"plain": plain, "secure": secure}, "grace_period": "10s"},
            "tls": {"certificates": {"load_files": [{"certificate": "keys/tls.pem", "key": "keys/tls.key"}]}},
        },
    }


def _policy(row: Served) -> dict[str, Any]:
    return {"match": {"sni": list(row.hosts)}, "certificate_selection": {"any_tag": [row.tag]}}


def with_keys(config: dict[str, Any], pairs: Sequence[tuple[str, str, str]]) -> dict[str, Any]:
    """The configuration that Caddy is given: with (tag, chain, key) of each certificate. It is never written to disk."""
    loaded = [{"certificate": chain, "key": key, "tags": [tag]} for tag, chain, key in pairs]
    files = config["apps"]["tls"]["certificates"]
    return {**config, "apps": {**config["apps"], "tls": {"certificates": {**files, "load_pem": loaded}}}}


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


def _headers(code: str) -> dict[str, Any]:
    sets = {
        "Greenroom-Error": [code],
        "Cache-Control": ["no-store"],
        "Retry-After": ["5"],
        "Content-Type": ["text/html; charset=utf-8"],
    }
    return {"handler": "headers", "response": {"set": sets}}


def _page(name: str, status: str) -> dict[str, Any]:
    inner = [
        {"handle": [{"handler": "rewrite", "method": "GET", "uri": f"/{name}"}]},
        {"handle": [{"handler": "file_server", "root": "caddy/pages", "status_code": status}]},
    ]
    return {"handler": "subroute", "routes": inner}


def _site(site: Site) -> dict[str, Any]:
    shown = [_when_file(site.folder, code) for code in PAGES]
    proxy = {"handle": [_proxy(site.folder)]}
    inner = {"handler": "subroute", "routes": [*shown, proxy]}
    return {"match": [{"host": list(site.hosts)}], "handle": [inner], "terminal": True}


def _when_file(folder: str, code: str) -> dict[str, Any]:
    """While ``<code>.html`` lies in the app's folder, it is the answer; looked up at each request, so no reload is needed."""
    match = {"file": {"root": f"run/router/{folder}", "try_files": [f"/{code}.html"]}}
    serve = {
        "handler": "subroute",
        "routes": [
            {"handle": [{"handler": "rewrite", "method": "GET", "uri": f"/{code}.html"}]},
            {"handle": [{"handler": "file_server", "root": f"run/router/{folder}", "status_code": "503"}]},
        ],
    }
    return {"match": [match], "handle": [_headers(code), serve], "terminal": True}


def _proxy(folder: str) -> dict[str, Any]:
    """Fixed slots: which dyno a slot leads to is a symlink, changed by ``switch`` without Caddy knowing."""
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/run/router/{folder}/{slot}"} for slot in range(SLOTS)],
        "load_balancing": {"selection_policy": {"policy": "random"}, "try_duration": HOLD, "try_interval": "50ms"},
        "transport": {
            "protocol": "http",
            "keep_alive": {"enabled": False},
            "dial_timeout": "5s",
            "response_header_timeout": FIRST_BYTE,
        },
        "flush_interval": -1,
        "headers": {
            "request": {
                "set": {
                    "X-Request-Id": ["{http.request.uuid}"],
                    "X-Request-Start": ["{time.now.unix_ms}"],
                    "X-Forwarded-Port": ["{http.request.port}"],
                    "Via": ["1.1 greenroom"],
                }
            },
            "response": {"set": {"Via": ["1.1 greenroom"]}},
        },
    }


def write_pages(home: Path) -> None:
    """The pages that do not belong to one app."""
    folder = home / "caddy" / "pages"
    folder.mkdir(parents=True, exist_ok=True)
    text = "There is no app at this address. Apps answer at http://<app>.localhost."
    _write(folder / "nosuchapp.html", pages.page("H01", "No such app", text, "greenroom apps"))
    text = "The app did not answer in time, or ended while it was answering."
    _write(folder / "unavailable.html", pages.page("H13", "The app did not answer", text, "greenroom logs --tail"))


def _write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text)
    temporary.chmod(0o644)
    temporary.replace(path)


def load(home: Path, config: dict[str, Any], pairs: Sequence[tuple[str, str, str]] = ()) -> None:
    """Give Caddy the configuration with the keys, and keep it without them for its next start. PlatformError when Caddy refuses or does not answer."""
    given = json.dumps(with_keys(config, pairs) if pairs else config, sort_keys=True).encode()
    status, text = _ask(home, "POST", "/load", given)
    if status != 200:
        raise PlatformError(f"Caddy refused the configuration: {text[:500]}")
    path = home / "caddy" / "config.json"
    temporary = path.with_name(f".config.json.{os.getpid()}")
    temporary.write_text(json.dumps(config, sort_keys=True))
    temporary.replace(path)


def tags(home: Path) -> set[str]:
    """The certificates with keys that Caddy holds now; none after a start of its own, when it knows only what is on disk."""
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
    """The configuration that was loaded last, or an empty one."""
    try:
        return json.loads((home / "caddy" / "config.json").read_text())
    except (OSError, ValueError):
        return {}
