"""Tests of the targets of egress rules."""

from __future__ import annotations

import pytest

from greenroom.basics import targets


@pytest.mark.parametrize(
    ("given", "host", "port", "text"),
    [
        ("api.example.org:443", "api.example.org", 443, "api.example.org:443"),
        (" API.Example.org. ", "api.example.org", 0, "api.example.org"),
        ("vault:8200", "vault", 8200, "vault:8200"),
        ("_dmarc.example.org:053", "_dmarc.example.org", 53, "_dmarc.example.org:53"),
        ("bücher.example:443", "xn--bcher-kva.example", 443, "xn--bcher-kva.example:443"),
        ("*.example.org:443", "*.example.org", 443, "*.example.org:443"),
        ("203.0.113.9", "203.0.113.9", 0, "203.0.113.9"),
        ("203.0.113.9:443", "203.0.113.9", 443, "203.0.113.9:443"),
        ("10.2.0.0/16:5432", "10.2.0.0/16", 5432, "10.2.0.0/16:5432"),
        ("10.2.3.4/32", "10.2.3.4", 0, "10.2.3.4"),
        ("0.0.0.0/0:443", "0.0.0.0/0", 443, "0.0.0.0/0:443"),
        ("[2001:DB8::1]:443", "2001:db8::1", 443, "[2001:db8::1]:443"),
        ("[2001:db8::1]", "2001:db8::1", 0, "2001:db8::1"),
        ("2001:db8:0:0::1", "2001:db8::1", 0, "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9", 0, "203.0.113.9"),
        ("::ffff:10.2.0.0/112", "10.2.0.0/16", 0, "10.2.0.0/16"),
        ("fd00::/8", "fd00::/8", 0, "fd00::/8"),
        ("[fd00::/8]:443", "fd00::/8", 443, "[fd00::/8]:443"),
        ("::/0", "::/0", 0, "::/0"),
    ],
)
def test_a_target_is_normalized_and_its_text_is_read_again(given: str, host: str, port: int, text: str) -> None:
    found = targets.parse(given)
    assert (found.host, found.port, found.text) == (host, port, text)
    assert targets.parse(found.text) == found
    assert targets.is_normal(host, port)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("", "not a host name"),
        (":443", "not a host name"),
        ("https://api.example.org/", "URL"),
        ("api.example.org/path", "a network begins with an IP address"),
        ("api.example.org:", "number from 1 to 65535"),
        ("api.example.org:0", "number from 1 to 65535"),
        ("api.example.org:65536", "number from 1 to 65535"),
        ("api.example.org:https", "number from 1 to 65535"),
        ("api.example.org:\uff14\uff14\uff13", "number from 1 to 65535"),
        ("api example.org", "not a host name"),
        ("-a.example.org", "not a host name"),
        ("a..org", "not a host name"),
        ("a.*.org", "may only stand for the first part"),
        ("*", "not a host name"),
        ("*.", "not a host name"),
        ("*a.org", "not a host name"),
        ("a.0x7f", "not a host name"),
        ("0x7f000001", "not a host name"),
        ("2130706433:80", "not an IP address"),
        ("127.1", "not an IP address"),
        ("1.2.3.4.5", "not an IP address"),
        ("010.1.1.1", "not an IP address"),
        ("127.0.0.1:80", "loopback"),
        ("127.0.0.0/8", "loopback"),
        ("[::1]:443", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("169.254.169.254", "metadata"),
        ("fe80::1", "link-local"),
        ("224.0.0.1", "multicast"),
        ("localhost:6379", "of this host"),
        ("a.localhost", "of this host"),
        ("10.2.3.4/16", "the network of this address is 10.2.0.0/16"),
        ("10.2.0.0/33", "from 0 to 32"),
        ("10.2.0.0/", "from 0 to 32"),
        ("fd00::/129", "from 0 to 128"),
        ("fd00::/8:443", r"\[fd00::/8\]:443"),
        ("[fd00::/8", "brackets"),
        ("[example.org]:443", "brackets"),
        ("[::1]443", "brackets"),
        ("fe80::1%eth0", "not an IP address"),
        ("a" * 64 + ".org", "not a host name"),
        ("a." * 140 + "org", "not a host name"),
        ("a" * 400, "too long"),
        ("a\n.org", "not a host name"),
        ("a.org\n:443", "not a host name"),
        ("a.org\0", "not a host name"),
    ],
)
def test_what_is_no_target_is_refused_with_the_reason(given: str, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        targets.parse(given)


@pytest.mark.parametrize(("host", "port"), [("A.org", 1), ("a.org", 65536), ("a.org", -1), ("10.0.0.1/8", 0), ("", 0)])
def test_what_parse_does_not_return_is_not_normal(host: str, port: int) -> None:
    assert not targets.is_normal(host, port)
