"""The host commands: up, down, status, doctor, env, scanners."""

from __future__ import annotations

import functools
import json
import shlex
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from greenroom_cli.host import home as homes
from greenroom_cli.host.errors import HostError

HOME = click.option(
    "--home", "home_option", metavar="DIR", help="The installation's home; default $GREENROOM_HOME, else ~/.greenroom."
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """A HostError is one line and a hint on stderr, and exit code 1; so is a process or a file that belongs to another
    user.
    """

    @functools.wraps(command)
    def wrapped(*words: Any, **options: Any) -> Any:
        try:
            return command(*words, **options)
        except HostError as error:
            told = error
        except PermissionError as error:
            told = _of_another_user(error, homes.home_of(options.get("home_option")))
        click.secho(f" ▸    {told.message}", fg="red", err=True)
        if told.hint:
            click.echo(f"hint: {told.hint}", err=True)
        sys.exit(1)

    return wrapped


def _of_another_user(error: PermissionError, home: Path) -> HostError:
    """What to do when this user may not do it: the same command as the home's owner, who has what runs in it."""
    import os
    import pwd

    what = (
        f"{error.filename} cannot be used"
        if error.filename
        else f"The processes of the installation in {home} cannot be signalled"
    )
    text = f"{what}: {error.strerror or error}."
    try:
        owner = home.stat().st_uid
        name = pwd.getpwuid(owner).pw_name
    except (OSError, KeyError):
        return HostError(text, f"run the command as the user who made {home}")
    if owner == os.geteuid():
        return HostError(text, f"greenroom doctor --home {shlex.quote(str(home))}")
    command = f"greenroom {click.get_current_context().info_name} --home {shlex.quote(str(home))}"
    return HostError(
        f"{text} They belong to {name}." if not error.filename else text,
        f"sudo {command}" if owner == 0 else f"sudo -u {name} {command}",
    )


def _installed(home_option: str | None) -> tuple[Any, homes.Installation]:
    home = homes.home_of(home_option)
    install = homes.read(home)
    if install is None:
        raise HostError(
            f"There is no installation in {home}.", "greenroom up makes one; --home or $GREENROOM_HOME names another"
        )
    return home, install


@click.command()
@HOME
@click.option("--detach", is_flag=True, help="Return when everything is up; go on in the background.")
@click.option(
    "--server", is_flag=True, help="Refuse to start unless DATABASE_URL and SECRET_KEY come from the environment."
)
@click.option(
    "--api-port",
    type=click.IntRange(1, 65530),
    help="API, dashboard and git; TLS, rendezvous and PostgreSQL follow. Default 5000.",
)
@click.option("--http-port", type=click.IntRange(1, 65535), help="The router. Default 8080.")
@click.option("--https-port", type=click.IntRange(1, 65535), help="The router with TLS. Default 8443.")
@click.option(
    "--proxy-port",
    type=click.IntRange(0, 65535),
    help=(
        "A proxy that leads the Heroku CLI's fixed host names (*.heroku.com) here, for ci:run. Kept; 0, the default, is"
        " none."
    ),
)
@click.option(
    "--host",
    help=(
        "The name under which other computers reach this installation; in links and certificates. Kept; default"
        " localhost."
    ),
)
@click.option(
    "--bind",
    type=click.Choice(["127.0.0.1", "0.0.0.0"]),  # noqa: S104 - asked for by name, never the default
    help="Listen for this computer alone (the default) or on all its networks. Kept.",
)
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
) -> None:
    """Start Greenroom: PostgreSQL, Caddy, supervisor, web and worker.

    In the foreground it watches them until Ctrl-C, which stops them and all dynos.

    Example: greenroom up --detach
    """
    import os

    from greenroom_cli.host import up as starting

    if server:
        for name in ("DATABASE_URL", "SECRET_KEY"):
            if not os.environ.get(name):
                raise HostError(
                    f"{name} is not set; a server installation does not start without it.", f"export {name}=..."
                )
    home = homes.home_of(home_option)
    install = homes.settle(home, api_port, http_port, https_port, proxy_port, host=host, bind=bind)
    starting.up(home, install, detached=detach)
    if detach:
        stored = homes.read(home) or install
        click.echo(starting.summary(home, stored), err=True)


@click.command()
@HOME
@clear_errors
def down(home_option: str | None) -> None:
    """Stop Greenroom and all dynos; the data stays.

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
    """Show the components: state, pid, uptime, memory, restarts. Exit code 1 unless all are up.

    Example: greenroom status --json
    """
    from greenroom_cli.host import status as statuses

    data = statuses.gather(*_installed(home_option))
    click.echo(json.dumps(data, indent=2) if as_json else statuses.show(data))
    sys.exit(0 if data["up"] else 1)


@click.command()
@HOME
@JSON
@click.option("--strict", is_flag=True, help="Exit with 1 for warnings, too.")
@clear_errors
def doctor(home_option: str | None, as_json: bool, strict: bool) -> None:
    """Check this machine and the installation, with a remedy for what is missing. Exit code 1 if anything fails.

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
        "The name under which this machine is reached; must be one that the Heroku CLI accepts. Default: that of"
        " `greenroom up --host`, else localhost."
    ),
)
@click.option(
    "--token-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A file with your own token, instead of the administrator's.",
)
@click.option(
    "--proxy",
    is_flag=True,
    help="Let the Heroku CLI's fixed host names lead here too, for ci:run; needs `greenroom up --proxy-port N`.",
)
@clear_errors
def env(home_option: str | None, as_json: bool, host: str | None, token_file: Path | None, proxy: bool) -> None:
    """Print shell exports for greenroom and for the unmodified Heroku CLI.

    Example: eval "$(greenroom env)"; heroku run -a APP python manage.py migrate
    """
    from greenroom_cli.host.environment import variables

    values = variables(*_installed(home_option), host, token_file, proxy=proxy)
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
    """List the optional scanners and which of them are installed.

    An app enables them in its greenroom.toml: [scan] scanners = ["bandit"].

    Example: greenroom scanners
    """
    from greenroom_cli.host import scanners as tools

    rows = tools.listed(_installed(home_option)[0])
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
    """Install an optional scanner for all apps, or install it anew.

    Example: greenroom scanners:install bandit
    """
    from greenroom_cli.host import scanners as tools

    click.echo(tools.install(_installed(home_option)[0], name))


HOST_COMMANDS = [up, down, status, doctor, env, scanners, install_scanner]
