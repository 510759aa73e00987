"""Tests of the way out of a dyno on a host without a gateway: the HTTP proxy."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from greenroom.engine.local import egress
from greenroom.engine.local.reach import Reach
from tests.engine.machine import MODES, Machine
from tests.engine.neighbour import Neighbour


@pytest.fixture(scope="module", params=MODES)
def machine(request: pytest.FixtureRequest) -> Iterator[Machine]:
    """As root, and as an ordinary user; with the proxy."""
    it = Machine(request.param, proxy=True)
    yield it
    it.close()


FETCH = """
import http.client, sys
for target in {targets!r}:
    c = http.client.HTTPConnection('127.0.0.1', 61080, timeout=20)
    c.request('GET', target)
    r = c.getresponse()
    print(r.status, r.read().decode().strip())
"""


def test_loopback_metadata_and_the_hosts_addresses_are_refused(machine: Machine) -> None:
    own = socket.getaddrinfo(socket.gethostname(), 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    hosts = ["127.0.0.1:22", "localhost:5432", "0.0.0.0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "2130706433", "0x7f.1"]
    hosts += ["127.1", "169.254.169.254", "[fe80::1]", "224.0.0.1", "255.255.255.255", str(own)]
    targets = [f"http://{host}/latest/meta-data" for host in hosts]
    text = machine.printed(python=FETCH.format(targets=targets))
    assert [line.split()[0] for line in text.splitlines()] == ["403"] * len(hosts), text


def test_connect_is_refused_in_the_same_way(machine: Machine) -> None:
    script = """
import socket
for host in ('127.0.0.1:22', '169.254.169.254:80', '[::1]:22'):
    s = socket.create_connection(('127.0.0.1', 61080))
    s.sendall(f'CONNECT {host} HTTP/1.1\\r\\nHost: {host}\\r\\n\\r\\n'.encode())
    print(s.recv(1000).split()[1].decode())
"""
    assert machine.printed(python=script).split() == ["403"] * 3


def test_without_egress_there_is_no_proxy(machine: Machine) -> None:
    script = (
        "import os, socket\ntry: socket.create_connection(('127.0.0.1', 61080))\nexcept OSError as e: print(e.strerror)"
    )
    assert machine.printed(python=script, egress=False).strip() == "Connection refused"
    assert "PROXY" not in machine.printed("/usr/bin/env", egress=False)


def test_the_apps_own_proxy_variables_win(machine: Machine) -> None:
    text = machine.printed("/usr/bin/env", env={"HTTPS_PROXY": "http://proxy.example:3128"})
    assert "HTTPS_PROXY=http://proxy.example:3128" in text.splitlines()


def test_the_world_outside_can_be_reached_by_http_and_by_connect(machine: Machine, neighbour: Neighbour) -> None:
    text = machine.printed(
        python="import urllib.request as u, os; print(u.urlopen(f'http://{0}/some/path?q=1').read().decode())".replace(
            "{0}", neighbour.address
        )
    )
    assert text.split() == ["/some/path?q=1", neighbour.address]
    script = f"""
import http.client
c = http.client.HTTPConnection('127.0.0.1', 61080); c.set_tunnel('{neighbour.address}', 80)
c.request('GET', '/tunnelled'); print(c.getresponse().read().decode())
"""
    assert machine.printed(python=script).split()[0] == "/tunnelled"
    assert machine.printed(python=FETCH.format(targets=[f"http://{neighbour.host}/"])).startswith("403 ")
    assert machine.printed(python=FETCH.format(targets=[f"http://{neighbour.address}:81/"])).startswith("502 ")
    assert machine.printed(python=FETCH.format(targets=["http://10.78.1.1/"])).startswith(
        "403 "
    )  # a private network that is not opened


def test_many_slow_destinations_do_not_hold_up_a_quick_one(machine: Machine, neighbour: Neighbour) -> None:
    script = f"""
import socket, time
for _ in range(5):
    s = socket.create_connection(('127.0.0.1', 61080)); s.sendall(b'CONNECT {neighbour.absent}:80 HTTP/1.1\\r\\n\\r\\n')
    globals()[f's{{_}}'] = s
time.sleep(0.1); before = time.time()
s = socket.create_connection(('127.0.0.1', 61080)); s.sendall(b'CONNECT {neighbour.address}:80 HTTP/1.1\\r\\n\\r\\n')
print(s.recv(100).split()[1].decode(), time.time() - before < 1)
"""
    assert machine.printed(python=script).split() == ["200", "True"]


def test_a_name_is_judged_by_the_address_it_has_at_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(egress, "getaddrinfo", lambda *_: answers)
    with pytest.raises(egress.AnswerError) as caught:
        egress.connect(b"innocent.example", 80, Reach(()))
    assert caught.value.status.startswith("403")


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"CONNECT a.b:443 HTTP/1.1\r\nHost: a.b\r\n\r\nrest", (b"a.b", 443, True, b"rest")),
        (b"CONNECT [::1]:8443 HTTP/1.1\r\n\r\n", (b"::1", 8443, True, b"")),
        (
            (
                b"GET http://u:p@a.b:81/x?y HTTP/1.1\r\nHost: a.b:81\r\nProxy-Authorization: s\r\nConnection:"
                b" keep-alive\r\n\r\nB"
            ),
            (b"a.b", 81, False, b"GET /x?y HTTP/1.1\r\nHost: a.b:81\r\nConnection: close\r\n\r\nB"),
        ),
        (b"GET HTTP://a.b?q HTTP/1.1\r\n\r\n", (b"a.b", 80, False, b"GET /?q HTTP/1.1\r\nConnection: close\r\n\r\n")),
    ],
)
def test_a_proxy_request_is_taken_apart(head: bytes, expected: tuple[bytes, int, bool, bytes]) -> None:
    host, port, greeting, first = egress.parse(head)
    assert (host, port, bool(greeting), first) == expected


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"GET ftp://a/ HTTP/1.1\r\n\r\n",
        b"CONNECT a:0 HTTP/1.1\r\n\r\n",
        b"x\r\n\r\n",
        b"CONNECT :1 H\r\n\r\n",
    ],
)
def test_what_is_no_proxy_request_is_refused(head: bytes) -> None:
    with pytest.raises(egress.AnswerError):
        egress.parse(head)
