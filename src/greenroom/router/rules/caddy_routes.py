"""Caddy's routes: one set for all apps. The app and the dyno of a request are looked up on disk at each request.

Pure: a function of the installation's ports. A host name leads to an app by a symlink in ``run/router/hosts`` (created
by ``switch``), so that adding or removing an app or a domain changes no configuration and closes no connection.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

from greenroom.router.rules import PAGES, SLOTS, public_names

HOLD = "10s"
FIRST_BYTE = "30s"
STREAMS_OUTLIVE = "24h"
"""Time that websockets stay open after a configuration change, which only a certificate causes."""

SPOOFED = (
    "X-Forwarded-*",
    "*_*",
    "Forwarded",
    "Proxy",
    "X-Real-Ip",
    "X-Client-Ip",
    "Client-Ip",
    "True-Client-Ip",
    "X-Cluster-Client-Ip",
    "Cf-Connecting-Ip",
    "X-Remote-*",
    "Remote-*",
    "X-Auth-Request-*",
    "X-Authenticated-*",
    "X-Webauth-*",
    "X-Ssl-*",
    "X-Client-Cert*",
    "X-Client-Dn",
    "X-Client-Verify",
    "Front-End-Https",
    "X-Url-Scheme",
    "X-Original-*",
    "X-Rewrite-Url",
    "X-Script-Name",
)
"""Headers in which proxies describe a request to apps; removed from a client's request. ``*_*``: WSGI cannot
distinguish ``_`` from ``-``.
"""

REQUEST_ID = "^[A-Za-z0-9+/=-]{20,200}$"
"""The format of a client's X-Request-Id that is kept, as on Heroku."""

HOST = "X-Greenroom-Host"


def routes(installation: Mapping[str, Any], *, secure: bool) -> list[dict[str, Any]]:
    """The routes of the plain or the TLS server. ``installation``: http_port, https_port, and those of
    ``public_names``.
    """
    unknown = {"handle": [headers("H01"), page("nosuchapp.html", "404")]}
    return [
        *public_names.permission(installation, secure=secure),
        *_request_id(),
        *_host(),
        *public_names.api(installation, secure=secure),
        _site(installation, secure=secure),
        unknown,
    ]


def errors() -> dict[str, Any]:
    """Responses to proxy errors: 400 for a protocol error of the client, H12 without a first byte in time, else H13."""
    chunk = {"vars_regexp": {"{http.error.message}": {"name": "bad", "pattern": "chunk"}}}
    late = {"vars_regexp": {"{http.error.status_code}": {"name": "late", "pattern": "^504$"}}}
    refused = {
        "handler": "static_response",
        "status_code": 400,
        "body": "400 Bad Request: malformed request body\n",
        "close": True,
    }
    return {
        "routes": [
            {"match": [chunk], "handle": [refused], "terminal": True},
            {"match": [late], "handle": [headers("H12"), page("timeout.html", "503")], "terminal": True},
            {"handle": [headers("H13"), page("unavailable.html", "503")]},
        ]
    }


def headers(code: str) -> dict[str, Any]:
    """The headers of the router's own pages."""
    sets = {
        "Greenroom-Error": [code],
        "Cache-Control": ["no-store"],
        "Retry-After": ["5"],
        "Content-Type": ["text/html; charset=utf-8"],
    }
    return {"handler": "headers", "response": {"set": sets}}


def page(name: str, status: str, root: str = "caddy/pages") -> dict[str, Any]:
    """Respond with a file."""
    inner = [
        {"handle": [{"handler": "rewrite", "method": "GET", "uri": f"/{name}"}]},
        {"handle": [{"handler": "file_server", "root": root, "status_code": status}]},
    ]
    return {"handler": "subroute", "routes": inner}


def _request_id() -> list[dict[str, Any]]:
    given = "{http.request.header.X-Request-Id}"
    return [
        {"handle": [{"handler": "vars", "request_id": "{http.request.uuid}"}]},
        {
            "match": [{"vars_regexp": {given: {"name": "id", "pattern": REQUEST_ID}}}],
            "handle": [{"handler": "vars", "request_id": given}],
        },
    ]


def _host() -> list[dict[str, Any]]:
    """Set ``host`` to the host name in lower case, and ``any`` to the wildcard that covers it: ``_.example.com`` for
    a.example.com.

    Caddy has no lower-case function: for the rare client that sends capitals, letters are replaced one by one in a
    header.
    """
    lower = [{"search": letter, "replace": letter.lower()} for letter in string.ascii_uppercase]
    small = [
        {"handler": "headers", "request": {"set": {HOST: ["{http.request.host}"]}}},
        {"handler": "headers", "request": {"replace": {HOST: lower}}},
        {"handler": "vars", "host": f"{{http.request.header.{HOST}}}"},
    ]
    return [
        {
            "handle": [
                {"handler": "headers", "request": {"delete": [HOST]}},
                {"handler": "vars", "host": "{http.request.host}", "any": "-"},
            ]
        },
        {
            "match": [_matches("host", "big", "[A-Z]")],
            "handle": [*small, {"handler": "headers", "request": {"delete": [HOST]}}],
        },
        {
            "match": [_matches("host", "dot", r"^(.+)\.$")],
            "handle": [{"handler": "vars", "host": "{http.regexp.dot.1}"}],
        },
        {
            "match": [_matches("host", "any", r"^[^.]+(\..+)$")],
            "handle": [{"handler": "vars", "any": "_{http.regexp.any.1}"}],
        },
    ]


def _matches(variable: str, name: str, pattern: str) -> dict[str, Any]:
    return {"vars_regexp": {variable: {"name": name, "pattern": pattern}}}


def _site(installation: Mapping[str, Any], *, secure: bool) -> dict[str, Any]:
    """The route of all apps' requests. A host name that could leave the folder of links matches nothing."""
    http, https = int(installation["http_port"]), int(installation["https_port"])
    known = {"file": {"root": "run/router", "try_files": ["/hosts/{http.vars.host}/", "/hosts/{http.vars.any}/"]}}
    inner = {
        "handler": "subroute",
        "routes": [
            {"handle": [{"handler": "vars", "site": "run/router{http.matchers.file.relative}"}]},
            {"handle": [_logged("request_id", "{http.vars.request_id}")]},
            *public_names.described(installation, SPOOFED),
            *(_when_file(code) for code in PAGES),
            *_own_ports(http, https, secure=secure),
            {"handle": [_logged("upstream", "{http.reverse_proxy.upstream.address}"), _proxy()]},
        ],
    }
    return {
        "match": [{**_matches("host", "valid", r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$"), **known}],
        "handle": [inner],
        "terminal": True,
    }


def _logged(key: str, value: str) -> dict[str, Any]:
    return {"handler": "log_append", "key": key, "value": value}


def _when_file(code: str) -> dict[str, Any]:
    """Respond with ``<code>.html`` while that file is in the app's folder. Looked up at each request, so no reload is
    needed.
    """
    match = {"file": {"root": "{http.vars.site}", "try_files": [f"/{code}.html"]}}
    return {
        "match": [match],
        "handle": [headers(code), page(f"{code}.html", "503", "{http.vars.site}")],
        "terminal": True,
    }


def _own_ports(http: int, https: int, *, secure: bool) -> list[dict[str, Any]]:
    """Redirect between http and https to the installation's own ports, and send no browser HSTS for the other port.

    Only for clients that used this router's own port: those behind a proxy or a tunnel see other ports.
    """
    if (http, https) == (80, 443):
        return []
    to_https, to_http = _at("https", https, 443), _at("http", http, 80)
    searches = [{"search": f"https://{{http.request.host}}{end}", "replace": f"{to_https}{end}"} for end in "/?"]
    if not secure:
        searches += [
            {"search": f"https://{{http.request.hostport}}{end}", "replace": f"{to_https}{end}"} for end in "/?"
        ]
    else:
        searches += [{"search": f"http://{{http.request.hostport}}{end}", "replace": f"{to_http}{end}"} for end in "/?"]
    replace = {
        "handler": "headers",
        "response": {"deferred": True, "replace": {"Location": searches}, "delete": ["Strict-Transport-Security"]},
    }
    named = {"header_regexp": {"Host": {"name": "port", "pattern": f":{https if secure else http}$"}}}
    return [{"match": [named], "handle": [replace]}]


def _at(scheme: str, port: int, usual: int) -> str:
    return f"{scheme}://{{http.request.host}}" + (f":{port}" if port != usual else "")


def _proxy() -> dict[str, Any]:
    """The proxy to fixed slots. A slot is a symlink to a dyno's socket, changed by ``switch`` without a reload of
    Caddy.
    """
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"unix/{{http.vars.site}}{slot}"} for slot in range(SLOTS)],
        "load_balancing": {"selection_policy": {"policy": "random"}, "try_duration": HOLD, "try_interval": "50ms"},
        "transport": {
            "protocol": "http",
            "keep_alive": {"enabled": False},
            "dial_timeout": "5s",
            "response_header_timeout": FIRST_BYTE,
        },
        "flush_interval": -1,
        "stream_close_delay": STREAMS_OUTLIVE,
        "headers": {
            "request": {
                "set": {
                    "X-Request-Id": ["{http.vars.request_id}"],
                    "X-Request-Start": ["{time.now.unix_ms}"],
                    "X-Forwarded-Port": ["{http.request.local.port}"],
                    "Via": ["1.1 greenroom"],
                }
            },
            "response": {"set": {"Via": ["1.1 greenroom"]}},
        },
    }
