"""The parts of Caddy's configuration that depend on the installation's names: certificates from an ACME CA, the API at
the base domain, and proxies in front of the router.

Pure: functions of the installation's settings. Without a base domain and without trusted proxies they add nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

LOCAL = "localhost"
ASK = "/.greenroom/certificate"
"""The path at which Caddy asks itself whether it may get a certificate for a name. It answers on the loopback only."""
ROOT = "keys/acme-root.pem"
SOCKET = "run/router/web.sock"
"""The socket of the web process for requests that the router has received."""
NAME = r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"
INSECURE = "403 Forbidden: use https. If the request contained a token, revoke it.\n"
CREDENTIALS = ("Authorization", "Cookie")
KEPT = ("X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host")
"""The headers in which a trusted proxy describes the client."""


def own_names(installation: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of the API: the base domain, and the alias for the Heroku CLI, which insists on a name that contains
    ``localhost``. None without a base domain.
    """
    domain = installation.get("domain", LOCAL)
    return () if domain == LOCAL else (domain, f"{LOCAL}.{domain}")


def _uses_acme(installation: Mapping[str, Any]) -> bool:
    return installation.get("certificates") == "acme" and bool(own_names(installation))


def automation(installation: Mapping[str, Any]) -> dict[str, Any]:
    """Caddy's ``automation``: certificates on demand, at the first request of a name for which ASK answers 200."""
    if not _uses_acme(installation):
        return {}
    issuer = {"module": "acme", "email": installation.get("email", "")}
    if installation.get("acme_ca"):
        issuer["ca"] = installation["acme_ca"]
    roots = {"trusted_roots_pem_files": [ROOT]} if installation.get("acme_root") else {}
    ask = f"http://127.0.0.1:{installation['http_port']}{ASK}"
    policy = {"on_demand": True, "issuers": [{**{key: value for key, value in issuer.items() if value}, **roots}]}
    return {
        "automation": {"on_demand": {"permission": {"module": "http", "endpoint": ask}}, "policies": [policy]},
    }


def permission(installation: Mapping[str, Any], *, secure: bool) -> list[dict[str, Any]]:
    """The route of ASK: 200 for the names of the API and those in ``run/router/certified``, else 403. It reads the disk
    only, so that the router renews certificates without the control plane.
    """
    if secure or not _uses_acme(installation):
        return []
    asked = "{http.request.uri.query.domain}"
    valid = {"vars_regexp": {asked: {"name": "asked", "pattern": NAME}}}
    known = {"file": {"root": "run/router/certified", "try_files": [f"/{asked}/"]}}
    yes = {"handler": "static_response", "status_code": 200}
    rows: list[dict[str, Any]] = [
        {
            "match": [{"vars": {asked: list(own_names(installation))}}, {**valid, **known}],
            "handle": [yes],
            "terminal": True,
        },
        {"handle": [{"handler": "static_response", "status_code": 403}]},
    ]
    return [
        {
            "match": [{"path": [ASK], "host": ["127.0.0.1"], "remote_ip": {"ranges": ["127.0.0.0/8"]}}],
            "handle": [{"handler": "subroute", "routes": rows}],
            "terminal": True,
        }
    ]


def api(installation: Mapping[str, Any], *, secure: bool) -> list[dict[str, Any]]:
    """The route of API, git and streams at the installation's own names. Plain HTTP is redirected if the request
    contains no credentials, and refused otherwise.
    """
    names = own_names(installation)
    if not names:
        return []
    inner = [{"handle": [_to_web()]}] if secure else _to_https(int(installation["https_port"]))
    return [
        {
            "match": [{"vars": {"host": list(names)}}],
            "handle": [{"handler": "subroute", "routes": inner}],
            "terminal": True,
        }
    ]


def _to_https(https: int) -> list[dict[str, Any]]:
    end = "" if https == 443 else f":{https}"
    moved = {
        "handler": "static_response",
        "status_code": 308,
        "headers": {"Location": [f"https://{{http.vars.host}}{end}{{http.request.uri}}"]},
    }
    refused = {
        "handler": "static_response",
        "status_code": 403,
        "body": "Use https. Revoke the credentials you sent.\n",
    }
    anonymous = {
        "method": ["GET", "HEAD"],
        "not": [{"header": {"Authorization": ["*"]}}, {"header": {"Cookie": ["*"]}}],
    }
    return [{"match": [anonymous], "handle": [moved], "terminal": True}, {"handle": [refused]}]


def _to_web() -> dict[str, Any]:
    """The proxy to the web process, without time limits: a push or a log stream may take hours."""
    client = {"X-Forwarded-For": ["{http.vars.client_ip}"], "X-Forwarded-Proto": ["https"]}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{SOCKET}"}],
        "transport": {"protocol": "http", "keep_alive": {"enabled": False}, "dial_timeout": "5s"},
        "load_balancing": {"try_duration": "10s", "try_interval": "100ms"},
        "flush_interval": -1,
        "stream_close_delay": "24h",
        "headers": {"request": {"delete": ["Forwarded"], "set": client}},
    }


def trusted(installation: Mapping[str, Any]) -> dict[str, Any]:
    """Caddy's ``trusted_proxies``: the client's address in the log is that of X-Forwarded-For, read from the right."""
    ranges = list(installation.get("trusted_proxies", ()))
    if not ranges:
        return {}
    return {"trusted_proxies": {"source": "static", "ranges": ranges}, "trusted_proxies_strict": 1}


def described(installation: Mapping[str, Any], spoofed: Sequence[str]) -> list[dict[str, Any]]:
    """Remove the headers of ``spoofed`` from a request. From a trusted proxy, those of KEPT stay."""
    removal = {"handle": [{"handler": "headers", "request": {"delete": list(spoofed)}}]}
    ranges = list(installation.get("trusted_proxies", ()))
    if not ranges:
        return [removal]
    near = {"remote_ip": {"ranges": ranges}}
    return [*_kept(near), removal, *_restored()]


def _kept(near: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for number, name in enumerate(KEPT):
        header = f"{{http.request.header.{name}}}"
        yield {
            "match": [{**near, "header": {name: ["*"]}}],
            "handle": [{"handler": "vars", f"kept_{number}": header}],
        }


def _restored() -> Iterator[dict[str, Any]]:
    for number, name in enumerate(KEPT):
        variable = f"kept_{number}"
        yield {
            "match": [{"vars_regexp": {variable: {"name": variable, "pattern": "."}}}],
            "handle": [{"handler": "headers", "request": {"set": {name: [f"{{http.vars.{variable}}}"]}}}],
        }
