"""The targets of egress rules: a host name, ``*.example.org``, an address or a network, with a port or for all ports.

Reads and normalizes them. Without ``ipaddress``, which the supervisor does not need otherwise.
"""

from __future__ import annotations

import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import NamedTuple

MOST = 100
"""Maximum number of targets of an app."""
LONGEST = 300
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\Z")
_NUMBER = re.compile(r"([0-9]+|0x[0-9a-f]*)\Z")
_DIGITS = re.compile(r"[0-9]{1,5}\Z")
_MAPPED = bytes(10) + b"\xff\xff"
_NEVER = (
    ("127.0.0.0", 8, "loopback"),
    ("0.0.0.0", 8, "an unspecified address"),  # noqa: S104 (named to be refused)
    ("169.254.0.0", 16, "link-local or metadata"),
    ("224.0.0.0", 3, "a multicast or reserved address"),
    ("::1", 128, "loopback"),
    ("::", 128, "an unspecified address"),
    ("fe80::", 10, "link-local or metadata"),
    ("ff00::", 8, "a multicast address"),
)
FORMS = "allowed: NAME, *.NAME, ADDRESS, [IPV6-ADDRESS] or NETWORK/BITS, each with or without :PORT"


class Target(NamedTuple):
    """host: lower-case name, ``*.`` and a name, address, or network ``10.2.0.0/16``. port: 0 for all ports."""

    host: str
    port: int

    @property
    def text(self) -> str:
        """The form that ``parse`` reads: ``[fd00::1]:443``, ``10.2.0.0/16:5432``, ``example.org``."""
        if not self.port:
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def parse(text: str) -> Target:
    """The normalized target. Raises ValueError with a sentence that says what is wrong."""
    if len(text) > LONGEST:
        raise ValueError(f"a target of {len(text)} characters is too long")
    if "://" in text:
        raise ValueError(f"{text[:80]!r} is a URL, not a target: name the host and the port only")
    host, port = _split(text.strip())
    if "/" in host:
        return Target(_network(host), port)
    if ":" in host or re.fullmatch(r"[0-9.]+", host):
        return Target(_address(host), port)
    return Target(_name(host), port)


def is_normal(host: str, port: int) -> bool:
    """Whether ``parse`` could have returned this target."""
    target = Target(host, port)
    try:
        return 0 <= port < 65536 and parse(target.text) == target
    except ValueError:
        return False


def _split(text: str) -> tuple[str, int]:
    if text.startswith("["):
        host, closed, rest = text[1:].partition("]")
        if not closed or ":" not in host or (rest and not rest.startswith(":")):
            raise ValueError(
                f"{text!r} is not a target: brackets enclose an IPv6 address or network, as in [fd00::1]:443"
            )
        return host, _port(text, rest[1:]) if rest else 0
    if text.count(":") > 1:
        if ":" in text.partition("/")[2]:
            raise ValueError(f"{text!r} is not a target: write an IPv6 network with a port as [fd00::/8]:443")
        return text, 0
    host, colon, port = text.partition(":")
    return host, _port(text, port) if colon else 0


def _port(text: str, port: str) -> int:
    if not _DIGITS.match(port) or not 0 < int(port) < 65536:
        raise ValueError(f"the port of {text!r} must be a number from 1 to 65535; leave it out to allow all ports")
    return int(port)


def _packed(text: str) -> bytes:
    try:
        return inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        raise ValueError(f"{text!r} is not an IP address") from None


def _shown(packed: bytes) -> str:
    return inet_ntop(AF_INET6 if len(packed) == 16 else AF_INET, packed)


def _address(text: str) -> str:
    packed = _packed(text)
    if packed.startswith(_MAPPED):
        packed = packed[12:]
    _refuse_inward(text, packed, len(packed) * 8)
    return _shown(packed)


def _network(text: str) -> str:
    host, _, digits = text.partition("/")
    if not re.fullmatch(r"[0-9.]+", host) and ":" not in host:
        raise ValueError(f"{text!r} is not a target: a network begins with an IP address, and a path is not allowed")
    packed = _packed(host)
    most = len(packed) * 8
    if not _DIGITS.match(digits) or int(digits) > most:
        raise ValueError(f"the size of the network {text!r} must be a number of bits from 0 to {most}")
    bits = int(digits)
    if packed.startswith(_MAPPED) and bits >= 96:
        packed, bits, most = packed[12:], bits - 96, 32
    rest = most - bits
    whole = (int.from_bytes(packed, "big") >> rest << rest).to_bytes(len(packed), "big")
    if whole != packed:
        raise ValueError(f"{text!r} is not a network; the network of this address is {_shown(whole)}/{bits}")
    _refuse_inward(text, packed, bits)
    return _shown(packed) if bits == most else f"{_shown(packed)}/{bits}"


def _refuse_inward(text: str, packed: bytes, bits: int) -> None:
    for net, size, why in _NEVER:
        start = _packed(net)
        shift = len(packed) * 8 - size
        same = (
            len(start) == len(packed)
            and int.from_bytes(packed, "big") >> shift == int.from_bytes(start, "big") >> shift
        )
        if same and bits >= size:
            raise ValueError(f"dynos never reach {text} ({why})")


def _name(text: str) -> str:
    name = text.lower().removesuffix(".")
    try:
        name = name if name.isascii() else name.encode("idna").decode()
    except UnicodeError:
        raise ValueError(f"{text[:80]!r} is not a host name") from None
    labels = name.removeprefix("*.").split(".")
    if len(name) > 253 or not all(_LABEL.match(label) for label in labels) or _NUMBER.match(labels[-1]):
        raise ValueError(
            f"{text[:80]!r} is not a host name; `*` may only stand for the first part, as in *.example.org"
        )
    if labels[-1] == "localhost":
        raise ValueError(f"dynos never reach {text} of this host")
    return name
