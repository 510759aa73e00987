"""Commands about this program: help, version, completion."""

from __future__ import annotations

import sys
from typing import cast

import click

from greenroom_cli import catalogue, output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError

COLONS = """
# Command names contain colons, at which bash splits words by default.
COMP_WORDBREAKS=${COMP_WORDBREAKS//:}
"""


@command("help", example="greenroom help config:set\ngreenroom help ps", app=False)
@click.argument("name", required=False, default="")
def help_command(cx: Context, name: str) -> int | None:
    """Show help for a command or a topic."""
    root = click.get_current_context().find_root()
    cli = cast(click.Group, root.command)
    if not name:
        output.say(cli.get_help(root))
        return None
    command = cli.get_command(root, name)
    if command is not None:
        output.say(command.get_help(click.Context(command, info_name=catalogue.ALIASES.get(name, name), parent=root)))
        return None
    if name in catalogue.TOPICS:
        output.heading(f"{name}: {catalogue.TOPICS[name]}")
        output.table(catalogue.of_topic(name))
        return None
    raise CliError(f"{name} is neither a command nor a topic.", hint=f"topics: {', '.join(catalogue.TOPICS)}", code=2)


def version_text() -> str:
    """``greenroom/0.1.0 linux-x86_64 python-3.11.7``."""
    import platform

    from greenroom import __version__

    return f"greenroom/{__version__} {sys.platform}-{platform.machine()} python-{platform.python_version()}"


@command("version", example="greenroom version --server", app=False, json=True)
@click.option("--server", is_flag=True, help="Also show the version of the installation.")
def version(cx: Context, server: bool) -> int | None:
    """Show the version of this program; with --server, also of the installation."""
    from greenroom import __version__

    answer = cx.api.get("/health") if server else None
    if cx.as_json:
        output.print_json({"version": __version__, **({"server": answer} if answer else {})})
        return None
    output.say(version_text())
    if answer:
        output.say(f"server {answer.get('version', 'unknown')} at {cx.target.url}: {answer.get('status', 'unknown')}")
    return None


@command("completion", example='eval "$(greenroom completion bash)"', app=False)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(cx: Context, shell: str) -> int | None:
    """Print a shell completion script for commands, options and app names."""
    from click.shell_completion import get_completion_class

    cli = click.get_current_context().find_root().command
    maker = get_completion_class(shell)
    assert maker is not None
    source = maker(cli, {}, "greenroom", "_GREENROOM_COMPLETE").source()
    output.say(source + (COLONS if shell == "bash" else ""))
    return None
