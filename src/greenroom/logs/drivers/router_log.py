"""Converts Caddy's access log to ``heroku[router]`` lines in the apps' logs, each exactly once, across restarts and
rotation.

``line_of`` is pure. The tail identifies a file by its first bytes, because names and inodes are reused.
"""

from __future__ import annotations

import json
import logging
import os
import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from greenroom.basics import atomic, logfile
from greenroom.basics.logfile import Line

log = logging.getLogger(__name__)

DESCRIPTIONS = {
    "H01": "No such app",
    "H10": "App crashed",
    "H12": "Request timeout",
    "H13": "Connection closed without response",
    "H14": "No web processes running",
    "H27": "Client Request Interrupted",
    "H80": "Maintenance mode",
    "H81": "Blank app",
}
WITHOUT_DYNO = frozenset(["H01", "H10", "H14", "H80", "H81"])
CLIENT_LEFT = 499
READ = 262_144
HEAD = 100
"""Number of bytes at the start of a file that identify it: they contain the time of its first entry."""
LOOK_BACK = 2_000
"""Number of lines to compare after a restart; a chunk of READ bytes never has more entries."""
REMEMBER_SECONDS = 5.0
LONGEST_FIELD = 2_000
UPSTREAM = re.compile(r"run/router/(hosts/[a-z0-9_.-]+|[0-9a-f]{32})/[0-9]+\Z")
DYNO_IN_SOCKET = re.compile(r"-v[0-9]+-([A-Za-z0-9_-]+\.[0-9]+)-[0-9a-f]+\Z")


def quoted(text: str) -> str:
    """Untrusted text in double quotes, on one line; unprintable characters become ``\\x0a`` or ``\\u2028``."""
    return f'"{_plain(text, unsafe="")}"'


def bare(text: str) -> str:
    """Untrusted text as one unquoted word: spaces, ``=`` and ``"`` are escaped, so that it cannot imitate another
    field.
    """
    return _plain(text, unsafe=" =") or "-"


def _plain(text: str, *, unsafe: str) -> str:
    kept = text[:LONGEST_FIELD]
    return "".join(c if c.isprintable() and c not in f'"\\{unsafe}' else _escaped(ord(c)) for c in kept)


def _escaped(code: int) -> str:
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


@dataclass(frozen=True)
class Request:
    """One entry: ``when`` in seconds, the requested ``host``, Heroku's ``code`` or '', the proxy's ``upstream`` or '',
    and the line.
    """

    when: float
    host: str
    code: str
    upstream: str
    head: str
    tail: str

    def text(self, dyno: str) -> str:
        """The line's text with the dyno that answered; '' if none did."""
        return f"{self.head} dyno={dyno} {self.tail}"


def read_entry(entry: dict[str, Any]) -> Request:
    """Parse an entry of Caddy's access log. KeyError, TypeError, ValueError or AttributeError if it is invalid."""
    request, status, milliseconds = entry["request"], int(entry["status"]), round(float(entry["duration"]) * 1000)
    code = _code((entry.get("resp_headers") or {}).get("Greenroom-Error"), status)
    first = f"at=error code={code} desc={quoted(DESCRIPTIONS.get(code, 'Error'))}" if code else "at=info"
    protocol = "https" if "tls" in request else "http"
    return Request(
        when=float(entry["ts"]),
        host=str(request["host"]),
        code=code,
        upstream=str(entry.get("upstream") or ""),
        head=(
            f"{first} method={bare(request['method'])} path={quoted(request['uri'])}"
            f" host={bare(_name(request['host']))}"
            f" request_id={bare(str(entry.get('request_id') or entry.get('uuid') or '-'))}"
            f" fwd={quoted(str(request.get('client_ip') or ''))}"
        ),
        tail=f"connect=0ms service={milliseconds}ms status={status} bytes={int(entry['size'])} protocol={protocol}",
    )


def _name(host: str) -> str:
    """The host without its port, as in Heroku's router lines: ``shop.localhost:8080``, ``[::1]:8080``."""
    return re.sub(r":[0-9]*\Z", "", host)


def _code(header: Any, status: int) -> str:
    code = str(header[0]) if isinstance(header, list) and header else ""
    if status == CLIENT_LEFT and not code:
        return "H27"
    return code if re.fullmatch(r"[A-Z][0-9]{2}", code) else ""


def line_of(entry: dict[str, Any], dyno: str = "web") -> tuple[float, str, str]:
    """(seconds, host, text) of one access-log entry. Errors as ``read_entry``."""
    request = read_entry(entry)
    return request.when, request.host, request.text("" if request.code in WITHOUT_DYNO else dyno)


@dataclass(frozen=True)
class Place:
    """The copied part of the access log: the first bytes of the file, and the offset in it."""

    head: str = ""
    offset: int = 0


class RouterLogTail:
    """Follows ``logs/router/access.log``. ``folder_of``: host name -> the app's log folder relative to home, or
    None.
    """

    def __init__(self, home: Path, folder_of: Callable[[str], str | None]) -> None:
        self.home, self.folder_of = home, folder_of
        self.path = home / "logs" / "router" / "access.log"
        self.note = home / "logs" / "router" / "position.json"
        self.place = self._recall()
        self.doubtful = True
        self.known: dict[str, tuple[float, str | None]] = {}
        self.dynos: dict[str, tuple[float, str]] = {}

    def turn(self) -> bool:
        """Copy the next chunk of new entries. True if there may be more.

        The position is written after the lines. If the process dies in between, the next process compares its first
        chunk with the lines in the logs, to skip those that were already copied.
        """
        found = self._file()
        if found is None:
            return False
        path, head, start = found
        with path.open("rb") as handle:
            if _head(handle.read(HEAD)) != head:
                return True  # rotated just now
            handle.seek(start)
            data = handle.read(READ)
        whole = data[: data.rfind(b"\n") + 1] or (data if len(data) == READ else b"")
        if whole:
            doubtful, self.doubtful = self.doubtful, True
            self._copy(whole, doubtful=doubtful)
            self._remember(Place(head, start + len(whole)))
            self.doubtful = False
            return True
        return path != self.path and self._next(path)

    # -- position ----------------------------------------------------------------------------------------------------

    def _recall(self) -> Place:
        try:
            data = json.loads(self.note.read_text())
            return Place(str(data["head"]), int(data["offset"]))
        except (OSError, ValueError, KeyError, TypeError):
            return Place()

    def _remember(self, place: Place) -> None:
        atomic.write(self.note, json.dumps({"head": place.head, "offset": place.offset}))
        self.place = place

    def _rolled(self) -> list[Path]:
        """The rotated files, oldest first: their names contain the time."""
        return sorted(self.path.parent.glob("access-*.log"))

    def _file(self) -> tuple[Path, str, int] | None:
        """(file, its head, offset) of the position; the start of the oldest file if the position's file no longer
        exists.
        """
        current = self._head_of(self.path)
        if current and current == self.place.head:
            return self.path, current, self.place.offset
        files = [*self._rolled(), self.path]
        heads = [(path, head) for path in files if (head := self._head_of(path))]
        for path, head in heads:
            if head == self.place.head:
                return path, head, self.place.offset
        return (*heads[0], 0) if heads else None

    def _next(self, path: Path) -> bool:
        """Continue with the file after this one, which is complete."""
        for later in [*self._rolled(), self.path]:
            head = self._head_of(later) if later == self.path or later > path else ""
            if head:
                self._remember(Place(head, 0))
                return True
        return False

    def _head_of(self, path: Path) -> str:
        """The head of the file; '' while the file is shorter than a head."""
        try:
            with path.open("rb") as handle:
                return _head(handle.read(HEAD))
        except FileNotFoundError:
            return ""

    # -- the lines ----------------------------------------------------------------------------------------------------

    def _copy(self, data: bytes, *, doubtful: bool) -> None:
        lines: dict[str, list[tuple[float, str, str, str]]] = defaultdict(list)
        for raw in data.splitlines():
            try:
                request = read_entry(json.loads(raw))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            folder = None if request.code == "H01" else self._folder(request.host)
            if folder:
                lines[folder].append((request.when, "heroku", "router", request.text(self._dyno(request, folder))))
        for folder, records in lines.items():
            self._append(self.home / folder, records, doubtful=doubtful)

    def _append(self, place: Path, records: list[tuple[float, str, str, str]], *, doubtful: bool) -> None:
        if not place.is_dir():
            return
        try:
            if doubtful:
                there = _router_lines(str(place))
                records = [record for record in records if _first_line(record) not in there]
            logfile.append(str(place), records)
        except OSError as error:
            log.warning("%d router lines were lost: %s", len(records), error)

    def _folder(self, host: str) -> str | None:
        """The app's log folder, cached for some seconds, so that many requests do not cause many queries."""
        moment, folder = self.known.get(host, (0.0, None))
        if not moment or time.monotonic() - moment > REMEMBER_SECONDS:
            if len(self.known) > 1000:
                self.known.clear()
            folder = self.folder_of(host)
            self.known[host] = (time.monotonic(), folder)
        return folder

    def _dyno(self, request: Request, folder: str) -> str:
        """The dyno that answered: the target of the proxy's slot, or of all slots of the app if they agree; else
        ``web``.
        """
        if request.code in WITHOUT_DYNO:
            return ""
        match = UPSTREAM.match(request.upstream)
        if match:
            return _dyno_behind(self.home / request.upstream) or "web"
        moment, name = self.dynos.get(folder, (0.0, ""))
        if not moment or time.monotonic() - moment > 1.0:
            slots = self.home / "run" / "router" / Path(folder).name
            names = {_dyno_behind(slot) for slot in slots.glob("[0-9]*") if slot.is_symlink()}
            name = names.pop() if len(names) == 1 else ""
            self.dynos[folder] = (time.monotonic(), name)
        return name or "web"


def _head(data: bytes) -> str:
    return data.decode("latin-1") if len(data) == HEAD else ""


def _dyno_behind(slot: Path) -> str:
    """``web.1`` for a slot that points to ``.../a1-v4-web.1-603f9927``; '' if it points nowhere."""
    try:
        match = DYNO_IN_SOCKET.search(os.readlink(slot))
    except OSError:
        return ""
    return match[1] if match else ""


def _router_lines(folder: str) -> set[str]:
    def of_router(line: Line) -> bool:
        return line.source == "heroku" and line.process == "router"

    return {line.raw for line in logfile.read_last(folder, LOOK_BACK, of_router)[0]}


def _first_line(record: tuple[float, str, str, str]) -> str:
    return logfile.render(record).partition(b"\n")[0].decode("utf-8", "replace")
