"""``greenroom env``: the variables that point ``greenroom`` and the unmodified Heroku CLI at this installation."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

LOCAL = ("localhost", "127.0.0.1")
ACCEPTED = re.compile(r"(.*\.)?(heroku\.com|herokai\.com|herokuspace\.com|herokudev\.com)\Z")

MAKE = (
    "an administrator makes one: greenroom accounts:token EMAIL, or greenroom accounts:create EMAIL for a new account"
)


def variables(
    home: Path, install: Installation, host: str | None = None, token_file: Path | None = None, *, proxy: bool = False
) -> dict[str, str]:
    """name -> value, with the administrator's token or that of a file.

    The Heroku CLI gets the port with TLS: a few of its commands send the token to hosts of Heroku's with the protocol
    of HEROKU_HOST.
    HostError for a host that the Heroku CLI would not accept: it would send the token to Heroku instead.
    proxy: with what makes *.heroku.com lead here as well; HostError when the installation has no proxy."""
    host = host or install.host
    _refuse_host(host, install.api_port)
    token = _token(home, token_file)
    url = f"http://{host}:{install.api_port}" if host in LOCAL else f"https://{host}:{install.tls_port}"
    ca = _authority(home)
    found = {
        "GREENROOM_HOME": str(home),
        "GREENROOM_URL": url,
        "GREENROOM_TOKEN": token,
        "HEROKU_HOST": f"https://{host}:{install.tls_port}",
        "HEROKU_API_KEY": token,
        "HEROKU_GIT_HOST": f"{host}:{install.tls_port}",
        "HEROKU_PARTICLEBOARD_URL": url,
        "HEROKU_DATA_HOST": host,
        "HEROKU_LOGIN_HOST": url,
        "HEROKU_BUILDPACK_REGISTRY_URL": url,
        "NODE_EXTRA_CA_CERTS": ca,
        "GIT_SSL_CAINFO": ca,
        "DISABLE_TELEMETRY": "true",
        "HEROKU_SKIP_NEW_VERSION_CHECK": "1",
        "HEROKU_DISABLE_AUTOUPDATE": "1",
    }
    if host not in LOCAL:  # for the two names of LOCAL alone the CLI adds the token itself
        found["HEROKU_HEADERS"] = json.dumps({"Authorization": f"Bearer {token}"})
    if install.postgres == "embedded":
        found["PGSSLMODE"] = "prefer"  # heroku pg:psql would insist on TLS, which this server does not speak
    return found | (_proxied(install, host, ca) if proxy else {})


def _refuse_host(host: str, port: int) -> None:
    """HostError for a host to which the Heroku CLI would prefer api.heroku.com."""
    if not (ACCEPTED.match(host) or "localhost" in host or "127.0.0.1" in host):
        raise HostError(
            f"The Heroku CLI does not accept the host {host!r}: it would fall back to api.heroku.com and send your"
            " token there.",
            f"use a tunnel (ssh -L {port}:localhost:{port} ...) or a name that contains localhost",
        )


def _authority(home: Path) -> str:
    private = str(home / "keys" / "ca.pem")
    return private if os.access(private, os.R_OK) else str(home / "ca.pem")


def _direct(host: str) -> str:
    own = [name for name in os.environ.get("NO_PROXY", "").split(",") if name]
    return ",".join(dict.fromkeys((*own, "localhost", "127.0.0.1", "::1", host)))


def _proxied(install: Installation, host: str, ca: str) -> dict[str, str]:
    """The CLI's tunnel trusts SSL_CERT_FILE alone, where everything else of it trusts NODE_EXTRA_CA_CERTS."""
    if not install.proxy_port:
        raise HostError(
            "This installation has no proxy for the Heroku CLI's fixed host names.",
            "greenroom down; greenroom up --proxy-port 5053",
        )
    proxy = f"http://{host}:{install.proxy_port}"
    return {"HTTPS_PROXY": proxy, "SSL_CERT_FILE": ca, "NO_PROXY": _direct(host)}


def _token(home: Path, file: Path | None) -> str:
    path = file or home / "keys" / "admin.token"
    try:
        token = path.read_bytes().decode("ascii", "replace").strip()
    except OSError as error:
        hint = f"greenroom env --token-file FILE takes your own token; {MAKE}"
        raise HostError(f"There is no token at {path}: {error.strerror}.", hint) from error
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise HostError(f"{path} does not hold a token: one line of ASCII without blanks is expected.", MAKE)
    return token
