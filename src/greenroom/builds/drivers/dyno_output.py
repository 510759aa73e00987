"""Reads a dyno's raw output from the engine, incrementally from an offset, with a limit per call and a total limit.
Stateless.
"""

from __future__ import annotations

from collections.abc import Callable

from greenroom.engine.contract import Engine
from greenroom.engine.queries import last_output

CHUNK = 256 * 1024
MOST = 10 * 1024 * 1024
"""Maximum bytes to show of one dyno's output. A line reports that the rest is omitted."""
TRUNCATED = " !     The output was truncated after 10 MB."
LONGEST = 16 * 1024
"""Maximum characters to show of one line."""
TAIL = 64 * 1024
Mask = Callable[[str], str]


def new_lines(
    engine: Engine, dyno_id: str, offset: int, over: bool, most: int = MOST, mask: Mask = str
) -> tuple[str, int]:
    """Return the whole lines after ``offset`` (bytes) and the new offset. over: the dyno has ended, so the last line
    counts even without a newline.

    Reads at most CHUNK bytes per call: repeat until the offset does not change. After ``most`` bytes, one line reports
    the omission and nothing follows.
    mask: hides secrets, none of which contains a newline. Text is truncated only after masking: of a line longer than
    CHUNK only the beginning is shown, and the line that reaches ``most`` is omitted.
    """
    if offset > MOST:
        return "", offset
    before = 1 if offset else 0
    piece = engine.output(dyno_id, offset - before, limit=before + CHUNK).data
    inside, data = piece[:before] not in (b"", b"\n"), piece[before:]
    end = len(data) if over and len(data) < CHUNK else data.rfind(b"\n") + 1
    endless = end == 0 and len(data) == CHUNK
    end = CHUNK if endless else end
    shown = data[:end]
    if offset + end > most:
        shown = data[: data.rfind(b"\n", 0, max(0, most - offset)) + 1]
    if inside:  # of a line whose beginning was shown
        shown = shown.partition(b"\n")[2]
    text = _text(shown, mask, endless=endless)
    return (f"{text}\n{TRUNCATED}".lstrip("\n"), MOST + 1) if offset + end > most else (text, offset + end)


def _text(data: bytes, mask: Mask, *, endless: bool = False) -> str:
    """Return masked lines. endless: the data ends within a line, perhaps within a secret, so its end is omitted
    whatever the mask matched.
    """
    text = mask(data.decode("utf-8", "replace")).rstrip("\n")
    if endless and text:
        return f"{text[: min(LONGEST, max(0, len(text) - LONGEST))]} ..."
    return "\n".join(_line(line) for line in text.split("\n")) if text else ""


def _line(line: str) -> str:
    return (line if len(line) <= LONGEST else f"{line[:LONGEST]} ...") or " "


def tail(engine: Engine, dyno_id: str, mask: Mask = str) -> str:
    """The last whole lines of the output, at most TAIL bytes, with a marker line if more exists."""
    data, whole = last_output(engine, dyno_id, TAIL)
    if not whole:
        data = b"...\n" + data.partition(b"\n")[2]
    return _text(data, mask)
