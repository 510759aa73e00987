"""Commands for the config vars that package installers can read."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("builds:vars", example="greenroom builds:vars -a ach-payslip-staging", json=True)
def list_vars(cx: Context) -> int | None:
    """List the config vars that package installers (pip, pipenv, poetry, uv) can read during a build.

    Hooks and collectstatic can read all config vars. Package installers run third-party code and can read only these.
    """
    row = cx.api.get(cx.path("build-vars"))
    if cx.as_json:
        output.print_json(row)
        return None
    output.heading(f"{cx.app} Config Vars of Installers")
    output.table(
        [[name, "listed"] for name in row["names"]] + [[name, "always"] for name in row["always"]],
        header=("Name", "Why"),
    )
    if not row["names"]:
        output.hint(f"greenroom builds:vars:add NAME{cx.flags()}")
    return None


@command("builds:vars:add", example="greenroom builds:vars:add GITHUB_TOKEN -a ach-payslip-staging")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def add_vars(cx: Context, names: tuple[str, ...]) -> int | None:
    """Make config vars readable for package installers, from the next build on.

    Use them as ${NAME} in a requirements file, for example. Their values are masked in the build output. Any package
    that is built from source can read them.
    """
    cx.api.patch(cx.path("build-vars"), {"add": list(names)})
    output.say(f"Package installers of {cx.app} can read {', '.join(names)} from the next build on.")
    output.hint(f"undo with: greenroom builds:vars:remove {' '.join(names)}{cx.flags()}")
    return None


@command("builds:vars:remove", example="greenroom builds:vars:remove GITHUB_TOKEN -a ach-payslip-staging")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove_vars(cx: Context, names: tuple[str, ...]) -> int | None:
    """Hide config vars from package installers. The config vars stay set."""
    cx.api.patch(cx.path("build-vars"), {"remove": list(names)})
    output.say(f"Package installers of {cx.app} can no longer read {', '.join(names)}.")
    output.hint(f"undo with: greenroom builds:vars:add {' '.join(names)}{cx.flags()}")
    return None
