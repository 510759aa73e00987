"""Commands for the TLS certificates of an app's domains."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError

FILE = click.Path(path_type=Path)
NAME = click.argument("name", required=False, default="")
MOST = 1_000_000


@command("certs", example="greenroom certs -a ach-payslip-staging", json=True)
def certs(cx: Context) -> int | None:
    """List the certificates of an app."""
    rows = cx.api.everything(cx.path("sni-endpoints"))
    if cx.as_json:
        output.print_json(rows)
    elif rows:
        output.table([_line(row) for row in rows], header=("name", "domains", "expires", "issued by"), flexible=1)
    else:
        output.note(f"{cx.app} has no certificates.")
        output.hint(
            f"greenroom certs:add CHAIN.pem KEY.pem{cx.flags()}; or, from the CA of this installation:"
            f" greenroom certs:auto on{cx.flags()}"
        )
    return None


def _line(row: dict[str, Any]) -> list[str]:
    facts = row["ssl_cert"]
    kind = (
        "the local CA"
        if facts["acm"]
        else "itself (self-signed)"
        if facts["self_signed?"]
        else "a public CA"
        if facts["ca_signed?"]
        else "another CA"
    )
    return [row["name"], output.clean(", ".join(facts["cert_domains"])), output.when(facts["expires_at"]), kind]


def _one(cx: Context, name: str) -> dict[str, Any]:
    """The certificate with that name, or the only one. CliError when there is none, or several and no name."""
    if name:
        return cx.api.get(cx.path("sni-endpoints", name))
    rows = cx.api.everything(cx.path("sni-endpoints"))
    if len(rows) != 1:
        names = ", ".join(row["name"] for row in rows)
        hint = f"add one of these names: {names}" if rows else f"greenroom certs:add CHAIN.pem KEY.pem{cx.flags()}"
        raise CliError(f"{cx.app} has {len(rows) or 'no'} certificates.", hint=hint, code=2 if rows else 1)
    return rows[0]


@command("certs:info", example="greenroom certs:info -a ach-payslip-staging", json=True)
@NAME
def info(cx: Context, name: str) -> int | None:
    """Show details of a certificate: domains, issuer and validity."""
    row = _one(cx, name)
    if cx.as_json:
        output.print_json(row)
        return None
    facts = row["ssl_cert"]
    domains = {entry["id"]: entry["hostname"] for entry in cx.api.everything(cx.path("domains"))}
    served = ", ".join(sorted(domains.get(one, one) for one in row["domains"])) or "none yet"
    output.heading(row["name"])
    output.fields(
        [
            ("Domains", ", ".join(facts["cert_domains"])),
            ("Served for", served),
            ("Subject", facts["subject"]),
            ("Issuer", facts["issuer"]),
            ("Starts", output.when(facts["starts_at"])),
            ("Expires", output.when(facts["expires_at"])),
            ("Issued by", _line(row)[3]),
        ]
    )
    return None


@command("certs:add", example="greenroom certs:add chain.pem key.pem -a ach-payslip-staging")
@click.argument("chain", type=FILE)
@click.argument("key", type=FILE)
def add(cx: Context, chain: Path, key: Path) -> int | None:
    """Add a certificate. CHAIN is a PEM file with the certificate, then its chain; KEY is the PEM private key."""
    body = {"certificate_chain": _read(chain), "private_key": _read(key)}
    with output.progress(f"Adding {chain.name} to {output.app_mark(cx.app)}"):
        row = cx.api.post(cx.path("sni-endpoints"), body)
    output.say(row["name"])
    output.hint(f"undo with: greenroom certs:remove {row['name']}{cx.flags()}")
    return None


@command("certs:update", example="greenroom certs:update chain.pem key.pem -a ach-payslip-staging")
@click.argument("chain", type=FILE)
@click.argument("key", type=FILE)
@NAME
def update(cx: Context, chain: Path, key: Path, name: str) -> int | None:
    """Replace the chain and key of a certificate. Its name and domains stay."""
    body = {"certificate_chain": _read(chain), "private_key": _read(key)}
    name = _one(cx, name)["name"]
    with output.progress(f"Replacing {name} of {output.app_mark(cx.app)}"):
        cx.api.patch(cx.path("sni-endpoints", name), body)
    return None


@command("certs:remove", example="greenroom certs:remove tyrannosaurus-3871 -a ach-payslip-staging")
@NAME
@click.option("--confirm", "given", default="", metavar="APP", help="The app's name, to confirm without a prompt.")
def remove(cx: Context, name: str, given: str) -> int | None:
    """Remove a certificate and its private key. Its domains are served without TLS."""
    name = _one(cx, name)["name"]
    confirm(cx, given, name=cx.app, what=f"WARNING: This removes the certificate {name} of {cx.app} and its key.")
    with output.progress(f"Removing {name} from {output.app_mark(cx.app)}"):
        cx.api.delete(cx.path("sni-endpoints", name))
    return None


@command("certs:auto", example="greenroom certs:auto on -a ach-payslip-staging")
@click.argument("switch", type=click.Choice(["on", "off", "refresh"]))
def auto(cx: Context, switch: str) -> int | None:
    """Enable (on) or disable (off) automatic certificates from the installation's CA, or issue them again (refresh)."""
    with output.progress(f"Automatic certificates of {output.app_mark(cx.app)}: {switch}"):
        if switch == "off":
            cx.api.delete(cx.path("acm"))
        else:
            (cx.api.post if switch == "on" else cx.api.patch)(cx.path("acm"), {})
    return None


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()[: MOST + 1]
    except OSError as error:
        raise CliError(
            f"Cannot read {path}: {error.strerror}.", hint="pass two PEM files: the certificate chain, then the key"
        ) from error
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise CliError(
            f"{path} is not a PEM file.", hint=f"convert DER to PEM with: openssl x509 -inform der -in {path.name}"
        ) from error
    if len(text) > MOST or "-----BEGIN " not in text:
        raise CliError(
            f"{path} is not a PEM file: it has no -----BEGIN line.",
            hint="pass two PEM files: the certificate chain, then the key",
        )
    return text
