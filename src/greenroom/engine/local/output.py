"""A dyno's output: split into lines for the app's log, with a rate limit that counts every dropped line, and kept raw
if requested.

Memory is bounded for any output. ``basics.logfile`` defines the log's format and files.
"""

from __future__ import annotations

import os
import time

from greenroom.basics import logfile

LONGEST = logfile.LONGEST
LINES_PER_SECOND, LINES_AT_ONCE = 2_000, 20_000
BYTES_PER_SECOND, BYTES_AT_ONCE = 2_000_000, 8_000_000
TELL_SECONDS = 1.0
LAST_WORDS = 4_000
"""Bytes of the end of the output to keep, to explain the dyno's end."""
FILE = "output"
"""File name of the raw output, in the run folder."""
RAW_BYTES = 10_000_000
RAW_CUT = b"\n[greenroom] output truncated: it is longer than 10 MB; the rest is not kept\n"


class Journal:
    """The app's log for one of its processes; a full disk loses lines, but never stops the dyno."""

    def __init__(self, folder: str, process: str) -> None:
        self._log = logfile.Log(folder) if folder else None
        self._process = process
        self.lost = 0

    @property
    def wanted(self) -> bool:
        """Whether there is a log."""
        return self._log is not None

    def say(self, text: str) -> None:
        """Write a line of the platform: ``heroku[web.1]: text``."""
        self._write("heroku", [text.replace("\n", " ")])

    def lines(self, lines: list[bytes]) -> None:
        """Write lines of the process: ``app[web.1]: line``."""
        self._write("app", lines)

    def _write(self, source: str, texts: list[str] | list[bytes]) -> None:
        if self._log is None or not texts:
            return
        now = time.time()
        try:
            self._log.append([(now, source, self._process, text) for text in texts])
        except OSError:
            self.lost += len(texts)


class Bucket:
    """A token bucket: a rate per second and a maximum burst."""

    def __init__(self, rate: float, most: float) -> None:
        self._rate, self._most, self._left = rate, most, most
        self._at = time.monotonic()

    def left(self) -> float:
        """The tokens available now."""
        now = time.monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        return self._left

    def take(self, amount: float) -> None:
        """Consume tokens; the balance may become negative."""
        self._left -= amount


class Output:
    """Splits bytes into lines for the journal and keeps the raw output."""

    def __init__(self, journal: Journal, raw: str = "") -> None:
        self._journal = journal
        self._lines = Bucket(LINES_PER_SECOND, LINES_AT_ONCE)
        self._bytes = Bucket(BYTES_PER_SECOND, BYTES_AT_ONCE)
        self._partial = b""
        self._dropped, self._since, self._told = 0, 0.0, 0.0
        self._raw, self._raw_left = -1, RAW_BYTES
        self.last_words = b""
        if raw:
            self._raw = os.open(raw, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)

    def tell(self, journal: Journal) -> None:
        """Send further lines to another journal."""
        self._journal = journal

    def feed(self, data: bytes) -> None:
        """Process bytes of the dyno's output."""
        self.last_words = (self.last_words + data)[-LAST_WORDS:]
        if self._raw >= 0:
            self._keep(data)
        if not self._journal.wanted:
            return
        if self._lines.left() < 1 or self._bytes.left() < 1:
            self._drop(data)
            return
        *lines, rest = (self._partial + data).split(b"\n")
        while len(rest) > LONGEST:
            lines.append(rest[:LONGEST])
            rest = rest[LONGEST:]
        self._partial = rest
        self._pass(lines)

    def _pass(self, lines: list[bytes]) -> None:
        room = int(self._lines.left())
        passed, over = lines[:room], lines[room:]
        self._lines.take(len(passed))
        self._bytes.take(sum(map(len, passed)))
        if passed:
            self.tell_drops()
            self._journal.lines(passed)
        if over:
            self._count(len(over))

    def _drop(self, data: bytes) -> None:
        count = data.count(b"\n")
        rest = data[data.rfind(b"\n") + 1 :] if count else self._partial + data
        while len(rest) > LONGEST:
            rest = rest[LONGEST:]
            count += 1
        self._partial = rest
        self._count(count)

    def _count(self, count: int) -> None:
        if count and not self._dropped:
            self._since = time.time()
        self._dropped += count

    @property
    def untold(self) -> bool:
        """Whether dropped lines have not been logged yet."""
        return bool(self._dropped or self._journal.lost)

    def tell_drops(self, *, at_last: bool = False) -> None:
        """Log the number of dropped lines, if any; at most once a second, and at the end."""
        dropped = self._dropped + self._journal.lost
        if not dropped or (not at_last and time.monotonic() - self._told < TELL_SECONDS):
            return
        self._told = time.monotonic()
        since = logfile.stamp(self._since or time.time())
        self._dropped, self._journal.lost, self._since = 0, 0, 0.0
        self._journal.say(f"Error L10 (output buffer overflow): {dropped} messages dropped since {since}.")
        if self._journal.lost:  # the line about the loss failed too: the disk is full
            self._journal.lost = dropped

    def end(self) -> None:
        """Process the end of the output; a last line without a newline counts."""
        if self._partial:
            rest, self._partial = self._partial, b""
            self._pass([rest])
        self.tell_drops(at_last=True)
        if self._raw >= 0:
            os.close(self._raw)
            self._raw = -1

    def note(self, text: str) -> None:
        """Write a line of the platform into the raw output, for a dyno without a log."""
        self._keep(b"[greenroom] " + text.replace("\n", " ").encode() + b"\n")

    def _keep(self, data: bytes) -> None:
        if self._raw_left <= 0:
            return
        kept = data[: self._raw_left]
        self._raw_left -= len(data)
        try:
            os.write(self._raw, kept if self._raw_left > 0 else kept + RAW_CUT)
        except OSError:
            self._raw_left = 0
