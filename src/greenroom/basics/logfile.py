"""The log of one app: numbered segments that several processes of different uids append to, rotate and read at once.

It keeps every line whole and in its own place; what is written, and for whom, is left to the callers. Who may read is
decided
by the folder's mode (0770, owner the app's uid, group the control plane's): the files inside are 0666 behind that door.
"""

from __future__ import annotations

import fcntl
import os
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Record = tuple[float, str, str, str | bytes]
    """(seconds since the epoch, ``app`` or ``heroku``, ``web.1`` | ``router`` | ``api`` ..., text of one or more
    lines).
    """

    Position = tuple[int, int]
    """(number of the segment, offset in bytes): where to read on. START is before the first line."""

START = (0, 0)
SEGMENT_BYTES = 10_000_000
SEGMENTS = 5
LONGEST = 10_000
"""Bytes of a line's text; what is longer goes on in the next line, as Heroku does."""
LOCK = "lock"
FILE_MODE = 0o666
FOLDER_MODE = 0o770

_DROPPED = bytes(code for code in range(32) if code not in (9, 27)) + b"\x7f"
_SPLITTERS = dict.fromkeys([*range(0x80, 0xA0), 0x2028, 0x2029], " ")


def render(record: Record) -> bytes:
    """The record's physical lines, each with its own prefix, so that no text can forge a line of another source."""
    when, source, process, text = record
    data = text.encode("utf-8", "replace") if isinstance(text, str) else text
    prefix = f"{stamp(when)} {source}[{process}]: ".encode()
    lines = data.removesuffix(b"\n").split(b"\n")
    return b"".join(prefix + part + b"\n" for line in lines for part in _parts(_clean(line)))


def stamp(when: float) -> str:
    """``2026-11-23T09:11:00.123456+00:00``."""
    micros = round(when * 1_000_000)
    moment = time.gmtime(micros // 1_000_000)
    return "%04d-%02d-%02dT%02d:%02d:%02d.%06d+00:00" % (*moment[:6], micros % 1_000_000)  # noqa: UP031 (tuple)


def _clean(line: bytes) -> bytes:
    line = line.translate(None, _DROPPED)
    if line.isascii():
        return line
    return line.decode("utf-8", "replace").translate(_SPLITTERS).encode()


def _parts(line: bytes) -> list[bytes]:
    if len(line) <= LONGEST:
        return [line]
    parts = []
    while line:
        cut = LONGEST
        while cut < len(line) and line[cut] & 0xC0 == 0x80:
            cut -= 1  # not in the middle of a character
        parts.append(line[:cut])
        line = line[cut:]
    return parts


def _name(number: int) -> str:
    return f"{number:08d}.log"


def segments(folder: str | int) -> list[int]:
    """Numbers of the segments that exist, oldest first."""
    try:
        return sorted(int(name[:-4]) for name in os.listdir(folder) if name.endswith(".log") and name[:-4].isdigit())
    except FileNotFoundError:
        return []


def make_folder(folder: str) -> None:
    """Create the log folder with its mode; nothing when it exists."""
    try:
        os.makedirs(folder)
    except FileExistsError:
        return
    os.chmod(folder, FOLDER_MODE)


class Log:
    """An open log for appending. One process may hold one for as long as it lives; it follows rotations made by
    others.
    """

    def __init__(self, folder: str, *, segment_bytes: int = SEGMENT_BYTES, keep: int = SEGMENTS) -> None:
        self.folder, self.segment_bytes, self.keep = folder, segment_bytes, keep
        self._folder = self._lock = self._file = -1
        self._number = 0
        self._torn = False

    def append(self, records: Iterable[Record]) -> None:
        """Write all records by one write. Raises OSError (disk full, folder gone); then the lines are lost, the log
        stays whole.
        """
        self.write(b"".join(map(render, records)))

    def write(self, data: bytes) -> None:
        """Write lines that ``render`` made."""
        if not data:
            return
        self._open()
        fcntl.flock(self._lock, fcntl.LOCK_SH)  # nobody rotates between our look and our write
        try:
            size = self._settle()
            size += self._write(b"\n" + data if self._torn else data)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)
        if size > self.segment_bytes:
            self._rotate()

    def touch(self) -> None:
        """Have the folder and its files, so that every uid that may enter finds them with the right mode. Raises
        OSError.
        """
        self._open()
        self._settle()

    def close(self) -> None:
        """Give the file descriptors back; a later append opens them again."""
        for fd in (self._file, self._lock, self._folder):
            if fd >= 0:
                os.close(fd)
        self._folder = self._lock = self._file = -1

    def _open(self) -> None:
        if self._lock >= 0 and os.fstat(self._lock).st_nlink:
            return
        self.close()
        make_folder(self.folder)
        self._folder = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._lock = self._create(LOCK, os.O_RDWR)

    def _create(self, name: str, flags: int) -> int:
        flags |= os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        for patience in range(100):
            try:
                fd = os.open(name, flags, FILE_MODE, dir_fd=self._folder)
                break
            except PermissionError:  # another uid has made it this moment and is about to set the mode
                if patience == 99:
                    raise
                time.sleep(0.001)
        status = os.fstat(fd)
        if status.st_uid == os.geteuid() and status.st_mode & 0o777 != FILE_MODE:
            os.fchmod(fd, FILE_MODE)
        return fd

    def _settle(self) -> int:
        """Have the newest segment open; its size."""
        if self._file >= 0 and not _exists(_name(self._number + 1), self._folder):
            status = os.fstat(self._file)
            if status.st_nlink:
                return status.st_size
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
        self._number = max(segments(self._folder), default=1)
        self._file = self._create(_name(self._number), os.O_WRONLY | os.O_APPEND)
        return os.fstat(self._file).st_size

    def _write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._file, rest) :]
            self._torn = False
        except OSError:
            self._torn = self._torn or 0 < len(rest) < len(data)
            raise
        return len(data)

    def _rotate(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            if self._settle() <= self.segment_bytes:
                return
            os.close(self._file)
            self._file = -1
            self._number += 1
            self._file = self._create(_name(self._number), os.O_WRONLY | os.O_APPEND)
            for old in segments(self._folder):
                if old <= self._number - self.keep:
                    os.unlink(_name(old), dir_fd=self._folder)
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)


def append(folder: str, records: Iterable[Record], *, segment_bytes: int = SEGMENT_BYTES, keep: int = SEGMENTS) -> None:
    """Append to the log of ``folder`` once. Raises OSError."""
    log = Log(folder, segment_bytes=segment_bytes, keep=keep)
    try:
        log.append(records)
    finally:
        log.close()


def _exists(name: str, folder: int) -> bool:
    try:
        os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


class Line:
    """One physical line: ``time`` (as written), ``source``, ``process``, ``text``, and the position ``after`` it."""

    __slots__ = ("after", "process", "raw", "source", "text", "time")

    def __init__(self, raw: str, after: Position) -> None:
        self.raw, self.after = raw, after
        self.time, _, rest = raw.partition(" ")
        head, found, self.text = rest.partition("]: ")
        self.source, _, self.process = head.partition("[")
        if not found:
            self.time = self.source = self.process = ""
            self.text = raw

    def __str__(self) -> str:
        return self.raw


def end(folder: str) -> Position:
    """The position after the last line that is there now."""
    numbers = segments(folder)
    try:
        fd = os.open(os.path.join(folder, _name(numbers[-1])), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except (IndexError, FileNotFoundError):
        return START
    try:
        size = os.fstat(fd).st_size
        start = max(0, size - 4 * LONGEST)
        tail = os.pread(fd, size - start, start)  # the size may lie within a line that is being written
        return numbers[-1], start + tail.rfind(b"\n") + 1
    finally:
        os.close(fd)


def read_from(folder: str, position: Position, limit: int = 1_000_000) -> tuple[list[Line], Position]:
    """The next whole lines (about ``limit`` bytes at most) and where to read on; never waits.

    A position whose segment has been rotated away goes on at the oldest line that is left.
    """
    number, offset = position
    while True:
        newer = os.path.exists(os.path.join(folder, _name(number + 1)))  # asked first: then nobody adds to this one
        data = _read(folder, number, offset, limit)
        if data is None:
            later = [other for other in segments(folder) if other > number] or segments(folder)
            if not later or later[0] == number:
                return [], position
            number, offset = later[0], 0
            continue
        whole = data if newer and data and b"\n" not in data else data[: data.rfind(b"\n") + 1]
        if whole:
            return _lines(whole, number, offset), (number, offset + len(whole))
        if not newer:
            return [], (number, offset)
        number, offset = number + 1, 0


def _read(folder: str, number: int, offset: int, limit: int) -> bytes | None:
    try:
        fd = os.open(os.path.join(folder, _name(number)), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        return os.pread(fd, max(limit, 4 * LONGEST), offset)
    finally:
        os.close(fd)


def _lines(data: bytes, number: int, offset: int) -> list[Line]:
    lines = []
    for raw in data.removesuffix(b"\n").split(b"\n"):
        offset += len(raw) + 1
        lines.append(Line(raw.decode("utf-8", "replace"), (number, offset)))
    return lines


def read_last(
    folder: str, count: int, keep: Callable[[Line], bool] | None = None, *, block: int = 262_144
) -> tuple[list[Line], Position]:
    """The last ``count`` lines that ``keep`` accepts, oldest first, and the position after the newest line that was
    looked at.
    """
    position = end(folder)
    found: list[Line] = []
    for number in reversed(segments(folder)):
        if number > position[0] or len(found) >= count:
            continue
        stop = position[1] if number == position[0] else None
        for line in _backwards(folder, number, stop, block):
            if len(found) >= count:
                break
            if keep is None or keep(line):
                found.append(line)
    return found[::-1], position


def _backwards(folder: str, number: int, stop: int | None, block: int) -> Iterator[Line]:
    try:
        fd = os.open(os.path.join(folder, _name(number)), os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        at = os.fstat(fd).st_size if stop is None else stop
        rest = b""
        while at > 0:
            size = min(block, at)
            at -= size
            data = os.pread(fd, size, at) + rest
            cut = data.find(b"\n") + 1 if at else 0
            rest, whole = data[:cut], data[cut:]
            if whole:
                yield from reversed(_lines(whole, number, at + cut))
    finally:
        os.close(fd)


def follow(
    folder: str, position: Position, *, pause: float = 0.1, stop: Callable[[], bool] | None = None
) -> Iterator[Line]:
    """New lines across rotations, without loss or duplication, for ever or until ``stop()``; blocks between them."""
    while True:
        ending = stop is not None and stop()
        lines, position = read_from(folder, position)
        yield from lines
        if lines:
            continue
        if ending:
            return
        time.sleep(pause)
