"""Commands for the buildpacks of an app."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

NEXT = "The next push is built with them."


def _names(cx: Context) -> list[str]:
    return [row["buildpack"]["name"] for row in cx.api.get(cx.path("buildpack-installations"))]


def _set(cx: Context, names: list[str]) -> None:
    updates = {"updates": [{"buildpack": name} for name in names]}
    rows = cx.api.send("PUT", cx.path("buildpack-installations"), updates).data
    found = ", ".join(row["buildpack"]["name"] for row in rows)
    output.say(f"Buildpacks of {cx.app}: {found or 'none, they are detected'}. {NEXT}")


@command("buildpacks", example="greenroom buildpacks -a ach-payslip-staging", json=True)
def buildpacks(cx: Context) -> int | None:
    """List the buildpacks of an app, in the order in which they run."""
    rows = cx.api.get(cx.path("buildpack-installations"))
    if cx.as_json:
        output.print_json(rows)
        return None
    output.heading(f"{cx.app} Buildpacks")
    output.table([[str(row["ordinal"] + 1), row["buildpack"]["name"]] for row in rows], header=("", "Name"))
    return None


@command("buildpacks:add", example="greenroom buildpacks:add --index 1 heroku/nodejs -a ach-payslip-staging")
@click.argument("name", metavar="BUILDPACK")
@click.option("-i", "--index", type=click.IntRange(1, 20), help="Position in the list (default: at its end).")
def add(cx: Context, name: str, index: int | None) -> int | None:
    """Add a buildpack: heroku/nodejs builds package.json, heroku/python the rest."""
    names = _names(cx)
    if name in names:
        raise CliError(f"{cx.app} has {name} already.", hint=f"greenroom buildpacks{cx.flags()}")
    names.insert(len(names) if index is None else index - 1, name)
    _set(cx, names)
    output.hint(f"undo with: greenroom buildpacks:remove {name}{cx.flags()}")
    return None


@command("buildpacks:remove", example="greenroom buildpacks:remove heroku/nodejs -a ach-payslip-staging")
@click.argument("name", metavar="BUILDPACK")
def remove(cx: Context, name: str) -> int | None:
    """Remove a buildpack."""
    names = _names(cx)
    if name not in names:
        raise CliError(f"{cx.app} does not have {name}.", hint=f"greenroom buildpacks{cx.flags()}")
    _set(cx, [one for one in names if one != name])
    output.hint(f"undo with: greenroom buildpacks:add --index {names.index(name) + 1} {name}{cx.flags()}")
    return None


@command("buildpacks:clear", example="greenroom buildpacks:clear -a ach-payslip-staging")
def clear(cx: Context) -> int | None:
    """Clear the list of buildpacks: each build takes that of app.json, else heroku/python."""
    _set(cx, [])
    return None
