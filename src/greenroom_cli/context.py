"""The context of a command: installation, app and shared options.

``command`` makes a click command from a function ``(cx, ...) -> exit code or None`` and adds an example to its help.
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
    """The shared options of a call, and the installation, API client and app that they select (resolved lazily)."""

    def __init__(
        self, *, home: str | None = None, app: str | None = None, remote: str | None = None, as_json: bool = False
    ) -> None:
        self.home, self.as_json = home, as_json
        self._app, self._remote = app or "", remote or ""
        self.remote_url = ""
        """The URL that git asks the credential helper for; else the remotes of the repository count."""

    @cached_property
    def target(self) -> Target:
        """The installation."""
        from greenroom_cli.target import find

        return find(self.home, remotes=self._remote_urls)

    def _remote_urls(self) -> list[str]:
        from greenroom_cli import git

        if self.remote_url:
            return [self.remote_url]
        rows = git.remotes()
        first = [row.url for row in rows if row.name == (self._remote or git.REMOTE)]
        return first if first or self._remote else [row.url for row in rows]

    @cached_property
    def api(self) -> Client:
        """The API client of the installation."""
        from greenroom_cli.client import Client

        return Client(self.target)

    @cached_property
    def app(self) -> str:
        """The app: ``-a``, $GREENROOM_APP, or the Greenroom remote of the repository. CliError (code 2) for none."""
        name = self.app_if_known
        if name:
            return name
        raise CliError(
            "No app is specified, and this folder has no git remote of a Greenroom app.",
            hint="add -a APP, set GREENROOM_APP, or run: greenroom git:remote -a APP",
            code=2,
        )

    @cached_property
    def app_if_known(self) -> str:
        """The app, or '' when none is specified."""
        if self._app or (os.environ.get("GREENROOM_APP") and not self._remote):
            return self._app or os.environ["GREENROOM_APP"]
        from greenroom_cli import git

        return git.app_of_checkout(self.target, self._remote)

    def path(self, *parts: str) -> str:
        """``/apps/APP/part/part``, each part quoted."""
        return "/".join(["/apps", quote(self.app, safe=""), *(quote(part, safe="") for part in parts)])

    def flags(self) -> str:
        """`` -a APP`` (and ``--home DIR``) for the commands in hints."""
        return f" -a {self.app}{self.target.home_flag}"


class ApiCommand(click.Command):
    """A command whose help ends with an example and the related commands."""

    example: str = ""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, then the other commands of the topic."""
        from greenroom_cli.catalogue import related

        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}$ {line}\n")
        others = related(self.name or "")
        if others:
            with formatter.section("See also"):
                formatter.write_dl(others)


HOME_OPTION = click.Option(
    ["--home"], metavar="DIR", help="The installation's home folder (default: $GREENROOM_HOME, else ~/.greenroom)."
)
JSON_OPTION = click.Option(["--json", "as_json"], is_flag=True, help="Print the API's JSON.")
REMOTE_OPTION = click.Option(["-r", "--remote"], metavar="REMOTE", help="The git remote of the app.")


def complete_apps(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """App names for shell completion; none when the installation does not answer."""
    try:
        rows = Context(home=context.params.get("home")).api.get("/apps")
    except CliError:
        return []
    return [row["name"] for row in rows if row["name"].startswith(incomplete)]


def command(
    name: str,
    *,
    example: str,
    app: bool = True,
    json: bool = False,
    raw: bool = False,
    hidden: bool = False,
    home: bool = True,
) -> Callable[[Callable[..., int | None]], ApiCommand]:
    """Decorator that makes a command. app: add -a and -r; json: add --json; raw: pass all arguments on, options too;
    home: add --home.
    """

    def make(function: Callable[..., int | None]) -> ApiCommand:
        def callback(**values: Any) -> int:
            common = {key: values.pop(key) for key in names}
            return function(Context(**common), **values) or 0

        shared = [HOME_OPTION] if home else []
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
    """Ask the user to type ``name`` before a destructive action. CliError for another name, or without a terminal.

    again: the option that skips the prompt (default: ``--confirm NAME``), which the command must have.
    """
    import sys

    from greenroom_cli import output

    again = again or f"--confirm {name}"
    if given:
        if given != name:
            raise CliError(f"--confirm {given!r} does not match {name!r}. Nothing was changed.")
        return
    if not sys.stdin.isatty():
        raise CliError(f"{what} Nothing was changed: no terminal to ask for confirmation.", hint=f"add {again}")
    output.pause()
    output.warn(f"{what}\nTo proceed, type {name}, or run the command again with {again}.")
    print("> ", end="", file=sys.stderr, flush=True)
    if sys.stdin.readline().strip() != name:
        raise CliError(f"The name did not match {name!r}. Nothing was changed.")


def or_404(error: ApiError, hint: str) -> ApiError:
    """The error, with ``hint`` added to a 404 that has none."""
    if error.status == 404 and not error.hint:
        error.hint = hint
    return error


WAIT_OPTIONS = (
    click.option("--no-wait", is_flag=True, help="Do not wait until the new release is live."),
    click.option(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help="How long to wait (default: as long as Greenroom gives the release to start).",
    ),
)


def waits(function: Any) -> Any:
    """Add the options --no-wait and --timeout to a command."""
    for option in WAIT_OPTIONS:
        function = option(function)
    return function
