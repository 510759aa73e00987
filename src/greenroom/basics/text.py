"""Sanitizes external text for display: it cannot move the cursor, forge lines or change the text direction.

For text of users, apps, scanners, forges and git. Text for log files goes through ``logfile``, which keeps the escape
sequences of an app's output.
"""

from __future__ import annotations

import re

_UNSAFE = re.compile(
    r"(?P<colour>\x1b\[[0-9;]*m)"
    r"|(?:\x1b[\]PX^_]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)"
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"
    r"|\x1b[ -/]*[0-~]?"
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
"""Escape sequences as a whole (of a string without its end, such as a title, the introducer alone), control characters
but for tabs and line feeds, marks and overrides of the direction, line separators, and lone surrogates."""
_BREAK = re.compile("\r\n|[\t\n\x0b\x0c\r\x1c-\x1e\x85\u2028\u2029]")


def printable(
    text: str, limit: int | None = None, *, one_line: bool = False, colours: bool = False, instead: str = ""
) -> str:
    """The text without escape sequences, control characters and direction marks. Tabs and line feeds are kept.

    limit: maximum length in characters. one_line: replace line ends and tabs by spaces. colours: keep SGR sequences.
    instead: replaces each removed sequence or character.
    """
    if one_line:
        text = _BREAK.sub(" ", text)
    return _UNSAFE.sub(lambda match: (colours and match["colour"]) or instead, text)[:limit]
