"""Tests of the addresses that dynos may connect to."""

from __future__ import annotations

import socket

import pytest

from greenroom.engine.local import addresses


def _packed(text: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in text else socket.AF_INET, text)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.255.0.1",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.169.254",
        "100.100.100.200",
        "168.63.129.16",
        "192.0.0.192",
        "224.0.0.251",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "fd00:ec2::254",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:a9fe:a9fe::1",
        "2001::1",
    ],
)
def test_an_address_that_leads_inwards_is_refused(address: str) -> None:
    assert addresses.refusal(_packed(address))


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "93.184.216.34",
        "9.255.255.255",
        "11.0.0.1",
        "172.32.0.1",
        "100.128.0.1",
        "198.20.0.1",
        "2606:4700::1111",
        "2001:db8::1",
    ],
)
def test_an_address_of_the_world_is_not(address: str) -> None:
    assert addresses.refusal(_packed(address)) == ""


@pytest.mark.parametrize(
    "address",
    [
        "10.0.0.5",
        "192.168.1.1",
        "172.16.0.1",
        "172.31.255.255",
        "100.64.0.1",
        "198.18.0.1",
        "198.19.9.9",
        "fd12::1",
        "fc00::1",
        "::ffff:10.1.2.3",
        "64:ff9b::c0a8:101",
    ],
)
def test_a_private_network_is_closed_until_the_operator_opens_it(address: str) -> None:
    assert "private network" in addresses.refusal(_packed(address))
    opened = [
        ("10.0.0.0", 8),
        ("172.16.0.0", 12),
        ("192.168.0.0", 16),
        ("100.64.0.0", 10),
        ("198.18.0.0", 15),
        ("fc00::", 7),
    ]
    assert addresses.refusal(_packed(address), opened) == ""
    assert addresses.refusal(_packed(address), [("10.0.0.0", 32), ("fd99::", 16)])
    assert addresses.refusal(_packed("169.254.169.254"), [("169.254.0.0", 16)]), "metadata is never open"


def test_the_kernels_routes_tell_the_hosts_own_addresses() -> None:
    assert addresses.route_refusal(_packed("127.0.0.1")) == "an address of this host"
    assert addresses.route_refusal(_packed(str(socket.gethostbyname(socket.gethostname()))))
