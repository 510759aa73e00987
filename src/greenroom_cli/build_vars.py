"""The verbs of the list of config vars that an app's installers see."""

from __future__ import annotations

import click

from greenroom_cli import output
from greenroom_cli.context import Context, command


@command("builds:vars", example="greenroom builds:vars -a ach-payslip-staging", json=True)
def list_vars(cx: Context) -> int | None:
    """List the config vars that installers (pip, pipenv, poetry, uv) see during a build.

    Hooks and collectstatic see all config vars; what installs packages runs code of theirs, and sees these alone.
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
    """Let installers see config vars from the next build on, as ${NAME} in a requirements file or in the code of a
    package that is built.

    Their values are masked in all that a build prints. Any package that is built from its sources can read them.
    """
    cx.api.patch(cx.path("build-vars"), {"add": list(names)})
    output.say(f"Installers of {cx.app} see {', '.join(names)} from the next build on.")
    output.hint(f"undo with: greenroom builds:vars:remove {' '.join(names)}{cx.flags()}")
    return None


@command("builds:vars:remove", example="greenroom builds:vars:remove GITHUB_TOKEN -a ach-payslip-staging")
@click.argument("names", nargs=-1, required=True, metavar="NAME...")
def remove_vars(cx: Context, names: tuple[str, ...]) -> int | None:
    """Take config vars off the list; their values stay set."""
    cx.api.patch(cx.path("build-vars"), {"remove": list(names)})
    output.say(f"Installers of {cx.app} no longer see {', '.join(names)}.")
    output.hint(f"undo with: greenroom builds:vars:add {' '.join(names)}{cx.flags()}")
    return None
