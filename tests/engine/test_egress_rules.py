"""Tests of an app's egress rules in real dynos: by address, network, name and port, TCP and UDP, with the gateway and
with the proxy, as root and as an ordinary user.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from greenroom.engine.contract import Forward
from tests.engine.machine import MODES, PYTHON, Machine
from tests.engine.neighbour import Neighbour

KNOCK = """
import errno, socket
for kind, host, port in {targets!r}:
    try:
        family, *_, address = socket.getaddrinfo(host, port)[0]
        with socket.socket(family, socket.SOCK_DGRAM if kind == 'udp' else socket.SOCK_STREAM) as s:
            s.settimeout(10); s.connect(address)
            if kind == 'udp': s.send(b'x'); s.recv(10)
        print('open')
    except OSError as e: print(errno.errorcode.get(e.errno, e))
"""
CLOSED = "EHOSTUNREACH"


def _hosts(neighbour: Neighbour) -> str:
    return (
        f"{neighbour.address} api.example.test vault\n{neighbour.other} www.zone.test zone.test\n"
        f"{neighbour.address6} six.example.test\n"
    )


@pytest.fixture(scope="module", params=MODES)
def machine(request: pytest.FixtureRequest, neighbour: Neighbour) -> Iterator[Machine]:
    """As root, and as an ordinary user; the neighbour has names."""
    it = Machine(request.param, hosts=_hosts(neighbour))
    if not it.has_gateway:
        it.close()
        pytest.skip("this machine has no tun device or no nf_tables: EGRESS RULES OF THE GATEWAY ARE NOT TESTED")
    yield it
    it.close()


def knocked(machine: Machine, *targets: tuple[str, str, int], **values: Any) -> list[str]:
    """The result of each connection of one dyno, in order."""
    return machine.printed(python=KNOCK.format(targets=targets), **values).split()


def test_a_rule_with_an_address_opens_it_and_nothing_else(machine: Machine, neighbour: Neighbour) -> None:
    said = knocked(
        machine,
        ("tcp", neighbour.address, 80),
        ("tcp", neighbour.address, 7),
        ("tcp", neighbour.other, 7),
        ("tcp", neighbour.address6, 7),
        ("tcp", neighbour.address6, 80),
        allowed=((neighbour.address, 80), (neighbour.address6, 0)),
    )
    assert said == ["open", CLOSED, CLOSED, "open", "ECONNREFUSED"]


def test_a_rule_with_a_network_opens_all_of_it_at_its_port(machine: Machine, neighbour: Neighbour) -> None:
    six = neighbour.address6.removesuffix("2") + "/64"
    said = knocked(
        machine,
        ("tcp", neighbour.address, 7),
        ("tcp", neighbour.other, 7),
        ("tcp", neighbour.address, 80),
        ("tcp", neighbour.address6, 7),
        allowed=((f"{neighbour.address}/31", 7), (six, 7)),
    )
    assert said == ["open", "open", CLOSED, "open"]


def test_a_rule_with_a_name_holds_for_the_addresses_of_the_name(machine: Machine, neighbour: Neighbour) -> None:
    said = knocked(
        machine,
        ("tcp", "api.example.test", 7),
        ("tcp", "api.example.test", 80),
        ("tcp", "six.example.test", 7),
        ("tcp", "www.zone.test", 7),
        allowed=(("api.example.test", 7), ("six.example.test", 0)),
    )
    assert said == ["open", CLOSED, "open", CLOSED]
    assert knocked(machine, ("tcp", "vault", 80), allowed=(("vault", 80),)) == ["open"], "a name without a dot"


def test_an_address_of_an_allowed_name_needs_no_look_up_by_the_dyno(machine: Machine, neighbour: Neighbour) -> None:
    targets = [("tcp", neighbour.address, 80), ("tcp", neighbour.other, 7)]
    assert knocked(machine, *targets, allowed=(("api.example.test", 80),)) == ["open", CLOSED]


def test_a_wildcard_stands_for_names_below_it(machine: Machine, neighbour: Neighbour) -> None:
    said = knocked(
        machine,
        ("tcp", neighbour.other, 7),
        ("tcp", "zone.test", 7),
        ("tcp", "www.zone.test", 7),
        ("tcp", neighbour.other, 7),
        ("tcp", "api.example.test", 7),
        allowed=(("*.zone.test", 7),),
    )
    assert said == [CLOSED, CLOSED, "open", "open", CLOSED], "after its look-up, the address is known"


def test_a_look_up_with_a_nul_does_not_open_the_address_of_its_first_part(
    machine: Machine, neighbour: Neighbour
) -> None:
    script = """
import socket, struct
labels = b''.join(bytes([len(it)]) + it for it in (b'api', b'example', b'test\\0', b'zone', b'test')) + bytes(1)
query = struct.pack('!HHHHHH', 7, 0x100, 1, 0, 0, 0) + labels + struct.pack('!HH', 1, 1)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
    s.settimeout(20); s.sendto(query, ('192.0.0.5', 53)); print(s.recv(4096)[3] & 15)
"""
    script += KNOCK.format(targets=[("tcp", neighbour.address, 7)])
    assert machine.printed(python=script, allowed=(("*.zone.test", 7),)).split() == ["1", CLOSED]


def test_rules_hold_for_datagrams(machine: Machine, neighbour: Neighbour) -> None:
    targets = [("udp", neighbour.address, 7), ("udp", "www.zone.test", 7), ("udp", neighbour.other, 9)]
    said = knocked(machine, *targets, allowed=((neighbour.address, 7), ("www.zone.test", 7)))
    assert said == ["open", "open", CLOSED]


def test_without_a_rule_there_is_no_way_out_but_the_add_ons_answer(machine: Machine, neighbour: Neighbour) -> None:
    serve = "import socket; s = socket.create_server(('127.0.0.1', 6379)); s.accept()[0].sendall(b'store')"
    store = machine.start(PYTHON, "-c", serve, kind="service", port=6379, service="service:rules")
    machine.until_listening(store.id)
    read = "import socket; print(socket.create_connection(('127.0.0.1', 6379), timeout=10).recv(10))"
    script = KNOCK.format(targets=[("tcp", neighbour.address, 80), ("udp", neighbour.address, 7)]) + read
    forward = Forward(port=6379, service="service:rules")
    assert machine.printed(python=script, allowed=(), forwards=(forward,)).split() == [CLOSED, CLOSED, "b'store'"]


def test_the_log_says_the_command_that_allows_a_refused_target(machine: Machine, neighbour: Neighbour) -> None:
    targets = [("tcp", "api.example.test", 80)] * 2 + [("udp", neighbour.other, 7)]
    state = machine.run(python=KNOCK.format(targets=targets), allowed=())
    lines = [line for line in machine.log(process=state.process) if "was refused" in line]
    assert len(lines) == 2, "once for each target"
    assert f"The connection to {neighbour.address}:80 was refused: the app's egress rules do not allow it" in lines[0]
    assert "greenroom egress:allow api.example.test:80" in lines[0]
    assert f"greenroom egress:allow {neighbour.other}:7" in lines[1]


def test_a_dyno_without_a_log_has_it_in_its_output(machine: Machine, neighbour: Neighbour) -> None:
    text = machine.printed(python=KNOCK.format(targets=[("tcp", "api.example.test", 80)]), allowed=(), log="")
    assert "[greenroom] The connection to " in text
    assert "greenroom egress:allow api.example.test:80" in text
    assert CLOSED in text.splitlines()


@pytest.mark.parametrize("mode", MODES)
def test_rules_hold_for_the_proxy(mode: str, neighbour: Neighbour) -> None:
    targets = [f"api.example.test:{port}" for port in (80, 7)] + [f"{neighbour.address}:80", f"{neighbour.other}:7"]
    script = f"""
import socket
for host in {targets!r}:
    s = socket.create_connection(('127.0.0.1', 61080))
    s.sendall(f'CONNECT {{host}} HTTP/1.1\\r\\n\\r\\n'.encode())
    print(s.recv(1000).split()[1].decode())
"""
    machine = Machine(mode, proxy=True, hosts=_hosts(neighbour))
    try:
        assert machine.printed(python=script, allowed=(("api.example.test", 80),)).split() == [
            "200",
            "403",
            "200",
            "403",
        ]
    finally:
        machine.close()
