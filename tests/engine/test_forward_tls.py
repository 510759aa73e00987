"""Tests of TLS at a dyno's forwards: PostgreSQL's and Redis' ways to ask for it, plain clients, and hostile ones."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from greenroom.basics import unixsock
from greenroom.engine import artefacts
from greenroom.engine.contract import Forward, Mount
from greenroom.engine.local import forward_tls
from greenroom_cli.host import keys
from tests.engine import database_client
from tests.engine.machine import PYTHON, Machine

DATABASE = (Forward(port=5432, service="service:database"),)
PARROTS = (Forward(port=6379, service="service:parrots"),)
TLS = """
import socket, ssl, sys, time
authority = {authority!r}
def secure(sock, name='localhost', alpn=()):
    context = ssl.create_default_context(cadata=authority)
    if alpn: context.set_alpn_protocols(list(alpn))
    return context.wrap_socket(sock, server_hostname=name)
def connect(port=6379):
    sock = socket.create_connection(('127.0.0.1', port)); sock.settimeout(20)
    return sock
def all_of(sock):
    data = bytearray()
    while part := sock.recv(65536): data += part
    return bytes(data)
"""


@pytest.fixture(scope="module")
def authority(machine: Machine) -> str:
    """The CA certificate of the machine, in PEM. Its supervisor hands out the certificate of forwards from now on."""
    folder = Path(machine.home, "keys")
    folder.mkdir(mode=0o700, exist_ok=True)
    keys.make_all(Path(machine.home), None)
    machine.own(str(folder))
    return (Path(machine.home) / "ca.pem").read_text()


@contextlib.contextmanager
def serving(machine: Machine, service: str, port: int, answer: Callable[[socket.socket], None]) -> Iterator[None]:
    """Serve a service of the installation, each connection in a thread of its own."""
    path = Path(machine.home, artefacts.socket(service, port))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    listener = unixsock.bind(path, mode=0o777)
    machine.own(str(path.parent))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=answer, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield
    listener.close()
    path.unlink()


def parrot(client: socket.socket) -> None:
    """Repeat everything in capitals; the end of input ends the output."""
    with client, contextlib.suppress(OSError):  # a client that is gone
        while data := client.recv(65536):
            client.sendall(data.upper())


@pytest.fixture(scope="module")
def parrots(machine: Machine, authority: str) -> Iterator[str]:
    """``service:parrots`` repeats everything. Gives the first lines of a client's code."""
    with serving(machine, "service:parrots", 6379, parrot):
        yield TLS.format(authority=authority)


def printed(machine: Machine, code: str, forwards: tuple[Forward, ...] = PARROTS, **values: object) -> str:
    return machine.printed(python=code, forwards=forwards, **values).strip()


def test_a_client_that_starts_with_tls_gets_it_with_a_certificate_for_its_address(
    machine: Machine, parrots: str
) -> None:
    code = (
        "for name in ('localhost', '127.0.0.1'):\n  s = secure(connect(), name); s.sendall(b'ping'); print(s.recv(9))"
    )
    assert printed(machine, parrots + code) == "b'PING'\nb'PING'"


def test_the_certificate_is_for_no_other_name(machine: Machine, parrots: str) -> None:
    code = "try: secure(connect(), 'shop.localhost')\nexcept ssl.SSLCertVerificationError as e: print(e.verify_message)"
    assert "Hostname mismatch" in printed(machine, parrots + code)


def test_postgresql_is_asked_in_its_own_words_and_chosen_by_alpn(machine: Machine, parrots: str) -> None:
    code = """
s = connect(); s.sendall(bytes.fromhex('0000000804d2162f')); print(s.recv(1))
s = secure(s, alpn=['postgresql']); print(s.selected_alpn_protocol(), s.version())
s.sendall(b'hello'); print(s.recv(9))
s = secure(connect(), alpn=['h2', 'postgresql']); print(s.selected_alpn_protocol())
s = secure(connect(), alpn=['h2']); print(s.selected_alpn_protocol())
"""
    assert printed(machine, parrots + code).split() == [
        *("b'S'", "postgresql", "TLSv1.3", "b'HELLO'"),
        *("postgresql", "None"),
    ]


def test_gssapi_is_declined_and_tls_may_follow(machine: Machine, parrots: str) -> None:
    code = """
s = connect(); s.sendall(bytes.fromhex('0000000804d21630')); print(s.recv(1))
s.sendall(bytes.fromhex('0000000804d2162f')); print(s.recv(1))
s = secure(s); s.sendall(b'a'); print(s.recv(9))
s = connect(); s.sendall(bytes.fromhex('0000000804d21630')); print(s.recv(1)); s.sendall(b'plain'); print(s.recv(9))
"""
    assert printed(machine, parrots + code).split() == ["b'N'", "b'S'", "b'A'", "b'N'", "b'PLAIN'"]


def test_a_request_in_single_bytes_is_the_same_request(machine: Machine, parrots: str) -> None:
    code = """
s = connect(); s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
for byte in bytes.fromhex('0000000804d216300000000804d2162f'):
    s.sendall(bytes([byte])); time.sleep(0.02)
time.sleep(0.1); print(s.recv(9))
s = secure(s); s.sendall(b'a'); print(s.recv(9))
"""
    assert printed(machine, parrots + code) == "b'NS'\nb'A'"


@pytest.mark.parametrize("first", ["00000008", "16", "1602ff", "0000000804d2162e", "ff", "0000001604d2162f", "00"])
def test_every_other_start_reaches_the_service_unchanged(machine: Machine, parrots: str, first: str) -> None:
    code = (
        f"first = bytes.fromhex({first!r}); s = connect(); s.sendall(first); s.shutdown(socket.SHUT_WR)\n"
        "print(all_of(s) == first.upper())\n"
        "s = connect(); s.sendall(first + b' and more of it'); s.shutdown(socket.SHUT_WR)\n"
        "print(all_of(s) == (first + b' and more of it').upper())"
    )
    assert printed(machine, parrots + code) == "True\nTrue"


def test_a_client_that_ends_without_a_word_is_no_error(machine: Machine, parrots: str) -> None:
    code = "s = connect(); s.shutdown(socket.SHUT_WR); print(all_of(s))"
    assert printed(machine, parrots + code) == "b''"


def test_data_before_the_handshake_is_never_taken_for_encrypted_data(machine: Machine, parrots: str) -> None:
    code = "s = connect(); s.sendall(bytes.fromhex('0000000804d2162f') + b'SELECT 1'); print(all_of(s))"
    assert printed(machine, parrots + code) == "b''"


def test_garbage_instead_of_a_handshake_gets_an_alert_and_the_next_client_is_served(
    machine: Machine, parrots: str
) -> None:
    code = """
s = connect(); s.sendall(bytes.fromhex('16030100050000000000') + b'x' * 4000)
try: print(all_of(s)[:1])
except ConnectionResetError: print(b'\\x15')
s = secure(connect()); s.sendall(b'still'); print(s.recv(9))
"""
    assert printed(machine, parrots + code) == "b'\\x15'\nb'STILL'"


def test_a_client_that_stalls_in_the_handshake_is_dropped_and_delays_nobody(machine: Machine, parrots: str) -> None:
    code = """
stalled = [connect() for _ in range(20)]
for s in stalled:
    s.sendall(bytes.fromhex('0000000804d2162f')); s.recv(1); s.sendall(bytes.fromhex('1603010200010001fc'))
began = time.monotonic(); s = secure(connect()); s.sendall(b'a'); print(s.recv(1)); print(time.monotonic() - began < 2)
for s in stalled: assert all_of(s) == b''
print(8 < time.monotonic() - began < 14)
"""
    state = machine.run(PYTHON, "-u", "-c", parrots + code, forwards=PARROTS, output=True)
    assert machine.output(state.id).split() == ["b'A'", "True", "True"]


def test_fifty_megabytes_pass_both_ways_unharmed(machine: Machine, parrots: str) -> None:
    code = """
import hashlib, threading
sent, received = hashlib.sha256(), hashlib.sha256()
s = secure(connect())
def write():
    for number in range(800):
        part = (b'%08d' % number) * 8192
        sent.update(part); s.sendall(part)
writer = threading.Thread(target=write); writer.start()
left = 800 * 65536
while left:
    part = s.recv(min(left, 65536)); received.update(part); left -= len(part)
writer.join()
print(sent.hexdigest() == received.hexdigest())
"""
    assert printed(machine, parrots + code) == "True"


def test_a_reader_that_rests_costs_no_memory(machine: Machine, parrots: str) -> None:
    """The client sends until nobody takes any more: neither side's data may pile up in the shim."""
    code = """
s = secure(connect()); s.settimeout(3); total = 0
try:
    while total < 300_000_000: total += s.send(b'x' * 65536)
except TimeoutError: pass
print(total < 100_000_000); time.sleep(1.5)
"""
    state = machine.start(PYTHON, "-u", "-c", parrots + code, forwards=PARROTS, output=True)
    machine.until(state.id, lambda _: "True" in machine.output(state.id))
    resident = Path(f"/proc/{machine.shim(state.id)}/status").read_text().split("VmRSS:")[1].split()[0]
    machine.engine.forget(state.id)
    assert int(resident) < 60_000


@pytest.mark.parametrize("way", ["s.unwrap()", "s.shutdown(socket.SHUT_WR)"])
def test_the_end_of_input_reaches_the_service_and_its_last_words_come_back(
    machine: Machine, authority: str, way: str
) -> None:
    def count(client: socket.socket) -> None:
        with client:
            size = 0
            while data := client.recv(65536):
                size += len(data)
            client.sendall(b"got %d" % size)

    code = """
import _ssl
inner, outer = ssl.MemoryBIO(), ssl.MemoryBIO()
context = ssl.create_default_context(cadata=authority)
tls = context.wrap_bio(inner, outer, server_hostname='localhost')
s = connect()
def step(what):
    while True:
        try: return what()
        except ssl.SSLWantReadError:
            if outer.pending: s.sendall(outer.read())
            data = s.recv(65536)
            inner.write(data) if data else inner.write_eof()
step(tls.do_handshake)
for _ in range(30): tls.write(b'z' * 10000)
if {unwrap}:
    try: tls.unwrap()
    except ssl.SSLWantReadError: pass
s.sendall(outer.read()); s.shutdown(socket.SHUT_WR)
print(step(lambda: tls.read(100)))
"""
    forwards = (Forward(port=6379, service="service:counters"),)
    client = TLS.format(authority=authority) + code.replace("{unwrap}", str("unwrap" in way))
    with serving(machine, "service:counters", 6379, count):
        assert printed(machine, client, forwards) == "b'got 300000'"


def test_the_end_of_the_service_is_a_proper_end_of_tls(machine: Machine, authority: str) -> None:
    def once(client: socket.socket) -> None:
        client.recv(100)
        client.sendall(b"bye")
        client.close()

    code = "s = secure(connect()); s.sendall(b'a'); print(s.recv(9)); print(s.recv(9))"  # no SSLEOFError
    forwards = (Forward(port=6379, service="service:closers"),)
    with serving(machine, "service:closers", 6379, once):
        assert printed(machine, TLS.format(authority=authority) + code, forwards) == "b'bye'\nb''"


def test_five_hundred_short_connections_leave_nothing_behind(machine: Machine, parrots: str) -> None:
    code = """
context = ssl.create_default_context(cadata=authority)
for number in range(500):
    s = context.wrap_socket(connect(), server_hostname='localhost') if number % 2 else connect()
    s.sendall(b'ping %d' % number); assert s.recv(20) == b'PING %d' % number
    s.close()
print('done'); time.sleep(2)
"""
    state = machine.start(PYTHON, "-u", "-c", parrots + code, forwards=PARROTS, output=True)
    machine.until(state.id, lambda _: "done" in machine.output(state.id))
    shim = machine.shim(state.id)
    folder = Path(f"/proc/{shim}/fd")
    machine.until(state.id, lambda _: sum("socket:" in os.readlink(path) for path in folder.iterdir()) < 10)
    assert (machine.folder(state.id) / "shim.err").read_text() == ""
    machine.engine.forget(state.id)


def test_a_plain_client_costs_the_shim_no_tls(machine: Machine, parrots: str) -> None:
    if machine.is_root and not forward_tls._is_open(os.path.dirname(os.__file__)):
        pytest.skip("the suite's Python is closed to other users: shims import ssl before they drop root")
    code = "s = connect(); s.sendall(b'a'); print(s.recv(9)); time.sleep(2)"
    state = machine.start(PYTHON, "-u", "-c", parrots + code, forwards=PARROTS, output=True)
    machine.until(state.id, lambda _: "b'A'" in machine.output(state.id))
    assert "libssl" not in Path(f"/proc/{machine.shim(state.id)}/maps").read_text()
    machine.engine.forget(state.id)


def test_no_process_that_an_app_sees_knows_the_key(machine: Machine, parrots: str) -> None:
    """``reversed``: the test's own words must not be what it finds."""
    path = Path(machine.home, artefacts.CERTIFICATE)
    secret = path.read_text().splitlines()[1]
    code = f"""
import glob, re
s = secure(connect()); s.sendall(b'a'); s.recv(1)
secret = bytes(reversed({secret[::-1].encode()!r}))
try: print(open({str(path)!r}).read())
except OSError as error: print(type(error).__name__)
def memory(pid):
    with open(f'/proc/{{pid}}/mem', 'rb', 0) as file:
        for low, high in re.findall(r'^(\\w+)-(\\w+) r', open(f'/proc/{{pid}}/maps').read(), re.M):
            try: file.seek(int(low, 16)); yield file.read(int(high, 16) - int(low, 16))
            except (OSError, OverflowError, ValueError): pass
others = [path.split('/')[2] for path in glob.glob('/proc/[0-9]*') if path != f'/proc/{{__import__("os").getpid()}}']
print(others)
for pid in others:
    print(open(f'/proc/{{pid}}/comm').read().strip(), any(secret in part for part in memory(pid)))
"""
    assert printed(machine, parrots + code).split("\n") == ["FileNotFoundError", "['1']", "bwrap False"]


def test_a_forward_without_a_certificate_is_plain(own_machine: Machine) -> None:
    """As for a dyno that a supervisor of an earlier version started."""
    code = "s = connect(); s.sendall(b'\\0\\0\\0\\x08' + b'abc'); print(s.recv(9))"
    with serving(own_machine, "service:parrots", 6379, parrot):
        assert printed(own_machine, TLS.format(authority="") + code) == "b'\\x00\\x00\\x00\\x08ABC'"


# -- PostgreSQL --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def psycopg_mount(machine: Machine) -> tuple[Mount, ...]:
    """The suite's psycopg, mounted in dynos for the system's Python."""
    if not database_client.same_minor():
        pytest.skip("the system's Python has another version than the suite's: psycopg cannot be loaded")
    return (database_client.mount(machine),)


@pytest.fixture(scope="module")
def postgresql(machine: Machine, authority: str) -> Iterator[str]:
    """The suite's server as ``service:database``; gives its URL inside of a dyno."""
    parts = urlsplit(os.environ["DATABASE_URL"])

    def relay(client: socket.socket) -> None:
        with client, socket.create_connection((str(parts.hostname), int(parts.port or 5432))) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join()

    with serving(machine, "service:database", 5432, relay):
        yield f"postgres://{parts.username}:{parts.password}@127.0.0.1:5432/postgres"


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)


ASK = """
import sys; sys.path.insert(0, '/app')
import psycopg
open('/tmp/ca.pem', 'w').write({authority!r})
try:
    with psycopg.connect({url!r} + {options!r}) as connection:
        print(connection.pgconn.ssl_in_use, connection.execute({query!r}).fetchone()[0])
except psycopg.OperationalError as error: print(str(error))
"""


def ask(machine: Machine, mount: tuple[Mount, ...], authority: str, url: str, options: str, query: str) -> str:
    code = ASK.format(authority=authority, url=url, options=options, query=query)
    return printed(machine, code, DATABASE, mounts=mount)


@pytest.mark.parametrize(
    ("options", "encrypted"),
    [
        ("?sslmode=require", True),
        ("?sslmode=prefer", True),
        ("?sslmode=allow", False),
        ("?sslmode=disable", False),
        ("?sslmode=require&gssencmode=prefer", True),
        ("?sslmode=require&channel_binding=prefer", True),
        ("?sslmode=verify-full&sslrootcert=/tmp/ca.pem", True),
        ("?sslmode=require&sslnegotiation=direct", True),
    ],
)
def test_psycopg_gets_the_encryption_that_its_url_asks_for(
    machine: Machine,
    psycopg_mount: tuple[Mount, ...],
    authority: str,
    postgresql: str,
    options: str,
    encrypted: bool,
) -> None:
    said = ask(machine, psycopg_mount, authority, postgresql, options, "SELECT 7")
    if "invalid connection option" in said or "invalid URI query parameter" in said:
        pytest.skip(f"this libpq does not know {options}")
    assert said == f"{encrypted} 7"


def test_a_large_result_comes_through_tls(
    machine: Machine, psycopg_mount: tuple[Mount, ...], authority: str, postgresql: str
) -> None:
    query = "SELECT repeat('0123456789', 5000000)"
    code = ASK.format(authority=authority, url=postgresql, options="?sslmode=require", query=query)
    code = code.replace("fetchone()[0])", "fetchone()[0] == '0123456789' * 5000000)")
    assert printed(machine, code, DATABASE, mounts=psycopg_mount) == "True True"


def test_channel_binding_cannot_be_required(
    machine: Machine, psycopg_mount: tuple[Mount, ...], authority: str, postgresql: str
) -> None:
    options = "?sslmode=require&channel_binding=require"
    assert "channel binding" in ask(machine, psycopg_mount, authority, postgresql, options, "SELECT 1")
