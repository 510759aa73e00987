"""The messages of a trap: a file ``N.eml`` and an envelope ``N.json`` for each, within limits of number, size and age.

A message exists if its envelope does, which is written last. Numbers are never used twice: ``last`` keeps the highest.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

FILE = re.compile(r"([0-9]{1,12})\.json\Z")
SHOWN = 10
"""Number of recipients that a summary contains; the envelope contains all."""


class MissingError(Exception):
    """There is no message of that number."""


class Draft:
    """A message that is being received, in a file of its own."""

    def __init__(self, path: str) -> None:
        self.path, self.size = path, 0
        self.file = open(path, "xb")  # noqa: SIM115 - closed by keep or discard

    def write(self, data: bytes) -> None:
        """Append bytes. OSError on a full disk."""
        self.size += len(data)
        self.file.write(data)

    def discard(self) -> None:
        """Remove the file."""
        self.file.close()
        os.unlink(self.path)


class Store:
    """limits: ``message_bytes``, ``bytes``, ``count`` and ``seconds`` (the greatest age)."""

    def __init__(self, folder: str, limits: dict, now: Callable[[], float] = time.time) -> None:
        self.folder, self.limits, self.now = folder, limits, now
        self.lock = threading.RLock()
        self.drafts, self.refused = 0, 0
        self.index: dict[int, dict] = {}  # number -> summary, oldest first
        self._load()

    def _load(self) -> None:
        names = os.listdir(self.folder)
        numbers = sorted(int(match[1]) for match in map(FILE.match, names) if match)
        for number in numbers:
            try:
                os.stat(self._path(f"{number}.eml"))
                self.index[number] = summary(self.envelope(number))
            except (OSError, ValueError, KeyError, TypeError):
                self._remove(number)
        known = {f"{number}.{end}" for number in self.index for end in ("eml", "json")}
        for name in set(names) - known - {"last"}:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(name))
        try:
            with open(self._path("last")) as file:
                self.last = int(file.read(20))
        except (OSError, ValueError):
            self.last = 0
        self.last = max([self.last, *self.index])
        self.expire()

    def _path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def draft(self) -> Draft:
        """A new draft. OSError on a full disk."""
        with self.lock:
            self.drafts += 1
            return Draft(self._path(f"draft-{self.drafts}"))

    def keep(self, draft: Draft, sender: str, recipients: list[str], facts: dict) -> dict:
        """Keep a draft and remove the oldest messages beyond the limits; returns its summary. facts: of its headers."""
        draft.file.flush()
        os.fsync(draft.file.fileno())
        draft.file.close()
        with self.lock:
            number = self.last + 1
            self._write("last", str(number))
            self.last = number
            found = {"number": number, "at": self.now(), "from": sender, "to": recipients, "size": draft.size}
            found.update(facts)
            self._place(draft.path, number, json.dumps(found))
            self.index[number] = summary(found)
            self.expire()
            return summary(found)

    def _place(self, path: str, number: int, envelope: str) -> None:
        """Give both files of a message their names. OSError leaves neither."""
        os.replace(path, self._path(f"{number}.eml"))
        try:
            self._write(f"{number}.json", envelope)
        except OSError:
            os.unlink(self._path(f"{number}.eml"))
            raise

    def _write(self, name: str, text: str) -> None:
        with open(self._path(name + "~"), "w") as file:
            file.write(text)
        os.replace(self._path(name + "~"), self._path(name))

    def envelope(self, number: int) -> dict:
        """The whole envelope of a message. OSError or ValueError."""
        with open(self._path(f"{number}.json")) as file:
            found = json.load(file)
        found["number"] = number
        return found

    def expire(self) -> None:
        """Remove the messages beyond the limits, oldest first."""
        with self.lock:
            oldest = self.now() - self.limits["seconds"]
            size = self.total()
            for number, found in list(self.index.items()):
                small = len(self.index) <= self.limits["count"] and size <= self.limits["bytes"]
                if small and found["at"] >= oldest:
                    return
                size -= found["size"]
                self._remove(number)

    def clear(self) -> int:
        """Remove all messages; returns their number."""
        with self.lock:
            numbers = list(self.index)
            for number in numbers:
                self._remove(number)
            return len(numbers)

    def _remove(self, number: int) -> None:
        self.index.pop(number, None)
        for end in ("json", "eml"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._path(f"{number}.{end}"))

    def total(self) -> int:
        """The size of all messages."""
        return sum(found["size"] for found in self.index.values())

    def open(self, number: int) -> tuple[dict, BinaryIO]:
        """(envelope, open file) of a message; number 0: the newest. MissingError."""
        with self.lock:
            number = number or max(self.index, default=0)
            if number not in self.index:
                raise MissingError
            return self.envelope(number), open(self._path(f"{number}.eml"), "rb")

    def listed(self, before: int, limit: int, matches: Callable[[dict], bool] | None) -> list[dict]:
        """Up to ``limit`` summaries below the number ``before`` (0: all), newest first, whose envelope ``matches``."""
        with self.lock:
            numbers = [number for number in reversed(list(self.index)) if not before or number < before]
            found: list[dict] = []
            for number in numbers:
                if len(found) == limit:
                    break
                if matches is None or matches(self.envelope(number)):
                    found.append(self.index[number])
            return found

    def after(self, number: int, limit: int) -> list[dict]:
        """Up to ``limit`` whole envelopes above the number, oldest first."""
        with self.lock:
            return [self.envelope(one) for one in [one for one in self.index if one > number][:limit]]


def summary(envelope: dict) -> dict:
    """An envelope with its first recipients only. KeyError or TypeError for a wrong one."""
    to = envelope["to"]
    checked = {"size": int(envelope["size"]), "at": float(envelope["at"])}
    return {**envelope, **checked, "to": to[:SHOWN], "recipients": len(to)}
