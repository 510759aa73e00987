"""What every verb gets: the installation, the app, and the options that all verbs share.

``verb`` makes a click command of a function ``(cx, ...) -> exit code or None`` and gives its help an example.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import click

from greenroom_cli.errors import ApiError, CliError

if TYPE_CHECKING:
    from greenroom_cli.client import Client
    from greenroom_cli.target import Target


class Context:
    """One call: its shared options, and what follows from them, found when first asked for."""

    def __init__(
        self, *, home: str | None = None, app: str | None = None, remote: str | None = None, as_json: bool = False
    ) -> None:
        self.home, self.as_json = home, as_json
        self._app, self._remote = app or "", remote or ""

    @cached_property
    def target(self) -> Target:
        """The installation."""
        from greenroom_cli.target import find

        return find(self.home)

    @cached_property
    def api(self) -> Client:
        """Its API."""
        from greenroom_cli.client import Client

        return Client(self.target)

    @cached_property
    def app(self) -> str:
        """The app: ``-a``, $GREENROOM_APP, or the checkout's Greenroom remote. CliError (code 2) when none names
        one.
        """
        name = self.app_if_known
        if name:
            return name
        raise CliError(
            "No app is named, and this folder has no git remote that leads to Greenroom.",
            hint="add -a APP, set GREENROOM_APP, or run: greenroom git:remote -a APP",
            code=2,
        )

    @cached_property
    def app_if_known(self) -> str:
        """The same, or '' when nothing names one."""
        if self._app or (os.environ.get("GREENROOM_APP") and not self._remote):
            return self._app or os.environ["GREENROOM_APP"]
        from greenroom_cli import git

        return git.app_of_checkout(self.target, self._remote)

    def path(self, *parts: str) -> str:
        """``/apps/APP/part/part``, each part quoted."""
        return "/".join(["/apps", quote(self.app, safe=""), *(quote(part, safe="") for part in parts)])

    def flags(self) -> str:
        """`` -a APP`` (and ``--home DIR``) for a hint's command."""
        return f" -a {self.app}{self.target.home_flag}"


class ApiCommand(click.Command):
    """A command with an example, and with its topic's other commands at the end of its help."""

    example: str = ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, then what else the topic has."""
        from greenroom_cli.catalogue import related

        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}$ {line}\n")
        others = related(self.name or "")
        if others:
            with formatter.section("See also"):
                formatter.write_dl(others)


HOME_OPTION = click.Option(
    ["--home"], metavar="DIR", help="The installation's folder (default: $GREENROOM_HOME, else ~/.greenroom)."
)
JSON_OPTION = click.Option(["--json", "as_json"], is_flag=True, help="Print the API's JSON.")
REMOTE_OPTION = click.Option(["-r", "--remote"], metavar="REMOTE", help="The git remote that names the app.")


def complete_apps(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Names of apps for the shell's completion; none when the installation does not answer."""
    try:
        rows = Context(home=context.params.get("home")).api.get("/apps")
    except CliError:
        return []
    return [row["name"] for row in rows if row["name"].startswith(incomplete)]


def command(
    name: str, *, example: str, app: bool = True, json: bool = False, raw: bool = False, hidden: bool = False
) -> Callable[[Callable[..., int | None]], ApiCommand]:
    """Make a command. app: takes -a and -r; json: a read, takes --json; raw: all from the first argument on is somebody
    else's.
    """

    def make(function: Callable[..., int | None]) -> ApiCommand:
        def callback(**values: Any) -> int:
            common = {key: values.pop(key) for key in names}
            return function(Context(**common), **values) or 0

        shared = [HOME_OPTION]
        if app:
            option = click.Option(["-a", "--app"], metavar="APP", help="The app.", shell_complete=complete_apps)
            shared = [option, REMOTE_OPTION, HOME_OPTION]
        if json:
            shared.append(JSON_OPTION)
        names = [option.name or "" for option in shared]
        own = list(reversed(getattr(function, "__click_params__", [])))
        settings = {"ignore_unknown_options": True, "allow_interspersed_args": False} if raw else {}
        made = ApiCommand(
            name,
            callback=callback,
            params=[*own, *shared],
            help=function.__doc__,
            hidden=hidden,
            context_settings={"help_option_names": ["-h", "--help"], **settings},
        )
        made.example = example
        return made

    return make


def confirm(cx: Context, given: str, *, name: str, what: str, again: str = "") -> None:
    """Have the person type ``name`` before something is lost. CliError when it was another name, or nobody can be
    asked.

    again: what to add to the command so that it does not ask; without it ``--confirm NAME``. The command must have that
    option.
    """
    import sys

    from greenroom_cli import output

    again = again or f"--confirm {name}"
    if given:
        if given != name:
            raise CliError(f"--confirm says {given!r}, but this is about {name!r}. Nothing was changed.")
        return
    if not sys.stdin.isatty():
        raise CliError(f"{what} Nothing was changed: there is no terminal to ask at.", hint=f"add {again}")
    output.pause()
    output.warn(f"{what}\nTo proceed, type {name}, or run the command again with {again}.")
    print("> ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise CliError(f"The name did not match {name!r}. Nothing was changed.")


def or_404(error: ApiError, hint: str) -> ApiError:
    """The error with ``hint`` when it is a 404 that came without one."""
    if error.status == 404 and not error.hint:
        error.hint = hint
    return error
