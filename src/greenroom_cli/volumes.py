"""Commands for volumes: create, show, resize, destroy, copy up and down. Those for snapshots are in
``volume_snapshots``.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Any

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command, confirm
from greenroom_cli.errors import CliError

QUOTAS = {"measured": "measured: a full volume becomes read-only for the app"}


@command("volumes", example="greenroom volumes -a ach-payslip-staging", json=True)
def volumes(cx: Context) -> int | None:
    """List the volumes of the app, with their use."""
    rows = cx.api.everything(cx.path("volumes"))
    if cx.as_json:
        output.print_json(rows)
        return None
    if not rows:
        output.note(f"{cx.app} has no volumes.")
        output.hint(f"greenroom volumes:create media --at /app/media{cx.flags()}")
        return None
    output.heading(f"{cx.app} Volumes")
    lines = [[row["name"], row["path"], used(row), level(row), ", ".join(row.get("config_vars") or ())] for row in rows]
    output.table(lines, header=("Name", "Path", "Used", "State", "Config var"))
    return None


def used(row: dict[str, Any]) -> str:
    """``1.2 MB of 5.0 GB``."""
    size = output.size_text(row["size_bytes"])
    return f"{output.size_text(row['used_bytes'])} of {size}" if row.get("measured_at") else f"not measured, of {size}"


def level(row: dict[str, Any]) -> str:
    """The state, or the level if it is near the limit or full."""
    return {"near": "near its limit", "full": "full, read-only"}.get(row.get("level") or "", row["state"])


@command(
    "volumes:create",
    example="greenroom volumes:create media --at /app/media --size 5G -a ach-payslip-staging",
    json=True,
)
@click.argument("name")
@click.option("--at", "path", default="", metavar="PATH", help="The folder in dynos (default: /app/media).")
@click.option("--size", default="", metavar="SIZE", help="The limit, for example 500M or 5G (default: 1G).")
def create(cx: Context, name: str, path: str, size: str) -> int | None:
    """Create a volume: a folder whose files outlive deployments and restarts.

    All dynos of the app see it at PATH. The app gets a release with the path in a config var, and its dynos restart.
    """
    body = {"name": name, **({"at": path} if path else {}), **({"size": size} if size else {})}
    row = cx.api.post(cx.path("volumes"), body)
    if cx.as_json:
        output.print_json(row)
        return None
    names = ", ".join(row.get("config_vars") or ())
    output.note(f"Created {row['name']} at {row['path']} with {output.size_text(row['size_bytes'])} as {names}.")
    output.hint(f"greenroom volumes:info {row['name']}{cx.flags()}")
    output.hint(f"undo with: greenroom volumes:destroy {row['name']}{cx.flags()}")
    return None


@command("volumes:info", example="greenroom volumes:info media -a ach-payslip-staging", json=True)
@click.argument("volume")
def info(cx: Context, volume: str) -> int | None:
    """Show details of a volume: its path, use, limit and quota."""
    row = cx.api.get(cx.path("volumes", volume))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Volume {row['name']}")
    output.fields(
        [
            ("Path", row["path"]),
            ("Config var", ", ".join(row.get("config_vars") or ())),
            ("Status", level(row).capitalize()),
            ("Used", used(row)),
            ("Files", row["files"] if row.get("measured_at") else ""),
            ("Measured", output.when(row["measured_at"]) if row.get("measured_at") else ""),
            ("Quota", QUOTAS.get(row["quota"], row["quota"])),
            ("Add-on", row["addon"]),
            ("Created", output.when(row.get("created_at"))),
        ]
    )
    return None


@command("volumes:resize", example="greenroom volumes:resize media --size 10G -a ach-payslip-staging", json=True)
@click.argument("volume")
@click.option("--size", required=True, metavar="SIZE", help="The new limit, for example 500M or 10G.")
def resize(cx: Context, volume: str, size: str) -> int | None:
    """Change the limit of a volume. Its files stay."""
    row = cx.api.patch(cx.path("volumes", volume), {"size": size}).data
    if cx.as_json:
        output.print_json(row)
        return None
    output.note(f"{row['name']} has {output.size_text(row['size_bytes'])} now.")
    if row.get("level") == "full":
        output.note("The app can write again within a minute, when its dynos have restarted.")
    return None


@command(
    "volumes:destroy",
    example="greenroom volumes:destroy media -a ach-payslip-staging --confirm ach-payslip-staging",
    json=True,
)
@click.argument("volume")
@click.option(
    "-c", "--confirm", "given", default="", metavar="NAME", help="The app's name, to confirm without a prompt."
)
def destroy(cx: Context, volume: str, given: str) -> int | None:
    """Permanently destroy a volume with its files and snapshots. The command asks for the app's name to confirm."""
    row = cx.api.get(cx.path("volumes", volume))
    what = f"WARNING: This permanently destroys the volume {row['name']} of {cx.app} ({used(row)}) and its snapshots."
    confirm(cx, given, name=cx.app, what=what)
    gone = cx.api.delete(cx.path("volumes", row["id"]))
    if cx.as_json:
        output.print_json(gone)
        return None
    output.note(f"{row['name']} is destroyed.")
    return None


@command("volumes:pull", example="greenroom volumes:pull media -a ach-payslip-staging > media.tar")
@click.argument("volume")
@click.option("-o", "--output", "target", default="", metavar="FILE", help="The file to write, instead of stdout.")
@click.option("--only", multiple=True, metavar="PATH", help="Copy this file or folder only; can be repeated.")
@click.option("--exclude", multiple=True, metavar="PATTERN", help="Leave out files that match; can be repeated.")
def pull(cx: Context, volume: str, target: str, only: tuple[str, ...], exclude: tuple[str, ...]) -> int | None:
    """Copy the files of a volume to this machine, as a tar archive on stdout.

    A one-off dyno of the app reads them. With -o FILE, an incomplete archive is not kept. Patterns are those of tar:
    'private', '*.pdf', 'invoices/2019*'.
    """
    if not target and sys.stdout.isatty():
        raise CliError("A tar archive cannot be shown in a terminal.", hint=f"greenroom volumes:pull {volume} -o FILE")
    row = cx.api.get(cx.path("volumes", volume))
    words = f"exec {archived(row['path'], only, exclude)} 2>/dev/null"
    if not target:
        return _through(cx, words)
    half = Path(f"{target}.part")
    try:
        with half.open("wb") as file:
            code = _with_stdout(cx, words, file.fileno())
        if code == 0:
            half.replace(target)
    finally:
        half.unlink(missing_ok=True)
    if code:
        raise CliError(f"tar ended with {code}, and {target} was not written.", hint="try again; files were changing")
    output.note(f"{target} has the files of {row['name']} ({output.size_text(os.path.getsize(target))}).")
    return None


def archived(path: str, only: tuple[str, ...], exclude: tuple[str, ...]) -> str:
    """The command line that writes the archive, each word quoted."""
    words = ["tar", "-C", path, *(f"--exclude={pattern}" for pattern in exclude), "-cf", "-", "--"]
    return shlex.join([*words, *(f"./{name.lstrip('/')}" for name in only or ("",))])


def _with_stdout(cx: Context, words: str, fd: int) -> int:
    """Run the command with the descriptor as standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(fd, 1)
    try:
        return _through(cx, words)
    finally:
        sys.stdout.flush()
        os.dup2(kept, 1)
        os.close(kept)


def _through(cx: Context, words: str) -> int:
    from greenroom_cli.run import attach_and_wait

    return attach_and_wait(cx, words, no_tty=True)


@command("volumes:push", example="tar -C media -cf - . | greenroom volumes:push media -a ach-payslip-staging")
@click.argument("volume")
def push(cx: Context, volume: str) -> int | None:
    """Copy files into a volume, from a tar archive on stdin. Files of the same name are replaced.

    A one-off dyno of the app writes them; nothing can be written outside of the volume that the app could not write.
    """
    if sys.stdin.isatty():
        raise CliError(
            "There is no archive on stdin.",
            hint=f"tar -C media -cf - . | greenroom volumes:push {volume}{cx.flags()}",
        )
    row = cx.api.get(cx.path("volumes", volume))
    code = _through(cx, f"exec tar -C {shlex.quote(row['path'])} -xf - --no-same-owner --no-same-permissions")
    if code:
        raise CliError(f"tar ended with {code}: the archive may be copied in part.", hint="its messages are above")
    output.note(f"The files are in {row['name']}.")
    return None
