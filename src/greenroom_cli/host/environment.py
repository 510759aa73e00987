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


def variables(
    home: Path, install: Installation, host: str | None = None, token_file: Path | None = None, *, proxy: bool = False
) -> dict[str, str]:
    """name -> value, with the administrator's token or that of a file.

    HostError for a host that the Heroku CLI would not accept: it would send the token to Heroku instead.
    proxy: with what makes *.heroku.com lead here as well; HostError when the installation has no proxy."""
    host = host or install.host
    if not (ACCEPTED.match(host) or "localhost" in host or "127.0.0.1" in host):
        raise HostError(
            f"The Heroku CLI does not accept the host {host!r}: it would fall back to api.heroku.com and send your token there.",
            f"use a tunnel (ssh -L {install.api_port}:localhost:{install.api_port} ...) or a name that contains localhost",
        )
    token = _token(home, token_file)
    url = f"http://{host}:{install.api_port}" if host in LOCAL else f"https://{host}:{install.tls_port}"
    ca = str(home / "keys" / "ca.pem")
    if not os.access(ca, os.R_OK):
        ca = str(home / "ca.pem")
    found = {
        "GREENROOM_HOME": str(home),
        "GREENROOM_URL": url,
        "GREENROOM_TOKEN": token,
        "HEROKU_HOST": url,
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
    if host not in LOCAL:
        found["HEROKU_HEADERS"] = json.dumps({"Authorization": f"Bearer {token}"})  # the CLI adds the token for these two alone
    if install.postgres == "embedded":
        found["PGSSLMODE"] = "prefer"  # heroku pg:psql would insist on TLS, which this server does not speak
    return found | (_proxied(install, host, ca) if proxy else {})


def _proxied(install: Installation, host: str, ca: str) -> dict[str, str]:
    """The CLI's tunnel trusts SSL_CERT_FILE alone, where everything else of it trusts NODE_EXTRA_CA_CERTS."""
    if not install.proxy_port:
        raise HostError("This installation has no proxy for the Heroku CLI's fixed host names.", "greenroom down; greenroom up --proxy-port 5053")
    names = ",".join(dict.fromkeys(("localhost", "127.0.0.1", "::1", host)))
    return {"HTTPS_PROXY": f"http://{host}:{install.proxy_port}", "SSL_CERT_FILE": ca, "NO_PROXY": names}


def _token(home: Path, file: Path | None) -> str:
    path = file or home / "keys" / "admin.token"
    try:
        token = path.read_text().strip()
    except OSError as error:
        hint = "greenroom env --token-file FILE takes your own token; an administrator makes one: greenroom accounts:create"
        raise HostError(f"There is no token at {path}: {error.strerror}.", hint) from error
    if not token or any(character.isspace() for character in token):
        raise HostError(f"{path} does not hold a token: one line without blanks is expected.", "greenroom tokens:create")
    return token
