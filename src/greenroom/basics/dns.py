"""Asks the machine's name servers for TXT records: one UDP question each, bounded in time and size. Standard library
only.
"""

from __future__ import annotations

import ipaddress
import secrets
import socket
import struct
import time
from collections.abc import Sequence
from pathlib import Path

RESOLV = Path("/etc/resolv.conf")
SERVERS = 2
SECONDS = 2.0
TXT, IN = 16, 1
NO_ERROR, NO_NAME = 0, 3
"""Codes of an answer; all others (SERVFAIL, REFUSED) say nothing about the records."""
MOST = 50
"""Records that are looked at."""


def txt(name: str, *, servers: Sequence[tuple[str, int]] | None = None, seconds: float = SECONDS) -> list[str] | None:
    """The texts of a name's TXT records, empty when there are none; None when no server answers. ``servers``: (address,
    port) instead of the machine's.
    """
    try:
        question = _question(name)
    except ValueError:
        return []
    for server in (name_servers() if servers is None else servers)[:SERVERS]:
        try:
            return _ask(server, question, seconds)
        except (OSError, ValueError, struct.error, IndexError):
            continue
    return None


def name_servers(path: Path = RESOLV) -> list[tuple[str, int]]:
    """The machine's name servers."""
    try:
        with path.open() as file:
            words = [line.split() for line in file.read(65536).splitlines()]
    except OSError:
        return []
    return [
        (row[1].partition("%")[0], 53)
        for row in words
        if len(row) > 1 and row[0] == "nameserver" and _is_address(row[1].partition("%")[0])
    ]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _question(name: str) -> bytes:
    labels = [label.encode("ascii") for label in name.split(".")]
    if not all(0 < len(label) < 64 for label in labels):
        raise ValueError("no host name")
    return b"".join(bytes([len(label)]) + label for label in labels) + b"\0" + struct.pack("!HH", TXT, IN)


def _ask(server: tuple[str, int], question: bytes, seconds: float) -> list[str]:
    number = secrets.randbelow(65536)
    until = time.monotonic() + seconds
    with socket.socket(socket.AF_INET6 if ":" in server[0] else socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.connect(server)  # answers of others are not taken
        sock.send(struct.pack("!HHHHHH", number, 0x0100, 1, 0, 0, 0) + question)
        while True:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError
            sock.settimeout(left)
            data = sock.recv(65535)
            if (
                len(data) >= 12
                and struct.unpack("!H", data[:2])[0] == number
                and data[12 : 12 + len(question)].lower() == question.lower()
            ):
                if (code := data[3] & 0x0F) not in (NO_ERROR, NO_NAME):
                    raise OSError(f"the server could not find out: code {code}")
                return _texts(data, 12 + len(question))


def _texts(data: bytes, at: int) -> list[str]:
    found = []
    for _ in range(min(struct.unpack("!H", data[6:8])[0], MOST)):
        at = _after_name(data, at)
        kind, _, _, size = struct.unpack("!HHIH", data[at : at + 10])
        at += 10
        if kind == TXT:
            found.append(_joined(data[at : at + size]))
        at += size
    return found


def _joined(record: bytes) -> str:
    """A TXT record's strings, which may be 255 bytes each, as one."""
    parts, at = [], 0
    while at < len(record):
        parts.append(record[at + 1 : at + 1 + record[at]])
        at += 1 + record[at]
    return b"".join(parts).decode("utf-8", "replace")


def _after_name(data: bytes, at: int) -> int:
    while data[at]:
        if data[at] >= 0xC0:
            return at + 2
        at += 1 + data[at]
    return at + 1
