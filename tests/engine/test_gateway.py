"""Tests of a dyno's way out: a gateway with TCP, UDP and names, as root and as an ordinary user."""

from __future__ import annotations

import socket

import pytest

from greenroom.engine.local import gateway
from tests.engine.machine import IS_ROOT, Machine
from tests.engine.neighbour import Neighbour


@pytest.fixture(autouse=True)
def _gateway(machine: Machine) -> None:
    if not machine.has_gateway:
        pytest.skip("this machine has no tun device or no nf_tables: THE GATEWAY IS NOT TESTED")


KNOCK = """
import errno, socket
for host, port in {targets!r}:
    try:
        with socket.create_connection((host, port), timeout=10) as s: print('open')
    except TimeoutError: print('timeout')
    except OSError as e: print(errno.errorcode.get(e.errno, e))
"""
ECHO = """
import socket, threading
for host in {hosts!r}:
    with socket.create_connection((host, 7), timeout=60) as s:
        data = bytes(range(256)) * 40_000
        def put(): s.sendall(data); s.shutdown(socket.SHUT_WR)
        threading.Thread(target=put).start()
        got = b''
        while part := s.recv(1 << 20): got += part
        print(got == data)
"""
DATAGRAMS = """
import socket
for host in {hosts!r}:
    with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10)
        for size in (0, 1, 1400, 9000, 60_000):
            s.sendto(b'x' * size, (host, 7)); data, address = s.recvfrom(65_536)
            print(len(data) == size, address[:2] == (host, 7))
"""


def test_without_a_proxy_variable_programs_reach_the_outside(machine: Machine, neighbour: Neighbour) -> None:
    assert "PROXY" not in machine.printed("/usr/bin/env").upper()
    script = f"import urllib.request as u; print(u.urlopen('http://{neighbour.address}/path').read().decode())"
    assert machine.printed(python=script).split() == ["/path", neighbour.address]


def test_connect_ends_as_the_target_decides(machine: Machine, neighbour: Neighbour) -> None:
    targets = [
        (neighbour.address, 80),
        (neighbour.address6, 7),
        (neighbour.address, 81),
        (neighbour.address6, 81),
        (neighbour.absent, 80),
    ]
    text = machine.printed(python=KNOCK.format(targets=targets))
    assert text.split() == ["open", "open", "ECONNREFUSED", "ECONNREFUSED", "EHOSTUNREACH"]


REFUSED = (
    "169.254.169.254",
    "100.100.100.200",
    "168.63.129.16",
    "10.78.1.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "fd12::1",
    "64:ff9b::7f00:1",
    "2002:7f00:1::",
)


def test_the_host_its_networks_and_metadata_are_out_of_reach(machine: Machine, neighbour: Neighbour) -> None:
    own = socket.getaddrinfo(socket.gethostname(), 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0]
    targets = [(host, 80) for host in (*REFUSED, neighbour.host, "192.0.0.4", "127.0.0.1", "::1", str(own))]
    said = machine.printed(python=KNOCK.format(targets=targets)).split()
    assert len(said) == len(targets)
    assert set(said) <= {"EHOSTUNREACH", "EACCES", "ENETUNREACH", "ECONNREFUSED"}, said
    state = machine.run(python=KNOCK.format(targets=[("169.254.169.254", 80)] * 3))
    lines = [line for line in machine.log(process=state.process) if "169.254.169.254:80 was refused" in line]
    assert len(lines) == 1, "the log says it once"
    assert "link-local or metadata" in lines[0]


def test_much_data_passes_both_ways_and_ends_with_the_half_close(machine: Machine, neighbour: Neighbour) -> None:
    text = machine.printed(python=ECHO.format(hosts=[neighbour.address, neighbour.address6]))
    assert text.split() == ["True", "True"]


def test_datagrams_pass_both_ways(machine: Machine, neighbour: Neighbour) -> None:
    text = machine.printed(python=DATAGRAMS.format(hosts=[neighbour.address, neighbour.address6]))
    assert text.split() == ["True"] * 20


def test_a_datagram_to_a_closed_port_or_a_refused_target_is_told(machine: Machine, neighbour: Neighbour) -> None:
    script = """
import errno, socket
for target in {targets!r}:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(10); s.connect(target); s.send(b'x')
        try: print(s.recv(10))
        except OSError as e: print(errno.errorcode.get(e.errno, e))
"""
    targets = [(neighbour.address, 9), ("169.254.169.254", 53)]
    assert machine.printed(python=script.format(targets=targets)).split() == ["ECONNREFUSED", "EHOSTUNREACH"]


def test_names_are_resolved_as_on_the_host(machine: Machine) -> None:
    script = """
import socket, struct
def ask(name, kind):
    labels = b''.join(bytes([len(it)]) + it.encode() for it in name.split('.')) + bytes(1)
    query = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + labels + struct.pack('!HH', kind, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.settimeout(20); s.sendto(query, ('192.0.0.5', 53)); return s.recv(4096)
answer = ask('localhost', 1)
print(answer[3] & 15, socket.inet_ntoa(answer[-4:]))
print(ask('does-not-exist.invalid', 1)[3] & 15)
print(open('/etc/resolv.conf').read().split())
"""
    lines = machine.printed(python=script).splitlines()
    assert lines[0] == "0 127.0.0.1"
    assert lines[1] in ("3", "2"), "no such name, or no name server on this machine"
    assert lines[2] == "['nameserver', '192.0.0.5']"


def test_many_connections_at_one_time(machine: Machine, neighbour: Neighbour) -> None:
    script = f"""
import socket, concurrent.futures as f
def one(n):
    with socket.create_connection(('{neighbour.address}', 7), timeout=30) as s:
        s.sendall(b'%d' % n); return s.recv(100) == b'%d' % n
with f.ThreadPoolExecutor(50) as pool: print(sum(pool.map(one, range(500))))
"""
    assert machine.printed(python=script).strip() == "500"


def test_targets_without_an_answer_do_not_hold_up_others(machine: Machine, neighbour: Neighbour) -> None:
    script = f"""
import socket, threading, time
def knock():
    try: socket.create_connection(('{neighbour.absent}', 80), timeout=20)
    except OSError: pass
for _ in range(30): threading.Thread(target=knock, daemon=True).start()
time.sleep(0.2); before = time.monotonic()
socket.create_connection(('{neighbour.address}', 7), timeout=20)
print(time.monotonic() - before < 1); import os; os._exit(0)
"""
    assert machine.printed(python=script).strip() == "True"


def test_without_egress_there_is_no_way_out(machine: Machine, neighbour: Neighbour) -> None:
    script = KNOCK.format(targets=[(neighbour.address, 80), ("192.0.0.5", 53)])
    assert machine.printed(python=script, egress=False).split() == ["ENETUNREACH"] * 2


def test_the_listener_of_the_gateway_is_no_way_around(machine: Machine) -> None:
    script = """
import socket
try: print(socket.create_connection(('192.0.0.4', 61080), timeout=10).recv(10))
except OSError as e: print(type(e).__name__)
"""
    assert machine.printed(python=script).strip() in ("ConnectionResetError", "b''")


def test_a_dyno_cannot_change_its_network(machine: Machine) -> None:
    script = """
import os
for path in ('/dev/net/tun', '/proc/sys/net/ipv4/conf/all/rp_filter'):
    try: os.open(path, os.O_RDWR); print('open')
    except OSError as e: print(type(e).__name__)
"""
    said = machine.printed(python=script).split()
    assert len(said) == 2
    assert "open" not in said


def test_a_host_without_the_device_is_told_of_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway, "DEVICE_FILE", "/dev/net/missing")
    assert gateway.lacking(root=IS_ROOT) == "/dev/net/missing: No such file or directory"
