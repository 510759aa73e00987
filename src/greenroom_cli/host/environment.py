"""``greenroom env``: the variables that point ``greenroom`` and the unmodified Heroku CLI at this installation."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

from greenroom_cli.host import names, trust
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.home import Installation

LOCAL = ("localhost", "127.0.0.1")
ACCEPTED = re.compile(r"(.*\.)?(heroku\.com|herokai\.com|herokuspace\.com|herokudev\.com)\Z")

MAKE = (
    "an administrator creates a token with: greenroom accounts:token EMAIL (without an account: accounts:create EMAIL)"
)


def variables(
    home: Path, install: Installation, host: str | None = None, token_file: Path | None = None, *, proxy: bool = False
) -> dict[str, str]:
    """name -> value, with the administrator's token or the token in ``token_file``.

    The Heroku CLI gets the TLS port, because some of its commands send the token to Heroku's host names with the scheme
    of HEROKU_HOST. proxy: also redirect *.heroku.com to this installation.
    HostError for a host that the Heroku CLI does not accept (it would send the token to Heroku instead), for ``proxy``
    without a proxy port, and for an unreadable token.
    """
    host = host or (install.host if install.host not in LOCAL else names.alias(install.domain))
    _refuse_host(host, install.api_port)
    token = _token(home, token_file)
    secure = _secure(install, host)
    url = f"http://{host}:{install.api_port}" if host in LOCAL else secure
    ca = _authority(home, install)
    found = {
        "GREENROOM_HOME": str(home),
        "GREENROOM_URL": url,
        "GREENROOM_TOKEN": token,
        "HEROKU_HOST": secure,
        "HEROKU_API_KEY": token,
        "HEROKU_GIT_HOST": secure.removeprefix("https://"),
        "HEROKU_PARTICLEBOARD_URL": url,
        "HEROKU_DATA_HOST": host,
        "HEROKU_LOGIN_HOST": url,
        "HEROKU_BUILDPACK_REGISTRY_URL": url,
        **(_trusted(secure, ca) if ca else {}),
        "DISABLE_TELEMETRY": "true",
        "HEROKU_SKIP_NEW_VERSION_CHECK": "1",
        "HEROKU_DISABLE_AUTOUPDATE": "1",
    }
    if host not in LOCAL:  # the CLI sends the token only to the names in LOCAL
        found["HEROKU_HEADERS"] = json.dumps({"Authorization": f"Bearer {token}"})
    if install.postgres == "embedded":
        found["PGSSLMODE"] = "prefer"  # heroku pg:psql requires TLS, which the embedded server does not support
    return found | (_proxied(install, host, _own_authority(home)) if proxy else {})


def _refuse_host(host: str, port: int) -> None:
    """HostError for a host that the Heroku CLI does not accept."""
    if not (ACCEPTED.match(host) or "localhost" in host or "127.0.0.1" in host):
        raise HostError(
            f"The Heroku CLI does not accept the host {host!r}: it would send your token to api.heroku.com instead.",
            f"use a tunnel (ssh -L {port}:localhost:{port} ...) or a name that contains localhost",
        )


def _secure(install: Installation, host: str) -> str:
    """The URL of the API with TLS: at the router for the names that it serves, else on the TLS port."""
    routed = install.domain != names.LOCAL and host in (install.domain, names.alias(install.domain))
    return names.url("https", host, install.https_port if routed else install.tls_port)


def _trusted(url: str, ca: str) -> dict[str, str]:
    return {"NODE_EXTRA_CA_CERTS": trust.node_authorities(ca), **trust.git_settings(url, ca)}


def _authority(home: Path, install: Installation) -> str:
    """The file with the CA that signs the API's certificate; empty for a public CA, which clients trust anyway."""
    if install.certificates == names.ACME and install.host in LOCAL:
        return str(home / names.PUBLIC_ROOT) if install.acme_root else ""
    return _own_authority(home)


def _own_authority(home: Path) -> str:
    private = str(home / "keys" / "ca.pem")
    return private if os.access(private, os.R_OK) else str(home / "ca.pem")


def _direct(host: str) -> str:
    own = [name for name in os.environ.get("NO_PROXY", "").split(",") if name]
    return ",".join(dict.fromkeys((*own, "localhost", "127.0.0.1", "::1", host)))


def _proxied(install: Installation, host: str, ca: str) -> dict[str, str]:
    """The variables for the proxy. The CLI's tunnel trusts only SSL_CERT_FILE; the rest trusts NODE_EXTRA_CA_CERTS."""
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
        hint = f"use your own token with greenroom env --token-file FILE; {MAKE}"
        raise HostError(f"There is no token at {path}: {error.strerror}.", hint) from error
    if not token.isascii() or not token.isprintable() or not token or " " in token:
        raise HostError(f"{path} does not contain a token: expected one line of ASCII without spaces.", MAKE)
    return token
