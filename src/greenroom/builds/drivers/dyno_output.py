"""Passes a dyno's raw output on, from where the last call ended, a bounded part at a time and a bounded part in all.
Asks the engine; keeps nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from greenroom.engine.contract import Engine
from greenroom.engine.queries import last_output

CHUNK = 256 * 1024
MOST = 10 * 1024 * 1024
"""Bytes of one dyno's output that are passed on; what follows is left out, and one line says so."""
TRUNCATED = " !     The output was truncated after 10 MB."
LONGEST = 16 * 1024
"""Characters of one line that are shown."""
TAIL = 64 * 1024
Mask = Callable[[str], str]


def new_lines(
    engine: Engine, dyno_id: str, offset: int, over: bool, most: int = MOST, mask: Mask = str
) -> tuple[str, int]:
    """The whole lines after ``offset`` (bytes) and the new offset; ``over``: the dyno has ended, so a last line without
    an end counts too.

    At most CHUNK bytes a call: ask again until the offset stays. After ``most`` bytes one line tells so, and nothing
    follows.
    mask: hides secrets, none of which has a line end. Only masked text is cut: of a line longer than CHUNK the
    beginning is shown, and the
    line in which ``most`` is reached is left out.
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
    """Masked lines. endless: the data ends within a line, perhaps within a secret, so that its end is not shown
    whatever the masks left of it.
    """
    text = mask(data.decode("utf-8", "replace")).rstrip("\n")
    if endless and text:
        return f"{text[: min(LONGEST, max(0, len(text) - LONGEST))]} ..."
    return "\n".join(_line(line) for line in text.split("\n")) if text else ""


def _line(line: str) -> str:
    return (line if len(line) <= LONGEST else f"{line[:LONGEST]} ...") or " "


def tail(engine: Engine, dyno_id: str, mask: Mask = str) -> str:
    """The last whole lines of the output, of TAIL bytes at most, below a mark when there is more."""
    data, whole = last_output(engine, dyno_id, TAIL)
    if not whole:
        data = b"...\n" + data.partition(b"\n")[2]
    return _text(data, mask)
