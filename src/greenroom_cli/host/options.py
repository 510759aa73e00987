"""The options of ``up`` and ``server:install`` about names and certificates."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from greenroom_cli.host.names import Asked

NAMES = (
    click.option(
        "--domain",
        help="The base domain: apps answer at APP.DOMAIN, API and git at DOMAIN (stored; default: localhost).",
    ),
    click.option(
        "--certificates",
        type=click.Choice(["own", "acme"]),
        help="Who issues certificates: this installation's own CA (default) or a public CA by ACME (stored).",
    ),
    click.option("--email", help="The address that the ACME CA can write to (stored; none: remove)."),
    click.option(
        "--acme-ca",
        metavar="URL",
        help="The directory URL of an ACME CA (stored; default: Let's Encrypt; none: the default again).",
    ),
    click.option(
        "--acme-root",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="The certificate of that CA in PEM, if this machine does not trust it (copied; none: remove).",
    ),
    click.option(
        "--trusted-proxy",
        "trusted_proxies",
        metavar="CIDR",
        multiple=True,
        help="A network of proxies in front, whose X-Forwarded-* headers are believed (stored; none: remove all).",
    ),
)


def names(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: the options of NAMES."""
    for option in reversed(NAMES):
        command = option(command)
    return command


def asked(given: Mapping[str, Any]) -> Asked:
    """The values of the options as one value."""
    from greenroom_cli.host.names import Asked

    return Asked(**given)
