"""Answers a dyno's name queries as the host would: addresses by the host's resolver, /etc/hosts included; all other
types by the host's name servers.

``answer`` blocks: it runs in a thread in the host's network. Source: RFC 1035.
"""

from __future__ import annotations

import struct
from _socket import (
    AF_INET,
    AF_INET6,
    EAI_AGAIN,
    SOCK_DGRAM,
    SOCK_STREAM,
    gaierror,
    getaddrinfo,
    inet_pton,
    socket,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Seen = Callable[[str, list[bytes]], None]

PORT = 53
_A, _AAAA, _INTERNET = 1, 28, 1
_FAMILIES = {_A: AF_INET, _AAAA: AF_INET6}
_FORMAT_ERROR, _FAILED, _NO_NAME, _REFUSED = 1, 2, 3, 5
TTL = 10
"""Seconds that an answer may be kept; the host's resolver does not say."""
SECONDS, SERVERS, LONGEST = 3.0, 3, 65_535
ADDRESSES = 64
"""Maximum addresses in an answer."""
RESOLVERS = "/etc/resolv.conf"


def answer(query: bytes, *, ipv6: bool, seen: Seen) -> bytes:
    """The answer to a query; empty to one that deserves none. ``seen(name, addresses)``: told what was answered."""
    try:
        name, kind, end = question(query)
    except (ValueError, IndexError, struct.error):
        return _reply(query, 12, _FORMAT_ERROR) if len(query) >= 12 and not query[2] & 0x80 else b""
    if kind not in _FAMILIES:
        return _asked(query) or _reply(query, end, _FAILED)
    if kind == _AAAA and not ipv6:
        return _reply(query, end, 0)
    try:
        found = getaddrinfo(name.encode(), 0, _FAMILIES[kind], SOCK_STREAM)
    except gaierror as error:
        return _reply(query, end, _code(name, kind, error))
    except OSError:
        return _reply(query, end, _FAILED)
    packed = [inet_pton(_FAMILIES[kind], str(it[4][0]).partition("%")[0]) for it in found[:ADDRESSES]]
    seen(name.lower(), packed)
    return _reply(query, end, 0, [struct.pack("!HHHIH", 0xC00C, kind, _INTERNET, TTL, len(it)) + it for it in packed])


def _code(name: str, kind: int, error: gaierror) -> int:
    """The host's resolver does not tell a name without addresses of one family from a name that does not exist."""
    if error.errno == EAI_AGAIN:
        return _FAILED
    try:
        getaddrinfo(name.encode(), 0, _FAMILIES[_A + _AAAA - kind], SOCK_STREAM)
    except OSError:
        return _NO_NAME
    return 0


def question(query: bytes) -> tuple[str, int, int]:
    """Name, type, and the offset behind the question. ValueError, IndexError or struct.error if it is malformed."""
    flags, count = struct.unpack_from("!HH", query, 2)
    if flags & 0xF800 or count != 1:
        raise ValueError("not one standard question")
    at, labels = 12, []
    while size := query[at]:
        if size > 63:
            raise ValueError("a label of more than 63 bytes")
        if b"\0" in query[at + 1 : at + 1 + size]:
            raise ValueError("a NUL, where the resolver ends the name")
        labels.append(query[at + 1 : at + 1 + size].decode("ascii"))
        at += 1 + size
    kind, of = struct.unpack_from("!HH", query, at + 1)
    if of != _INTERNET or not labels:
        raise ValueError("not a name of the internet")
    return ".".join(labels), kind, at + 5


def _reply(query: bytes, end: int, code: int, records: list[bytes] | None = None) -> bytes:
    flags = 0x8080 | (struct.unpack_from("!H", query, 2)[0] & 0x0100) | code
    counts = struct.pack("!HHHH", 1 if end > 12 else 0, len(records or ()), 0, 0)
    return query[:2] + struct.pack("!H", flags) + counts + query[12:end] + b"".join(records or ())


def servers(path: str = RESOLVERS) -> list[str]:
    """The host's name servers."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            lines = file.read(65_536).split("\n")
    except OSError:
        return []
    words = [line.split() for line in lines]
    return [it[1] for it in words if len(it) > 1 and it[0] == "nameserver"][:SERVERS]


def _asked(query: bytes) -> bytes:
    """The answer of the first of the host's name servers that has one."""
    for server in servers():
        sock = socket(AF_INET6 if ":" in server else AF_INET, SOCK_DGRAM, 0)
        try:
            sock.settimeout(SECONDS)
            sock.connect((server, PORT))
            sock.send(query)
            data = sock.recv(LONGEST)
        except OSError:
            continue
        finally:
            sock.close()
        if data[:2] == query[:2]:
            return data
    return b""
