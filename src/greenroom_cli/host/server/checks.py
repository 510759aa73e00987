"""``server:check``: the service, the names in DNS, the ports and the certificate of a server installation."""

from __future__ import annotations

import contextlib
import http.client
import ipaddress
import secrets
import socket
import ssl
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from greenroom_cli.host import names, ports
from greenroom_cli.host.doctor import Finding
from greenroom_cli.host.home import Installation
from greenroom_cli.host.server import acts, units

SECONDS = 40.0
"""For one connection: the first one to a name waits until the CA has issued its certificate."""
SOON = 14
"""Days before the end of a certificate below which it is late: it is renewed 30 days before."""


def examine(home: Path, install: Installation) -> list[Finding]:
    """The results of all checks. Those of the machine are in ``doctor``."""
    found = [_service(home), _listening(install)]
    if install.domain == names.LOCAL:
        remedy = "greenroom server:install --domain staging.example.org --email YOU"
        return [*found, Finding("domain", "fail", "there is no base domain", remedy)]
    hosts = (install.domain, names.alias(install.domain), f"check-{secrets.token_hex(4)}.{install.domain}")
    found += [_resolves(install, host, "an app's name" if host == hosts[2] else host) for host in hosts]
    found.append(_redirect(install))
    return [*found, *(_certificate(home, install, host) for host in hosts[:2])]


def _service(home: Path) -> Finding:
    missing = [name for name in (units.SERVICE, units.SHUTDOWN) if not (units.UNITS / name).exists()]
    again = "greenroom server:install"
    if missing:
        return Finding("service", "fail", f"no {', '.join(missing)} in {units.UNITS}", again)
    text = (units.UNITS / units.SERVICE).read_text()
    if f"--home {home}\n" not in text and f'--home "{home}"\n' not in text:
        return Finding("service", "fail", f"{units.SERVICE} is for another home than {home}", again)
    if not acts.booted():
        return Finding("service", "warn", "systemd is not the init system: nothing starts Greenroom at boot", "")
    if not acts.is_enabled(units.SERVICE):
        return Finding("service", "fail", "not started at boot", f"systemctl enable {units.SERVICE}")
    if not acts.is_active(units.SERVICE):
        return Finding("service", "fail", "not running", f"systemctl start {units.SERVICE}")
    return Finding("service", "ok", f"{units.SERVICE} is enabled and running")


def _listening(install: Installation) -> Finding:
    silent = ports.silent(install)
    if silent:
        text = ", ".join(f"{port.number} ({port.name}, {port.owner})" for port in silent)
        return Finding("ports", "fail", f"not listening: {text}", "greenroom status; systemctl status greenroom")
    return Finding("ports", "ok", f"listening on {install.http_port} and {install.https_port}")


def _resolves(install: Installation, host: str, shown: str) -> Finding:
    """Whether DNS has the name, and an address of this machine for it."""
    try:
        rows = socket.getaddrinfo(host, install.https_port, proto=socket.IPPROTO_TCP)
    except OSError:
        what = f"*.{install.domain}" if host != install.domain else host
        return Finding("dns", "fail", f"{shown} ({host}) has no address", f"add a DNS record: {what} A ADDRESS")
    found = sorted({str(row[4][0]) for row in rows})
    if not any(_is_own(address) for address in found):
        text = f"{shown} leads to {', '.join(found)}, which is not an address of this machine"
        return Finding("dns", "warn", text, "correct the DNS record, unless a router or proxy forwards from there")
    return Finding("dns", "ok", f"{shown} leads to {', '.join(found)}")


def _is_own(address: str) -> bool:
    """Whether a socket can be bound to the address."""
    family = socket.AF_INET6 if ipaddress.ip_address(address).version == 6 else socket.AF_INET
    with contextlib.suppress(OSError), socket.socket(family) as probe:
        probe.bind((address, 0))
        return True
    return False


def _redirect(install: Installation) -> Finding:
    """Whether plain HTTP at the base domain leads to HTTPS."""
    connection = http.client.HTTPConnection("127.0.0.1", install.http_port, timeout=SECONDS)
    try:
        connection.request("GET", "/", headers={"Host": install.domain})
        goal = connection.getresponse().getheader("Location") or ""
    except (OSError, http.client.HTTPException) as error:
        return Finding("http", "fail", f"no response on port {install.http_port}: {error}", "greenroom status")
    finally:
        connection.close()
    if goal.startswith(f"https://{install.domain}"):
        return Finding("http", "ok", f"plain HTTP is redirected to {goal}")
    return Finding("http", "fail", "plain HTTP is not redirected to HTTPS", "systemctl restart greenroom")


def _certificate(home: Path, install: Installation, host: str) -> Finding:
    """The certificate that the router sends for the name, verified as a client does."""
    context = ssl.create_default_context()
    own = home / ("ca.pem" if install.certificates == names.OWN else names.PUBLIC_ROOT)
    if own.exists():
        context.load_verify_locations(own)
    try:
        with (
            socket.create_connection(("127.0.0.1", install.https_port), timeout=SECONDS) as sock,
            context.wrap_socket(sock, server_hostname=host) as tls,
        ):
            leaf = x509.load_der_x509_certificate(tls.getpeercert(binary_form=True) or b"")
    except (OSError, ValueError) as error:
        remedy = f"see {home}/logs/caddy.log: the CA must reach ports 80 and 443 of {host}"
        return Finding("certificate", "fail", f"{host}: {error}", remedy)
    days = (leaf.not_valid_after_utc - datetime.now(UTC)).days
    lived = (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days
    text = f"{host}: {leaf.issuer.rfc4514_string()}, {days} days left"
    if days < min(SOON, lived // 4):
        return Finding("certificate", "warn", text, f"see {home}/logs/caddy.log: it should have been renewed")
    return Finding("certificate", "ok", text)
