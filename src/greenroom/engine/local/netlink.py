"""Messages to the kernel by netlink: addresses, routes and rules (nf_tables) of the calling thread's network.

Sources: linux/netlink.h, linux/rtnetlink.h, linux/netfilter/nf_tables.h. Needs no other program on the host.
"""

from __future__ import annotations

import os
import struct
from _socket import SOCK_RAW, socket

AF_NETLINK = 16
ROUTES, NETFILTER = 0, 12
"""Protocols of a netlink socket."""
REQUEST, ACK, CREATE, APPEND = 0x1, 0x4, 0x400, 0x800
"""Flags of a message."""
_HEAD, _ERROR, _NESTED = 16, 2, 0x8000
SECONDS = 5.0


def attribute(kind: int, data: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    size = 4 + len(data)
    return struct.pack("=HH", size, kind) + data + b"\0" * (-size % 4)


def text(kind: int, value: str) -> bytes:
    """An attribute with a name."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """An attribute with 32 bits in network byte order, as nf_tables has them."""
    return attribute(kind, struct.pack(">I", value & 0xFFFFFFFF))


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute with attributes inside."""
    return attribute(kind | _NESTED, b"".join(parts))


def message(kind: int, flags: int, body: bytes) -> bytes:
    """One message."""
    return struct.pack("=IHHII", _HEAD + len(body), kind, flags, 0, 0) + body


def send(protocol: int, *messages: bytes) -> None:
    """Send the messages and wait for the answer to each that asks for one. Raises OSError for the first refusal."""
    sock = socket(AF_NETLINK, SOCK_RAW, protocol)
    try:
        sock.settimeout(SECONDS)
        sock.bind((0, 0))
        sock.send(b"".join(messages))
        left = sum(1 for it in messages if struct.unpack_from("=H", it, 6)[0] & ACK)
        while left > 0:
            left -= _answers(sock.recv(65536))
    finally:
        sock.close()


def _answers(data: bytes) -> int:
    found = at = 0
    while at + _HEAD < len(data):
        size, kind = struct.unpack_from("=IH", data, at)
        if kind == _ERROR:
            found += 1
            code = -struct.unpack_from("=i", data, at + _HEAD)[0]
            if code:
                raise OSError(code, os.strerror(code))
        at += (size + 3) & ~3
    return found


# -- addresses and routes ----------------------------------------------------------------------------------------------

_NEWLINK, _NEWADDR, _NEWROUTE = 16, 20, 24
_MTU, _ADDRESS, _LOCAL, _OUT = 4, 1, 2, 4
_UP, _TABLE_MAIN, _BOOT, _UNICAST, _NOT_TENTATIVE = 1, 254, 3, 1, 2


def up(index: int, mtu: int = 0) -> bytes:
    """A message that starts the device with this index."""
    body = struct.pack("=BxHiII", 0, 0, index, _UP, _UP)
    return message(_NEWLINK, REQUEST | ACK, body + (attribute(_MTU, struct.pack("=I", mtu)) if mtu else b""))


def address(family: int, index: int, packed: bytes) -> bytes:
    """A message that gives a device an address of its own, without neighbours."""
    body = struct.pack("=BBBBI", family, len(packed) * 8, _NOT_TENTATIVE if len(packed) == 16 else 0, 0, index)
    return message(_NEWADDR, REQUEST | ACK | CREATE, body + attribute(_LOCAL, packed) + attribute(_ADDRESS, packed))


def default_route(family: int, index: int) -> bytes:
    """A message that sends to a device what has no other route."""
    body = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _TABLE_MAIN, _BOOT, 0, _UNICAST, 0)
    return message(_NEWROUTE, REQUEST | ACK | CREATE, body + attribute(_OUT, struct.pack("=I", index)))


# -- rules -------------------------------------------------------------------------------------------------------------

_SUBSYSTEM, _BEGIN, _END = 10, 0x10, 0x11
_NEWTABLE, _NEWCHAIN, _NEWRULE = 0, 3, 6
INET, IPV4, IPV6 = 1, 2, 10
OUTPUT, PREROUTING = 3, 0
_EQUAL, _REGISTER = 0, 1
_META_PROTOCOL_FAMILY, META_IN, META_OUT, META_PROTOCOL = 15, 6, 7, 16
NETWORK, TRANSPORT = 1, 2


def _nft(kind: int, body: bytes, flags: int = 0) -> bytes:
    head = struct.pack(">BBH", INET, 0, 0)
    return message(_SUBSYSTEM << 8 | kind, REQUEST | ACK | CREATE | flags, head + body)


def batch(*messages: bytes) -> list[bytes]:
    """The messages as one transaction."""
    frame = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
    return [message(_BEGIN, REQUEST, frame), *messages, message(_END, REQUEST, frame)]


def table(name: str) -> bytes:
    """A message that creates a table for IPv4 and IPv6."""
    return _nft(_NEWTABLE, text(1, name))


def chain(of: str, name: str, kind: str, hook: int, priority: int) -> bytes:
    """A message that creates a chain of ``kind`` ``filter`` or ``nat`` at a hook."""
    return _nft(
        _NEWCHAIN, text(1, of) + text(3, name) + nested(4, number(1, hook), number(2, priority)) + text(7, kind)
    )


def rule(of: str, chain: str, *expressions: bytes) -> bytes:
    """A message that appends a rule to a chain."""
    return _nft(_NEWRULE, text(1, of) + text(2, chain) + nested(4, *expressions), APPEND)


def expression(name: str, *attributes: bytes) -> bytes:
    """One expression of a rule."""
    return nested(1, text(1, name), nested(2, *attributes))


def equal(data: bytes) -> bytes:
    """Go on if the loaded value is ``data``."""
    return expression("cmp", number(1, _REGISTER), number(2, _EQUAL), nested(3, attribute(1, data)))


def meta(key: int, data: bytes) -> bytes:
    """Go on if the packet's meta value is ``data``."""
    return expression("meta", number(2, key), number(1, _REGISTER)) + equal(data)


def device(key: int, name: str) -> bytes:
    """Go on if the packet came from (META_IN) or leaves by (META_OUT) the device."""
    return meta(key, name.encode().ljust(16, b"\0"))


def family(number: int) -> bytes:
    """Go on if the packet is of IPv4 or IPv6."""
    return meta(_META_PROTOCOL_FAMILY, bytes([number]))


def header(base: int, offset: int, data: bytes, mask: bytes = b"") -> bytes:
    """Go on if the header at ``base`` has ``data`` at an offset, after ``mask``."""
    load = expression("payload", number(1, _REGISTER), number(2, base), number(3, offset), number(4, len(mask or data)))
    if mask:
        zero = nested(5, attribute(1, b"\0" * len(mask)))
        load += expression(
            "bitwise",
            *(number(1, _REGISTER), number(2, _REGISTER), number(3, len(mask))),
            *(nested(4, attribute(1, mask)), zero),
        )
    return load + equal(data)


def untracked() -> bytes:
    """Exempt the packet from address translation."""
    return expression("notrack")


def redirected(port: int) -> bytes:
    """Redirect the connection to a port of the device that it came from."""
    value = nested(2, attribute(1, struct.pack(">H", port)))
    return expression("immediate", number(1, _REGISTER), value) + expression("redir", number(1, _REGISTER))
