"""The verb of a password, which `heroku login` and its page ask for. It is typed or read from stdin, never an
argument.
"""

from __future__ import annotations

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.stdin import stdin_lines


@command("accounts:password", example="greenroom accounts:password", app=False)
def password(cx: Context) -> int | None:
    """Set your password.

    `heroku login` and its page ask for it. It is asked for at the terminal, or read from stdin: the new one, then the
    present one if there is one, a line each.
    """
    import getpass
    import sys

    if sys.stdin.isatty():
        old = getpass.getpass("Present password (empty if there is none yet): ")
        new = getpass.getpass("New password: ")
    else:
        lines = [*(line for _, line in stdin_lines()), "", ""]
        new, old = lines[0], lines[1]
    with output.progress("Setting the password"):
        cx.api.send("PUT", "/account/password", {"password": old, "new_password": new})
    return None
