"""Commands for a server installation: server:install, server:uninstall, server:check."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from greenroom_cli.host import home as homes
from greenroom_cli.host import options
from greenroom_cli.host.command_parts import COLOURS, JSON, clear_errors
from greenroom_cli.host.errors import HostError

HOME = click.option(
    "--home",
    "home_option",
    metavar="DIR",
    help="The home folder of the installation (default: /var/lib/greenroom).",
)
DRY = click.option("--dry-run", is_flag=True, help="Print the acts, and change nothing.")


def _home(option: str | None) -> Path:
    from greenroom_cli.host.server.units import HOME as USUAL

    return Path(option).absolute() if option else USUAL


@click.command("server:install")
@HOME
@DRY
@click.option("--api-port", type=click.IntRange(1, 65530), help="The first of the local ports (default: 5000).")
@click.option("--http-port", type=click.IntRange(1, 65535), help="The router's port for HTTP (default: 80).")
@click.option("--https-port", type=click.IntRange(1, 65535), help="The router's port for HTTPS (default: 443).")
@options.names
@clear_errors
def install(
    home_option: str | None,
    dry_run: bool,
    api_port: int | None,
    http_port: int | None,
    https_port: int | None,
    **given: Any,
) -> None:
    """Install Greenroom as a service of this machine, or change the installation. Prints each act; may be repeated.

    Example: greenroom server:install --domain staging.example.org --email ops@example.org
    """
    from greenroom_cli.host.server import acts, report
    from greenroom_cli.host.server import install as plans

    acts.need_root()
    home, asked = _home(home_option), options.asked(given)
    plans.read_environment()
    wanted = plans.settled(home, asked, (api_port, http_port, https_port))
    rows = plans.plan(home, wanted, asked)
    count = acts.carry_out(rows, dry=dry_run, say=lambda text: click.echo(text, err=True))
    if dry_run:
        click.echo(f"{count} of {len(rows)} acts needed. Nothing was changed.")
        return
    click.echo(report.closing(home, homes.read(home) or wanted))


@click.command("server:uninstall")
@HOME
@DRY
@click.option("--purge", is_flag=True, help="Also delete all data: apps, databases, repositories, keys, backups.")
@click.option("--yes", is_flag=True, help="Do not ask before the data is deleted.")
@clear_errors
def uninstall(home_option: str | None, dry_run: bool, purge: bool, yes: bool) -> None:
    """Stop Greenroom and remove its service. Keeps all data unless --purge is given.

    Example: greenroom server:uninstall
    """
    from greenroom_cli.host.server import acts
    from greenroom_cli.host.server import install as plans

    acts.need_root()
    home = _home(home_option)
    rows = plans.removal(home, purge=purge)
    if purge and not dry_run and not yes:
        if not sys.stdin.isatty():
            raise HostError(f"--purge deletes all data in {home}.", "add --yes to confirm")
        click.confirm(f"Delete all data in {home}?", abort=True, err=True)
    count = acts.carry_out(rows, dry=dry_run, say=lambda text: click.echo(text, err=True))
    if dry_run:
        click.echo(f"{count} of {len(rows)} acts needed. Nothing was changed.")
    elif purge:
        click.echo("Greenroom is uninstalled, and its data is deleted. The system users are kept.")
    else:
        click.echo(f"Greenroom is uninstalled. Its data is kept in {home}; server:install uses it again.")


@click.command("server:check")
@HOME
@JSON
@clear_errors
def check(home_option: str | None, as_json: bool) -> None:
    """Check the service, DNS, ports and certificates of a server. Exit code 1 if a check fails.

    `greenroom doctor` checks the machine.

    Example: greenroom server:check
    """
    from greenroom_cli.host import doctor
    from greenroom_cli.host.server import checks

    home = _home(home_option)
    installed = homes.read(home)
    if installed is None:
        raise HostError(f"There is no installation in {home}.", "greenroom server:install --domain D --email E")
    findings = checks.examine(home, installed)
    if as_json:
        click.echo(json.dumps(doctor.as_json(findings), indent=2))
    else:
        for row in findings:
            click.echo(f"{click.style(f'{row.level:<5}', fg=COLOURS[row.level])} {row.name:<13} {row.text}")
            if row.remedy:
                click.echo(f"      {'':<13} hint: {row.remedy}")
    sys.exit(1 if any(row.level == "fail" for row in findings) else 0)


SERVER_COMMANDS = [install, uninstall, check]
