"""The verbs of certificates that the router serves for an app's host names."""

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
        output.table([_line(row) for row in rows], header=("name", "host names", "expires", "kind"), flexible=1)
    else:
        output.note(f"{cx.app} has no certificates.")
        output.hint(
            f"greenroom certs:add CHAIN.pem KEY.pem{cx.flags()}; or, of this installation's own CA: greenroom"
            f" certs:auto on{cx.flags()}"
        )
    return None


def _line(row: dict[str, Any]) -> list[str]:
    facts = row["ssl_cert"]
    kind = (
        "of the own CA"
        if facts["acm"]
        else "self-signed"
        if facts["self_signed?"]
        else "of a public CA"
        if facts["ca_signed?"]
        else "of another CA"
    )
    return [row["name"], output.clean(", ".join(facts["cert_domains"])), output.when(facts["expires_at"]), kind]


def _one(cx: Context, name: str) -> dict[str, Any]:
    """The named certificate, or the only one."""
    if name:
        return cx.api.get(cx.path("sni-endpoints", name))
    rows = cx.api.everything(cx.path("sni-endpoints"))
    if len(rows) != 1:
        names = ", ".join(row["name"] for row in rows)
        hint = f"name one of {names}" if rows else f"greenroom certs:add CHAIN.pem KEY.pem{cx.flags()}"
        raise CliError(f"{cx.app} has {len(rows) or 'no'} certificates.", hint=hint, code=2 if rows else 1)
    return rows[0]


@command("certs:info", example="greenroom certs:info -a ach-payslip-staging", json=True)
@NAME
def info(cx: Context, name: str) -> int | None:
    """Show one certificate: for which host names, by whom and until when."""
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
            ("Host names", ", ".join(facts["cert_domains"])),
            ("Served for", served),
            ("Subject", facts["subject"]),
            ("Issuer", facts["issuer"]),
            ("Starts", output.when(facts["starts_at"])),
            ("Expires", output.when(facts["expires_at"])),
            ("Kind", _line(row)[3]),
        ]
    )
    return None


@command("certs:add", example="greenroom certs:add chain.pem key.pem -a ach-payslip-staging")
@click.argument("chain", type=FILE)
@click.argument("key", type=FILE)
def add(cx: Context, chain: Path, key: Path) -> int | None:
    """Add a certificate: a file with the chain, its own certificate first, and one with the private key, both PEM."""
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
    """Replace a certificate by another chain and key; its name and its host names stay."""
    body = {"certificate_chain": _read(chain), "private_key": _read(key)}
    name = _one(cx, name)["name"]
    with output.progress(f"Replacing {name} of {output.app_mark(cx.app)}"):
        cx.api.patch(cx.path("sni-endpoints", name), body)
    return None


@command("certs:remove", example="greenroom certs:remove tyrannosaurus-3871 -a ach-payslip-staging")
@NAME
@click.option("--confirm", "given", default="", metavar="APP", help="The app's name, instead of being asked for it.")
def remove(cx: Context, name: str, given: str) -> int | None:
    """Forget a certificate and its key; its host names are served without one."""
    name = _one(cx, name)["name"]
    confirm(cx, given, name=cx.app, what=f"The certificate {name} of {cx.app} is served no more, and its key is lost.")
    with output.progress(f"Removing {name} from {output.app_mark(cx.app)}"):
        cx.api.delete(cx.path("sni-endpoints", name))
    return None


@command("certs:auto", example="greenroom certs:auto on -a ach-payslip-staging")
@click.argument("switch", type=click.Choice(["on", "off", "refresh"]))
def auto(cx: Context, switch: str) -> int | None:
    """Let this installation's own CA certify the host names of an app by itself (on), no more (off), or anew
    (refresh).
    """
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
            f"{path} cannot be read: {error.strerror}.", hint="give the paths of two PEM files: the chain, then the key"
        ) from error
    try:
        text = data.decode("ascii")
    except UnicodeDecodeError as error:
        raise CliError(
            f"{path} is not PEM text.", hint=f"openssl x509 -inform der -in {path.name} makes PEM of DER"
        ) from error
    if len(text) > MOST or "-----BEGIN " not in text:
        raise CliError(
            f"{path} is not PEM: there is no line -----BEGIN in it.",
            hint="give the paths of two PEM files: the chain, then the key",
        )
    return text
