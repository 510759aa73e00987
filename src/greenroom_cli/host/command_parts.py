"""Shared parts of the host commands: options, errors in one line, and the installation of a home."""

from __future__ import annotations

import functools
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from greenroom_cli.host import home as homes
from greenroom_cli.host.errors import HostError

HOME = click.option(
    "--home",
    "home_option",
    metavar="DIR",
    help="The installation's home folder (default: $GREENROOM_HOME, else ~/.greenroom).",
)
JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
COLOURS = {"ok": "green", "warn": "yellow", "fail": "red"}


def clear_errors(command: Callable[..., Any]) -> Callable[..., Any]:
    """Decorator: print a HostError or PermissionError as one line and a hint on stderr, and exit with code 1."""

    @functools.wraps(command)
    def wrapped(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except HostError as error:
            shown = error
        except PermissionError as error:
            shown = _of_another_user(error, homes.home_of(options.get("home_option")))
        click.secho(f" ▸    {shown.message}", fg="red", err=True)
        if shown.hint:
            click.echo(f"hint: {shown.hint}", err=True)
        sys.exit(1)

    return wrapped


def _of_another_user(error: PermissionError, home: Path) -> HostError:
    """The HostError for a PermissionError: the hint is the same command, run as the owner of the home folder."""
    import os
    import pwd

    what = (
        f"No access to {error.filename}"
        if error.filename
        else f"Cannot signal the processes of the installation in {home}"
    )
    text = f"{what}: {error.strerror or error}."
    try:
        owner = home.stat().st_uid
        name = pwd.getpwuid(owner).pw_name
    except (OSError, KeyError):
        return HostError(text, f"run the command as the owner of {home}")
    if owner == os.geteuid():
        return HostError(text, f"greenroom doctor --home {shlex.quote(str(home))}")
    command = f"greenroom {click.get_current_context().info_name} --home {shlex.quote(str(home))}"
    return HostError(
        f"{text} They belong to {name}." if not error.filename else text,
        f"sudo {command}" if owner == 0 else f"sudo -u {name} {command}",
    )


def installed(home_option: str | None) -> tuple[Path, homes.Installation]:
    """The home and its installation. HostError if there is none."""
    home = homes.home_of(home_option)
    install = homes.read(home)
    if install is None:
        raise HostError(
            f"There is no installation in {home}.",
            "create one with greenroom up, or specify another with --home or $GREENROOM_HOME",
        )
    return home, install
