"""Commands for git: add a remote, and the credential helper.

The credential helper answers only for the installation's own URLs.
"""

from __future__ import annotations

import click

from greenroom_cli import git, output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import CliError
from greenroom_cli.stdin import stdin_lines


@command("git:remote", example="greenroom git:remote -a ach-payslip-staging\ngit push greenroom HEAD:master")
@click.argument("name", default=git.REMOTE, required=False)
def remote(cx: Context, name: str) -> int | None:
    """Add a git remote for an app to this repository.

    NAME is the remote's name (default: greenroom). This command becomes its credential helper: no token is written to
    .git/config.
    """
    if not git.in_checkout():
        raise CliError("This folder is not a git repository.", hint="git init")
    url = cx.api.get(cx.path())["name"]
    announce_remote(url, cx, name)
    return None


def announce_remote(app: str, cx: Context, name: str) -> None:
    """Add the remote and report it. An existing remote that points elsewhere stays unchanged."""
    taken = git.add_remote(app, cx.target, name)
    url = git.url_of(app, cx.target)
    if taken:
        output.warn(f"The git remote {name} already points to {taken}. It was not changed.")
        output.hint(f"greenroom git:remote -a {app} OTHERNAME, or: git remote set-url {name} {url}")
        return
    output.note(f"Set git remote {name} to {url}")
    output.hint(f"deploy with: git push {name} HEAD:master   (undo: git remote remove {name})")


@command("git:credentials", example="git credential fill", app=False, hidden=True)
@click.argument("operation")
def credentials(cx: Context, operation: str) -> int | None:
    """Answer git's request for credentials."""
    asked = dict(line.partition("=")[::2] for _, line in stdin_lines() if "=" in line)
    if operation != "get":
        return None
    scheme, (host, _, port) = asked.get("protocol", ""), asked.get("host", "").rpartition(":")
    if not host:
        host, port = port, "443" if scheme == "https" else "80"
    cx.remote_url = f"{scheme}://{asked.get('host', '')}"
    if not port.isdigit() or (scheme, host.strip("[]"), int(port)) not in cx.target.git_origins():
        return None
    output.say(f"username=greenroom\npassword={cx.target.token}")
    return None
