"""Text from stdin, decoded line by line: a file in another encoding is an error that names its line, and shows nothing
of it.
"""

from __future__ import annotations

import sys

from greenroom_cli.errors import CliError


def stdin_lines() -> list[tuple[int, str]]:
    """(number from 1, text without its end) of each line of stdin. CliError (code 2) for a line that is no text in the
    terminal's encoding.
    """
    stream = sys.stdin
    lines = []
    for number, raw in enumerate(stream.buffer.read().split(b"\n"), 1):
        try:
            lines.append((number, raw.decode(stream.encoding, stream.errors or "strict").rstrip("\r")))
        except UnicodeDecodeError as error:
            name = stream.encoding.upper()
            raise CliError(
                f"Line {number} of stdin is no {name} text, from its byte {error.start + 1} on. Nothing was changed.",
                hint=f"convert the file, for example: iconv -f latin1 -t {name} FILE",
                code=2,
            ) from error
    return lines
