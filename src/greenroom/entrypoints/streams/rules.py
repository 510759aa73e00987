"""Pure rules of the streams: the marker that the Heroku CLI appends to a command, and what a stream's end looks like."""

from __future__ import annotations

import re

MARKER = "\uffff heroku-command-exit-status: "
APPENDED = re.compile(r"""\s*;\s*echo\s+(["'])(\\uFFFF|\uffff)\s+heroku-command-exit-status:\s+\$\?\1\s*\Z""")
EOF = b"\x04"


def split_exit_marker(command: str) -> tuple[str, bool]:
    """The command without the Heroku CLI's ``; echo "\\uFFFF heroku-command-exit-status: $?"``, and whether it was there."""
    match = APPENDED.search(command)
    return (command[: match.start()], True) if match else (command, False)


def marker_line(exit_code: int) -> bytes:
    """The line by which the Heroku CLI learns the exit code; sent in one piece."""
    return f"{MARKER}{exit_code}\n".encode()
