"""Decides which addresses a dyno may connect to: the public internet, never this host, its link-local neighbours or a
cloud's metadata service, and private networks only if the operator opens them.

Checks the address right before the connection, so a changed DNS answer cannot bypass it.
"""

from __future__ import annotations

import os
import struct
from _socket import AF_INET, AF_INET6, SOCK_RAW, inet_ntop, inet_pton, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    Opened = Sequence[tuple[str, int]]

AF_NETLINK = 16
_GETROUTE, _NEWROUTE, _REQUEST, _DESTINATION = 26, 24, 1, 1
_ROUTES = {
    1: "",
    2: "an address of this host",
    3: "a broadcast address",
    4: "an address of this host",
    5: "a multicast address",
}

_NETS_4 = (
    ("0.0.0.0", 8, "an unspecified address"),  # noqa: S104 (named to be refused)
    ("127.0.0.0", 8, "loopback"),
    ("169.254.0.0", 16, "link-local or metadata"),
    ("100.100.100.200", 32, "metadata"),
    ("168.63.129.16", 32, "metadata"),
    ("192.0.0.0", 24, "metadata"),
    ("224.0.0.0", 4, "a multicast address"),
    ("240.0.0.0", 4, "a reserved address"),
)
_NETS_6 = (
    ("::1", 128, "loopback"),
    ("::", 128, "an unspecified address"),
    ("fe80::", 10, "link-local or metadata"),
    ("fec0::", 10, "site-local"),
    ("ff00::", 8, "a multicast address"),
    ("fd00:ec2::254", 128, "metadata"),
    ("fd20:ce::254", 128, "metadata"),
    ("64:ff9b:1::", 48, "a translated address"),
    ("2001::", 32, "a tunnelled address"),
)
_PRIVATE = (
    ("10.0.0.0", 8),
    ("172.16.0.0", 12),
    ("192.168.0.0", 16),
    ("100.64.0.0", 10),
    ("198.18.0.0", 15),
    ("fc00::", 7),
)
"""Private networks, closed until the operator opens them (in full or in part)."""
_EMBEDDED = (("::ffff:0:0", 96, 12), ("::", 96, 12), ("64:ff9b::", 96, 12), ("2002::", 16, 2))
"""Networks whose addresses contain an IPv4 address, and its position."""


def _number(text: str) -> int:
    return int.from_bytes(packed(text), "big")


def packed(text: str) -> bytes:
    """The address as 4 or 16 bytes. Raises OSError if it is none."""
    return inet_pton(AF_INET6 if ":" in text else AF_INET, text)


def _within(address: bytes, net: str, bits: int) -> bool:
    shift = len(address) * 8 - bits
    return int.from_bytes(address, "big") >> shift == _number(net) >> shift


def refusal(address: bytes, opened: Opened = ()) -> str:
    """Why a packed address (4 or 16 bytes) is refused for its range; empty if it is not. ``opened``: private networks
    for dynos.
    """
    if len(address) == 16:
        for net, bits, why in _NETS_6:
            if _within(address, net, bits):
                return why
        for net, bits, at in _EMBEDDED:
            if _within(address, net, bits):
                return refusal(address[at : at + 4], opened)
        return _private(address, opened)
    for net, bits, why in _NETS_4:
        if _within(address, net, bits):
            return why
    return _private(address, opened)


def _private(address: bytes, opened: Opened) -> str:
    def among(nets: Opened) -> bool:
        return any((":" in net) == (len(address) == 16) and _within(address, net, bits) for net, bits in nets)

    return (
        "a private network (the operator opens one by GREENROOM_PRIVATE_EGRESS)"
        if among(_PRIVATE) and not among(opened)
        else ""
    )


def route_refusal(address: bytes) -> str:
    """Why the kernel's routes of the calling thread's network refuse it (an address of this host); empty if they do
    not.
    """
    sock = socket(AF_NETLINK, SOCK_RAW, 0)
    try:
        sock.settimeout(2)
        head = struct.pack("=BBBBBBBBI", family(address), len(address) * 8, 0, 0, 0, 0, 0, 0, 0)
        body = head + struct.pack("=HH", 4 + len(address), _DESTINATION) + address
        sock.sendto(struct.pack("=IHHII", 16 + len(body), _GETROUTE, _REQUEST, 1, 0) + body, (0, 0))
        answer = sock.recv(8192)
    finally:
        sock.close()
    kind = struct.unpack_from("=H", answer, 4)[0]
    if kind != _NEWROUTE:
        code = -struct.unpack_from("=i", answer, 16)[0]
        raise OSError(code, os.strerror(code))
    return _ROUTES.get(answer[16 + 7], "an address without a route")


def family(address: bytes) -> int:
    """The family of sockets for a packed address."""
    return AF_INET6 if len(address) == 16 else AF_INET


def text(address: bytes) -> str:
    """The address in printable form."""
    return inet_ntop(family(address), address)
