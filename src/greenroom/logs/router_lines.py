"""Turns Caddy's access log into ``heroku[router]`` lines of the apps concerned, once each, across restarts and rolled files."""

from __future__ import annotations

import json
import os
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

from greenroom.basics import logfile

DESCRIPTIONS = {
    "H10": "App crashed", "H12": "Request timeout", "H13": "Connection closed without response", "H14": "No web processes running",
    "H80": "Maintenance mode", "H81": "Blank app", "H01": "No such app",
}  # fmt: skip
READ = 1_000_000


def quoted(text: str) -> str:
    """Somebody's text within double quotes, on one line."""
    clean = "".join(c if c.isprintable() and c not in '"\\' else f"\\x{ord(c):02x}" for c in text)
    return f'"{clean[:2000]}"'


def line_of(entry: dict[str, Any]) -> tuple[float, str, str]:
    """(seconds, host, text) of one access-log entry. KeyError and TypeError when it is none."""
    request = entry["request"]
    headers = entry.get("resp_headers") or {}
    code = (headers.get("Greenroom-Error") or [""])[0]
    milliseconds = round(float(entry["duration"]) * 1000)
    if code == "H13" and milliseconds >= 30_000:
        code = "H12"
    head = f"at=error code={code} desc={quoted(DESCRIPTIONS.get(code, 'Error'))}" if code else "at=info"
    protocol = "https" if "tls" in request else "http"
    text = (
        f"{head} method={quoted(request['method'])[1:-1]} path={quoted(request['uri'])} host={quoted(request['host'])[1:-1]} "
        f"request_id={entry.get('uuid', '-')} fwd={quoted(request.get('client_ip', ''))} dyno=web connect=0ms "
        f"service={milliseconds}ms status={entry['status']} bytes={entry['size']} protocol={protocol}"
    )
    return float(entry["ts"]), str(request["host"]), text


class RouterLogTail:
    """Follows ``logs/router/access.log``. ``folder_of``: host name -> the app's log folder relative to home, or None."""

    def __init__(self, home: Path, folder_of: Callable[[str], str | None]) -> None:
        self.home = home
        self.folder_of = folder_of
        self.path = home / "logs" / "router" / "access.log"
        self.place = home / "logs" / "router" / "position.json"
        self.known: dict[str, tuple[float, str | None]] = {}

    def turn(self) -> bool:
        """Copy what is new; True when there may be more at once. The position is written after the lines: a crash in between repeats some."""
        inode, offset = self._position()
        try:
            handle = self.path.open("rb")
        except FileNotFoundError:
            return False
        with handle:
            status = os.fstat(handle.fileno())
            if status.st_ino != inode or status.st_size < offset:
                self._rest_of_rolled(inode, offset)
                offset = 0
            handle.seek(offset)
            data = handle.read(READ)
        whole = data[: data.rfind(b"\n") + 1]
        self._copy(whole)
        if whole or status.st_ino != inode:
            self._remember(status.st_ino, offset + len(whole))
        return len(data) == READ

    def _position(self) -> tuple[int, int]:
        try:
            data = json.loads(self.place.read_text())
            return int(data["inode"]), int(data["offset"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0, 0

    def _remember(self, inode: int, offset: int) -> None:
        draft = self.place.with_suffix(".new")
        draft.write_text(json.dumps({"inode": inode, "offset": offset}))
        draft.replace(self.place)

    def _rest_of_rolled(self, inode: int, offset: int) -> None:
        """The end of the file that Caddy has rolled away since the last turn."""
        for path in self.path.parent.glob("access-*.log"):
            if path.stat().st_ino == inode:
                with path.open("rb") as handle:
                    handle.seek(offset)
                    self._copy(handle.read(20 * READ))

    def _copy(self, data: bytes) -> None:
        lines: dict[str, list[tuple[float, str, str, str]]] = defaultdict(list)
        for raw in data.splitlines():
            try:
                when, host, text = line_of(json.loads(raw))
            except (ValueError, KeyError, TypeError):
                continue
            folder = self._folder(host)
            if folder:
                lines[folder].append((when, "heroku", "router", text))
        for folder, records in lines.items():
            place = self.home / folder
            if place.is_dir():
                logfile.append(str(place), records)

    def _folder(self, host: str) -> str | None:
        """Remembered for some seconds: a flood of requests is not a flood of queries."""
        moment, folder = self.known.get(host, (0.0, None))
        if time.monotonic() - moment > 5.0:
            if len(self.known) > 1000:
                self.known.clear()
            folder = self.folder_of(host)
            self.known[host] = (time.monotonic(), folder)
        return folder
