"""Reads and makes the packets at a dyno's gateway: IPv4 and IPv6 with TCP, UDP and ICMP.

Sources: RFC 791, 8200, 9293, 768, 792 and 4443.
"""

from __future__ import annotations

import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    Key = tuple[bytes, int, bytes, int]

TCP: Final = 6
UDP: Final = 17
_ICMP, _ICMP6 = 1, 58
_SYN, _ACK, _RST, _FIN = 0x02, 0x10, 0x04, 0x01
NO_ROUTE, NO_PORT, PROHIBITED = "no route", "no port", "prohibited"
_CODES = {
    4: {NO_ROUTE: (3, 1), NO_PORT: (3, 3), PROHIBITED: (3, 13)},
    6: {NO_ROUTE: (1, 0), NO_PORT: (1, 4), PROHIBITED: (1, 1)},
}
"""Type and code of "destination unreachable" by IP version."""
_QUOTED = 128
"""Bytes of the refused packet that an ICMP error contains: its headers."""
HOPS = 64


class Packet:
    """A packet of TCP or UDP: packed addresses (4 or 16 bytes), ports, and ``at``, the offset of its second header."""

    __slots__ = ("at", "data", "destination", "port", "protocol", "source", "source_port")

    def __init__(self, data: bytes) -> None:
        """Raises ValueError for any other packet, for a fragment, and for one that is cut off."""
        version = data[0] >> 4 if data else 0
        if version == 4 and len(data) >= 20:
            self.at, self.protocol = (data[0] & 15) * 4, data[9]
            self.source, self.destination = data[12:16], data[16:20]
            whole = not struct.unpack_from("!H", data, 6)[0] & 0x3FFF
        elif version == 6 and len(data) >= 40:
            self.at, self.protocol, whole = 40, data[6], True
            self.source, self.destination = data[8:24], data[24:40]
        else:
            raise ValueError("neither IPv4 nor IPv6")
        if not whole or self.protocol not in (TCP, UDP) or len(data) < self.at + (20 if self.protocol == TCP else 8):
            raise ValueError("not a whole packet of TCP or UDP")
        self.source_port, self.port = struct.unpack_from("!HH", data, self.at)
        self.data = data

    @property
    def opens(self) -> bool:
        """Whether it opens a TCP connection."""
        return self.protocol == TCP and self.data[self.at + 13] & (_SYN | _ACK | _RST | _FIN) == _SYN

    @property
    def key(self) -> Key:
        """The identity of its connection or flow: source, port, destination, port."""
        return self.source, self.source_port, self.destination, self.port

    @property
    def payload(self) -> bytes:
        """The data of a UDP packet."""
        return self.data[self.at + 8 : self.at + struct.unpack_from("!H", self.data, self.at + 4)[0]]


def reset(packet: Packet) -> bytes:
    """The answer "connection refused" to a packet that opens a connection."""
    sequence = struct.unpack_from("!I", packet.data, packet.at + 4)[0]
    head = struct.pack(
        "!HHIIBBHHH", packet.port, packet.source_port, 0, (sequence + 1) & 0xFFFFFFFF, 5 << 4, _RST | _ACK, 0, 0, 0
    )
    return _whole(packet.destination, packet.source, TCP, head, 16)


def unreachable(packet: Packet, why: str) -> bytes:
    """The ICMP error NO_ROUTE, NO_PORT or PROHIBITED, as a router on the way would send it."""
    kind, code = _CODES[4 if len(packet.source) == 4 else 6][why]
    body = struct.pack("!BBHI", kind, code, 0, 0) + packet.data[:_QUOTED]
    return _whole(packet.destination, packet.source, _ICMP if len(packet.source) == 4 else _ICMP6, body, 2)


def datagram(packet: Packet, payload: bytes) -> bytes:
    """A UDP packet that answers ``packet``."""
    head = struct.pack("!HHHH", packet.port, packet.source_port, 8 + len(payload), 0)
    return _whole(packet.destination, packet.source, UDP, head + payload, 6)


def _whole(source: bytes, destination: bytes, protocol: int, body: bytes, checksum_at: int) -> bytes:
    """The packet with its IP header and the checksum of its body at an offset."""
    pseudo = b""
    if protocol != _ICMP:
        pseudo = source + destination + struct.pack("!II", len(body), protocol)
    found = _checksum(pseudo + body) or 0xFFFF
    body = body[:checksum_at] + struct.pack("!H", found) + body[checksum_at + 2 :]
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(body), protocol, HOPS) + source + destination + body
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(body), 0, 0x4000, HOPS, protocol, 0) + source + destination
    return head[:10] + struct.pack("!H", _checksum(head)) + head[12:] + body


def _checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
