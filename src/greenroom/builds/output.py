"""Passes a dyno's raw output on, from where the last call ended. Reads a file; keeps nothing."""

from __future__ import annotations

from pathlib import Path

from greenroom.engine.contract import output_file

CHUNK = 256 * 1024


def new_lines(home: Path, dyno_id: str, offset: int, over: bool) -> tuple[str, int]:
    """The whole lines after ``offset`` (bytes) and the new offset; ``over``: a last line without an end counts too."""
    try:
        with (home / output_file(dyno_id)).open("rb") as file:
            file.seek(offset)
            data = file.read(-1 if over else CHUNK)
    except FileNotFoundError:
        return "", offset
    end = len(data) if over else data.rfind(b"\n") + 1
    if end == 0 and len(data) == CHUNK:
        end = CHUNK
    text = data[:end].decode("utf-8", "replace").rstrip("\n")
    return ("\n".join(line or " " for line in text.split("\n")) if text else ""), offset + end
