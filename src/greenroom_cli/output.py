"""Output format: data on stdout, everything else on stderr, in Heroku's layouts; colours and spinners on terminals
only.

Text from other users (log lines, descriptions, findings) passes ``clean`` first, so that it cannot control the
terminal.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, TextIO

from greenroom.basics.text import printable

if TYPE_CHECKING:
    import threading
    from collections.abc import Iterable, Sequence

COLOURS = {
    "bold": "1",
    "dim": "2",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "blue": "34",
    "magenta": "35",
    "cyan": "36",
}
SGR = re.compile(r"\x1b\[[0-9;]*m")
SPINNER = "⣾⣽⣻⢿⡿⣟⣯⣷"


def colours(stream: TextIO) -> bool:
    """Whether ``stream`` supports colours: a terminal, and neither NO_COLOR nor TERM=dumb."""
    return not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb" and stream.isatty()


def style(text: str, *names: str, stream: TextIO | None = None) -> str:
    """``text`` in these COLOURS; unchanged if ``stream`` (default: stdout) does not support them."""
    if not text or not colours(stream or sys.stdout):
        return text
    return f"\x1b[{';'.join(COLOURS[name] for name in names)}m{text}\x1b[0m"


def clean(text: Any, *, keep_colours: bool = False) -> str:
    """Untrusted text without terminal control sequences, direction overrides and lone surrogates. Keeps line ends and
    tabs, and colours if requested.
    """
    return printable(str(text), colours=keep_colours)


def say(text: str = "") -> None:
    """Print a line of data on stdout."""
    print(text)


def note(text: str = "") -> None:
    """Print a message for the user on stderr, above the line of a running step."""
    print(f"{_step.aside() if _step else ''}{text}", file=sys.stderr)


def hint(text: str) -> None:
    """Print a hint with the next command on stderr."""
    note(f"{style('hint:', 'cyan', stream=sys.stderr)} {text}")


def complain(message: str) -> None:
    """Print an error in Heroku's format on stderr."""
    mark = style("▸", "red", stream=sys.stderr)
    for line in clean(message).splitlines() or [""]:
        note(f" {mark}    {line}")


def warn(message: str) -> None:
    """Print a warning in Heroku's format on stderr."""
    mark = style("▸", "yellow", stream=sys.stderr)
    for line in clean(message).splitlines():
        note(f" {mark}    {line}")


def print_json(data: Any) -> None:
    """Print the API's JSON on stdout."""
    import json

    say(json.dumps(data, indent=2, ensure_ascii=False))


def heading(text: str) -> None:
    """Print ``=== text`` and an empty line."""
    say(style(f"=== {text}", "bold"))
    say()


def app_mark(name: str, stream: TextIO | None = None) -> str:
    """``⬢ name``."""
    return style(f"⬢ {name}", "magenta", stream=stream)


def width_of(text: str) -> int:
    """Width of ``text`` in columns, without colour codes."""
    return len(SGR.sub("", text))


def shorten(text: str, room: int) -> str:
    """``text`` truncated to ``room`` columns; text with colours is not truncated."""
    if len(text) <= room or SGR.search(text):
        return text
    return text[: max(1, room - 1)] + "…"


def table(rows: Iterable[Sequence[str]], *, header: Sequence[str] = (), flexible: int = -1) -> None:
    """Print aligned columns, separated by two spaces. On a terminal the column ``flexible`` is truncated so that lines
    fit.
    """
    lines = [list(row) for row in rows]
    if header:
        lines.insert(0, [style(name, "bold") for name in header])
    if not lines:
        return
    widths = [max(width_of(line[column]) for line in lines) for column in range(len(lines[0]))]
    if flexible >= 0 and sys.stdout.isatty():
        room = shutil.get_terminal_size().columns - sum(widths) - 2 * (len(widths) - 1) + widths[flexible]
        for line in lines:
            line[flexible] = shorten(line[flexible], max(12, room))
        widths[flexible] = max(width_of(line[flexible]) for line in lines)
    for line in lines:
        padded = (cell + " " * (width - width_of(cell)) for cell, width in zip(line, widths, strict=True))
        say("  ".join(padded).rstrip())


def fields(pairs: Iterable[tuple[str, Any]]) -> None:
    """``Name:   value`` lines with the values aligned; empty values are left out."""
    shown = [(name, clean(value, keep_colours=True)) for name, value in pairs if value not in (None, "")]
    width = max((len(name) for name, _ in shown), default=0) + 1
    for name, value in shown:
        say(f"{style(name + ':', 'cyan')}{' ' * (width - len(name))}{value}".rstrip())


def seconds_of(moment: str | None) -> float | None:
    """Seconds since the epoch of an ISO time of the API; None without one."""
    if not moment:
        return None
    from datetime import datetime

    try:
        return datetime.fromisoformat(moment).timestamp()
    except ValueError:
        return None


def when(moment: str | None) -> str:
    """``2026/11/23 09:11:00 +0000 (~ 3m ago)`` in local time; empty without a time."""
    seconds = seconds_of(moment)
    if seconds is None:
        return ""
    text = time.strftime("%Y/%m/%d %H:%M:%S %z", time.localtime(seconds))
    age = ago(time.time() - seconds)
    return f"{text} ({age})" if age else text


def ago(seconds: float) -> str:
    """``~ 3m ago`` up to 25 hours, then empty; empty for future times."""
    if seconds < -60:
        return ""
    elapsed = max(0, int(seconds))
    if elapsed < 60:
        return f"~ {elapsed}s ago"
    if elapsed < 3600:
        return f"~ {elapsed // 60}m ago"
    return f"~ {elapsed // 3600}h ago" if elapsed < 25 * 3600 else ""


def lasted(start: str | None, end: str | None) -> str:
    """``12s`` or ``3m05s`` between two times; empty if one is missing."""
    first, last = seconds_of(start), seconds_of(end)
    if first is None or last is None:
        return ""
    span = max(0, int(last - first))
    return f"{span}s" if span < 60 else f"{span // 60}m{span % 60:02d}s"


def size_text(size: float | None) -> str:
    """``8.2 MB``."""
    if size is None:
        return ""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


class progress:  # noqa: N801 (reads as a verb: with progress("...") as step)
    """``text... done`` on stderr: with a spinner on a terminal, else as one plain line. ``end`` is the last word."""

    def __init__(self, text: str) -> None:
        self.text, self.end = text, "done"
        self._state = ""
        self._thread: threading.Thread | None = None
        self._over: threading.Event | None = None
        self._alone = True

    def __enter__(self) -> progress:
        global _step
        _step = self
        if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
            import threading

            self._over = threading.Event()
            self._thread = threading.Thread(target=self._spin, daemon=True)
            self._thread.start()
        else:
            print(f"{self.text}... ", end="", file=sys.stderr, flush=True)
        return self

    def state(self, text: str) -> None:
        """Set the current state; it is shown on terminals only."""
        self._state = text

    def aside(self) -> str:
        """The text to print before another line, so that it starts on a new line."""
        if self._thread:
            return "\r\x1b[K"
        first, self._alone = self._alone, False
        return "\n" if first else ""

    def pause(self) -> None:
        """Stop the spinner, because the user is asked for input."""
        if self._thread and self._over:
            self._over.set()
            self._thread.join()
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)
            self._thread, self._alone = None, False

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        global _step
        self.pause()
        _step = None
        word = self.end if kind is None else style("!", "red", stream=sys.stderr)
        print(word if self._alone else f"{self.text}... {word}", file=sys.stderr, flush=True)

    def _spin(self) -> None:
        assert self._over
        turn = 0
        while not self._over.wait(0.1):
            print(
                f"\r\x1b[K{self.text}... {SPINNER[turn % len(SPINNER)]} {self._state}",
                end="",
                file=sys.stderr,
                flush=True,
            )
            turn += 1


_step: progress | None = None
"""The running step, if any."""


def pause() -> None:
    """Stop the spinner of the running step before asking the user for input."""
    if _step:
        _step.pause()
