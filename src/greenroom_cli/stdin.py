"""Reads text from stdin line by line. A wrong encoding is an error with the line number, but not the line's text."""

from __future__ import annotations

import sys

from greenroom_cli.errors import CliError


def stdin_lines() -> list[tuple[int, str]]:
    """(number from 1, text without line end) of each line of stdin. CliError (code 2) for a line that cannot be decoded
    in the terminal's encoding.
    """
    stream = sys.stdin
    lines = []
    for number, raw in enumerate(stream.buffer.read().split(b"\n"), 1):
        try:
            lines.append((number, raw.decode(stream.encoding, stream.errors or "strict").rstrip("\r")))
        except UnicodeDecodeError as error:
            name = stream.encoding.upper()
            raise CliError(
                f"Line {number} of stdin is not valid {name} at byte {error.start + 1}. Nothing was changed.",
                hint=f"convert the file, for example: iconv -f latin1 -t {name} FILE",
                code=2,
            ) from error
    return lines
