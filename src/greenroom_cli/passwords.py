"""The command to set a password, for `heroku login`. It is read from the terminal or stdin, never from an argument."""

from __future__ import annotations

from greenroom_cli import output
from greenroom_cli.context import Context, command
from greenroom_cli.stdin import stdin_lines


@command("accounts:password", example="greenroom accounts:password", app=False)
def password(cx: Context) -> int | None:
    """Set your password.

    `heroku login` asks for it. The password is read from the terminal, or from stdin: the new password on the first
    line, the current password, if any, on the second.
    """
    import getpass
    import sys

    if sys.stdin.isatty():
        old = getpass.getpass("Current password (empty if none is set): ")
        new = getpass.getpass("New password: ")
    else:
        lines = [*(line for _, line in stdin_lines()), "", ""]
        new, old = lines[0], lines[1]
    with output.progress("Setting the password"):
        cx.api.send("PUT", "/account/password", {"password": old, "new_password": new})
    return None
