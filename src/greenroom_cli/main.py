"""Entry point of the ``greenroom`` command: looks up the subcommand, imports only its module, and exits with its code.

Only this module prints errors: the message, then ``hint:`` with the next command.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import click

from greenroom_cli import catalogue
from greenroom_cli.errors import CliError

LEAD = "A staging system for Django teams: git push, a gate, zero-downtime releases, manual migrations."


class Greenroom(click.Group):
    """The group of all commands. Each command's module is imported on its first call."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All command names that the help lists."""
        return [*catalogue.HOST, *(name for name, row in catalogue.COMMANDS.items() if row[0] != "-")]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command with that name or alias, or None."""
        name = catalogue.ALIASES.get(cmd_name, cmd_name)
        if name in catalogue.HOST:
            return _host_command(name)
        if name not in catalogue.COMMANDS:
            return None
        from importlib import import_module

        module, _, function = catalogue.COMMANDS[name][1].partition(":")
        return getattr(import_module(f"greenroom_cli.{module}"), function)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Raises CliError with the closest name for an unknown command, as the Heroku CLI does."""
        if not ctx.resilient_parsing and not args[0].startswith("-") and self.get_command(ctx, args[0]) is None:
            raise _unknown(args[0])
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands by topic, without importing their modules."""
        width = max(map(len, self.list_commands(ctx)))
        for topic, about in catalogue.TOPICS.items():
            with formatter.section(about[0].upper() + about[1:]):
                formatter.write_dl([(name.ljust(width), text) for name, text in catalogue.of_topic(topic)])

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Points to the help of a single command."""
        formatter.write("\n")
        formatter.write_text("Run greenroom help COMMAND for the options of a command and an example.")

    def main(self, args: Any = None, prog_name: str | None = None, **extra: Any) -> Any:  # type: ignore[override]
        """Run and exit: 0 success, 1 refused or failed, 2 usage error, else the command's own code (``run``: the exit
        code of the remote command).
        """
        extra["standalone_mode"] = False
        sys.exit(_guard(lambda: super(Greenroom, self).main(args, prog_name or "greenroom", **extra)))


def _host_command(name: str) -> click.Command | None:
    from greenroom_cli.host.commands import HOST_COMMANDS

    return next((command for command in HOST_COMMANDS if command.name == name), None)


def _unknown(name: str) -> CliError:
    from difflib import get_close_matches

    known = [*catalogue.HOST, *catalogue.COMMANDS, *catalogue.ALIASES]
    close = get_close_matches(name, known, n=1)
    hint = f"did you mean: greenroom {catalogue.ALIASES.get(close[0], close[0])}" if close else "greenroom help"
    return CliError(f"{name} is not a greenroom command.", hint=hint, code=2)


def _guard(call: Callable[[], Any]) -> int:
    """Run ``call``, print its errors, and return the exit code."""
    from greenroom_cli import output

    try:
        code = call()
        sys.stdout.flush()
    except CliError as error:
        output.complain(error.message)
        if error.hint:
            output.hint(error.hint)
        return error.code
    except click.ClickException as error:
        output.complain(error.format_message())
        context = getattr(error, "ctx", None)
        if error.exit_code == 2 and context is not None:
            output.hint(f"{context.command_path} --help")
        return error.exit_code
    except (KeyboardInterrupt, click.Abort):
        output.note()
        return 130
    except BrokenPipeError:
        # The reader of stdout has gone. Without the redirect Python reports the broken pipe again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return code if isinstance(code, int) else 0


@click.group(
    cls=Greenroom,
    help=LEAD,
    invoke_without_command=True,
    options_metavar="",
    subcommand_metavar="COMMAND [OPTIONS] [ARGS]",
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option("--version", is_flag=True, help="Show the version.")
@click.pass_context
def cli(context: click.Context, version: bool) -> int:
    """Without a command: print the help."""
    if version:
        from greenroom_cli.shell import version_text

        click.echo(version_text())
    elif context.invoked_subcommand is None:
        click.echo(context.get_help())
    return 0


def main() -> None:
    """The console script of the package."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    cli.main()


if __name__ == "__main__":
    main()
