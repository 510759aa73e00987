"""Commands that save, restore and upgrade the installation on this machine."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import click

from greenroom_cli.host import home as homes
from greenroom_cli.host.command_parts import HOME, JSON, clear_errors, installed

PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A file whose first line is the passphrase of the backup's keys.",
)


def say(text: str) -> None:
    """A line of progress on stderr."""
    click.echo(f"-----> {text}", err=True)


@click.command()
@HOME
@JSON
@click.option(
    "--to",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Write the set into this folder, in a subfolder of this installation (default: backups in the home).",
)
@PASSPHRASE
@click.option(
    "--keep",
    type=click.IntRange(1, 10_000),
    default=7,
    show_default=True,
    help="Number of sets to keep in that folder; older ones are removed after a success.",
)
@click.option("--verify", "only_verify", is_flag=True, help="Verify the newest set, and make none.")
@clear_errors
def backup(
    home_option: str | None, as_json: bool, to: Path | None, passphrase_file: Path | None, keep: int, only_verify: bool
) -> None:
    """Save everything of the running installation as one verified set: databases, code, repositories, keys.

    The keys are sealed with a passphrase, which is stored for the next backups. Without --passphrase-file the first
    backup generates one: keep a copy of it elsewhere.

    Example: greenroom backup --to /mnt/backup --passphrase-file /root/passphrase
    """
    from greenroom_cli.host import backup as saving

    home, install = installed(home_option)
    if only_verify:
        found = saving.verify_last(home, install, to=to, passphrase_file=passphrase_file, say=say)
        if as_json:
            click.echo(json.dumps(found, indent=2))
        else:
            click.echo(f"{found['path']} of {found['created_at']} is complete: {found['bytes'] / 1e6:.1f} MB")
        return
    found = saving.backup(home, install, to=to, passphrase_file=passphrase_file, keep=keep)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"{found['path']}  {found['bytes'] / 1e6:.1f} MB, {found['apps']} apps, {found['seconds']} s")
    if found["passphrase"] == saving.GENERATED:
        file = home / "keys" / saving.PASSPHRASE
        click.echo(
            f"Without its passphrase this backup is worthless. Copy {file} to another place, then tell Greenroom:\n"
            f"hint: greenroom backup --passphrase-file COPY --home {shlex.quote(str(home))}",
            err=True,
        )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--home",
    "home_option",
    metavar="DIR",
    required=True,
    help="The new home: a folder that does not exist or is empty.",
)
@PASSPHRASE
@JSON
@click.option("--api-port", type=click.IntRange(1, 65530), help="As for `greenroom up`; default: that of the backup.")
@click.option("--http-port", type=click.IntRange(1, 65535), help="As for `greenroom up`; default: that of the backup.")
@click.option("--https-port", type=click.IntRange(1, 65535), help="As for `greenroom up`; default: that of the backup.")
@clear_errors
def restore(
    folder: Path,
    home_option: str,
    passphrase_file: Path | None,
    as_json: bool,
    api_port: int | None,
    http_port: int | None,
    https_port: int | None,
) -> None:
    """Create an installation from a backup set: the same apps, config vars, tokens and releases.

    FOLDER is a set, or a folder with sets, of which the newest is taken. Start it afterwards with `greenroom up`.

    Example: greenroom restore /mnt/backup --home /var/lib/greenroom --passphrase-file /root/passphrase
    """
    from greenroom_cli.host import restore as restoring

    home = homes.home_of(home_option)
    ports = restoring.Ports(api_port, http_port, https_port)
    found = restoring.restore(folder.absolute(), home, passphrase_file=passphrase_file, ports=ports, say=say)
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    click.echo(f"Restored {found['apps']} apps of {found['created_at']} into {home} in {found['seconds']} s.")
    click.echo(f"next: greenroom up --home {shlex.quote(str(home))} --detach", err=True)


@click.command()
@HOME
@JSON
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Show the versions and pending migrations, and change nothing.")
@click.option("--back", is_flag=True, help="Load the control database as it was before the last upgrade.")
@clear_errors
def upgrade(home_option: str | None, as_json: bool, yes: bool, dry_run: bool, back: bool) -> None:
    """Let the installed version of Greenroom take over: migrate its own database, restart its components.

    Dynos, Caddy and PostgreSQL keep running; requests and pushes to Greenroom wait meanwhile. Run it after
    `git pull && make install`. It can be repeated after an interruption.

    Example: greenroom upgrade
    """
    from greenroom_cli.host import upgrade as upgrading

    home, install = installed(home_option)
    plan = upgrading.plan(home, install, back=back)
    if as_json and dry_run:
        click.echo(json.dumps(plan.as_json(), indent=2))
        return
    click.echo(plan.text(), err=True)
    if dry_run:
        return
    if not yes and not click.confirm("Continue?", err=True):
        raise click.Abort
    found = upgrading.run(home, install, plan, say)
    if as_json:
        click.echo(json.dumps(found, indent=2))
    else:
        click.echo(f"Greenroom {found['version']} is up; Greenroom's API waited {found['seconds']} s.")
