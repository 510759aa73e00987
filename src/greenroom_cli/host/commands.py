"""Commands for the installation on this machine: up, down, status, doctor, env, scanners."""

from __future__ import annotations

import json
import shlex
import signal
import sys
from pathlib import Path
from typing import Any

import click

from greenroom_cli.host import home as homes
from greenroom_cli.host import options
from greenroom_cli.host.backup_commands import backup, restore, upgrade
from greenroom_cli.host.command_parts import COLOURS, HOME, JSON, clear_errors, installed
from greenroom_cli.host.errors import HostError
from greenroom_cli.host.server_commands import SERVER_COMMANDS


@click.command()
@HOME
@click.option("--detach", is_flag=True, help="Return when all components are up, and keep running in the background.")
@click.option("--server", is_flag=True, help="Start only if DATABASE_URL and SECRET_KEY are set in the environment.")
@click.option(
    "--api-port",
    type=click.IntRange(1, 65530),
    help="The port of the API, dashboard and git; the next three are TLS, rendezvous and PostgreSQL (default: 5000).",
)
@click.option("--http-port", type=click.IntRange(1, 65535), help="The router's port for HTTP (default: 8080).")
@click.option("--https-port", type=click.IntRange(1, 65535), help="The router's port for HTTPS (default: 8443).")
@click.option(
    "--proxy-port",
    type=click.IntRange(0, 65535),
    help=(
        "The port of a proxy that redirects the Heroku CLI's fixed host names (*.heroku.com) to this installation, for"
        " ci:run (stored; 0: none, the default)."
    ),
)
@click.option(
    "--host",
    help=(
        "The host name of this installation for other computers, used in URLs and certificates (stored; default:"
        " localhost)."
    ),
)
@click.option(
    "--bind",
    type=click.Choice(["127.0.0.1", "0.0.0.0"]),  # noqa: S104 - asked for by name, never the default
    help="The address to listen on: this computer only (default) or all networks (stored).",
)
@click.option(
    "--api-bind",
    type=click.Choice(["127.0.0.1", "0.0.0.0"]),  # noqa: S104 - asked for by name, never the default
    help="The same for the ports of the API, if it differs: the router serves the API at the base domain (stored).",
)
@options.names
@clear_errors
def up(
    home_option: str | None,
    detach: bool,
    server: bool,
    api_port: int | None,
    http_port: int | None,
    https_port: int | None,
    proxy_port: int | None,
    host: str | None,
    bind: str | None,
    **given: Any,
) -> None:
    """Start Greenroom: PostgreSQL, Caddy, supervisor, web and worker.

    In the foreground, it restarts components that end. Ctrl-C stops them and all dynos.

    Example: greenroom up --detach
    """
    import os

    from greenroom_cli.host import names
    from greenroom_cli.host import up as starting

    if server:
        for name in ("DATABASE_URL", "SECRET_KEY"):
            if not os.environ.get(name):
                raise HostError(f"{name} is not set. It is required with --server.", f"export {name}=...")
    home = homes.home_of(home_option)
    asked = options.asked(given)
    install = homes.settle(home, api_port, http_port, https_port, proxy_port, host=host, bind=bind, asked=asked)
    names.take_root(home, asked)
    starting.up(home, install, detached=detach)
    if detach:
        stored = homes.read(home) or install
        click.echo(starting.summary(home, stored), err=True)


@click.command()
@HOME
@clear_errors
def down(home_option: str | None) -> None:
    """Stop Greenroom and all dynos. All data is kept.

    Example: greenroom down
    """
    from greenroom_cli.host import processes
    from greenroom_cli.host.down import take_down

    home = homes.home_of(home_option)
    host = processes.known(home, "host")
    ran = processes.stop(home, "host", signal.SIGTERM, 90) if host else False
    ran = take_down(home, lambda text: click.echo(text, err=True)) or ran
    click.echo("Greenroom is down." if ran else "Greenroom is not running.", err=True)


@click.command()
@HOME
@JSON
@clear_errors
def status(home_option: str | None, as_json: bool) -> None:
    """Show the status of the components: state, pid, uptime, memory, restarts. Exit code 1 unless all are up.

    Example: greenroom status --json
    """
    from greenroom_cli.host import status as statuses

    data = statuses.gather(*installed(home_option))
    click.echo(json.dumps(data, indent=2) if as_json else statuses.show(data))
    sys.exit(0 if data["up"] else 1)


@click.command()
@HOME
@JSON
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@clear_errors
def doctor(home_option: str | None, as_json: bool, strict: bool) -> None:
    """Check this machine and the installation, and show how to fix problems. Exit code 1 if a check fails.

    Example: greenroom doctor
    """
    from greenroom_cli.host import doctor as examination

    home = homes.home_of(home_option)
    findings = examination.examine(home, homes.read(home))
    if as_json:
        click.echo(json.dumps(examination.as_json(findings), indent=2))
    else:
        for row in findings:
            click.echo(f"{click.style(f'{row.level:<5}', fg=COLOURS[row.level])} {row.name:<13} {row.text}")
            if row.remedy:
                click.echo(f"      {'':<13} hint: {row.remedy}")
    sys.exit(1 if any(row.level == "fail" or (strict and row.level == "warn") for row in findings) else 0)


@click.command()
@HOME
@JSON
@click.option(
    "--host",
    help=(
        "The host name of this machine; the Heroku CLI must accept it (default: that of `greenroom up --host`, else"
        " localhost)."
    ),
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file with your own API token, instead of the administrator's.",
)
@click.option(
    "--proxy",
    is_flag=True,
    help="Also redirect the Heroku CLI's fixed host names, for ci:run; requires `greenroom up --proxy-port N`.",
)
@clear_errors
def env(home_option: str | None, as_json: bool, host: str | None, token_file: Path | None, proxy: bool) -> None:
    """Print the environment variables for greenroom and the unmodified Heroku CLI, as shell exports.

    Example: eval "$(greenroom env)"; heroku run -a APP python manage.py migrate
    """
    from greenroom_cli.host.environment import variables

    values = variables(*installed(home_option), host, token_file, proxy=proxy)
    if as_json:
        click.echo(json.dumps(values, indent=2))
        return
    for name, value in values.items():
        click.echo(f"export {name}={shlex.quote(value)}")
    if sys.stdout.isatty():
        click.echo('# to use it:  eval "$(greenroom env)"')


@click.command("scanners")
@HOME
@JSON
@clear_errors
def scanners(home_option: str | None, as_json: bool) -> None:
    """List the optional scanners and whether they are installed.

    An app enables a scanner in its greenroom.toml: [scan] scanners = ["bandit"].

    Example: greenroom scanners
    """
    from greenroom_cli.host import scanners as tools

    rows = tools.listed(installed(home_option)[0])
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    for row in rows:
        click.echo(f"{row['name']:<12} {row['requirement']:<20} {'installed' if row['installed'] else 'not installed'}")


@click.command("scanners:install")
@click.argument("name")
@HOME
@clear_errors
def install_scanner(name: str, home_option: str | None) -> None:
    """Install or reinstall an optional scanner for all apps.

    Example: greenroom scanners:install bandit
    """
    from greenroom_cli.host import scanners as tools

    click.echo(tools.install(installed(home_option)[0], name))


HOST_COMMANDS = [
    up,
    down,
    status,
    doctor,
    env,
    backup,
    restore,
    upgrade,
    scanners,
    install_scanner,
    *SERVER_COMMANDS,
]
