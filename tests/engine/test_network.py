"""Tests of a dyno's three network paths: incoming requests, forwards to outside unix sockets, the outbound proxy."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
import socketserver
import subprocess
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.basics import unixsock
from greenroom.engine.contract import DynoState, Forward
from greenroom.engine.errors import EngineError
from greenroom.engine.local import addresses, egress
from tests.engine.machine import ALICE, IS_ROOT, OPENED, Machine

THREADED = """
import http.server, os, socketserver, time
class It(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def answer(self, body):
        self.send_response(200); self.send_header('Content-Length', str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_GET(self):
        if self.path.startswith('/slow'): time.sleep(0.4)
        self.answer(b'x' * int(self.path.rpartition('/')[2] or 2))
    def do_POST(self):
        size = int(self.headers['Content-Length']); total = 0
        while total < size: total += len(self.rfile.read(min(65536, size - total)))
        self.answer(str(total).encode())
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = {backlog}
Server(({host!r}, 5000), It).serve_forever()
"""
ECHO_AFTER_END = """
import socket
server = socket.create_server(('127.0.0.1', 5000))
while True:
    client, _ = server.accept()
    data = b''
    while part := client.recv(65536): data += part
    client.sendall(b'got %d' % len(data)); client.close()
"""


def _web(machine: Machine, python: str = "", **values: object) -> tuple[DynoState, str]:
    name = f"run/sockets/{uuid.uuid4().hex[:8]}.sock"
    python = python or THREADED.format(backlog=512, host="127.0.0.1")
    state = machine.start(python=python, kind="web", port=5000, socket=name, **values)
    state = machine.until_listening(state.id)
    assert state.listening, machine.log(process=state.process)
    return state, os.path.join(machine.home, name)


@pytest.fixture
def web(machine: Machine) -> Iterator[tuple[DynoState, str]]:
    """A threaded server behind its socket."""
    state, path = _web(machine)
    yield state, path
    machine.engine.forget(state.id)


def _exchange(path: str, request: bytes, *, half_close: bool = False) -> bytes:
    with unixsock.connect(path, timeout=20) as sock:
        sock.sendall(request)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        answer = b""
        while part := sock.recv(65536):
            answer += part
    return answer


def _get(path: str, target: str = "/") -> bytes:
    return _exchange(path, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())


def test_a_request_reaches_the_app_and_the_answer_comes_back(web: tuple[DynoState, str]) -> None:
    assert _get(web[1]).endswith(b"\r\n\r\nxx")


@pytest.mark.parametrize("host", ["0.0.0.0", "127.0.0.1"])
def test_the_app_may_bind_all_addresses_or_loopback(machine: Machine, host: str) -> None:
    state, path = _web(machine, THREADED.format(backlog=5, host=host))
    assert _get(path).endswith(b"xx")
    machine.engine.forget(state.id)


def test_the_app_may_bind_ipv6(machine: Machine) -> None:
    for host in ("::", "::1"):
        python = THREADED.format(backlog=5, host=host).replace("class Server", "import socket\nclass Server")
        state, path = _web(
            machine, python.replace("daemon_threads", "address_family = socket.AF_INET6; daemon_threads")
        )
        assert _get(path).endswith(b"xx")
        machine.engine.forget(state.id)


def test_two_thousand_requests_at_once_and_after_one_another_meet_no_error(web: tuple[DynoState, str]) -> None:
    with concurrent.futures.ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda _: _get(web[1])[-2:], range(2000)))
    assert answers == [b"xx"] * 2000


def test_an_app_with_a_tiny_queue_costs_no_second_of_waiting(machine: Machine) -> None:
    state, path = _web(machine, THREADED.format(backlog=1, host="127.0.0.1"))

    def one(_: int) -> float:
        before = time.monotonic()
        assert _get(path).endswith(b"xx")
        return time.monotonic() - before

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        assert max(pool.map(one, range(400))) < 0.9
    machine.engine.forget(state.id)


def test_large_bodies_pass_both_ways_even_to_a_slow_reader(web: tuple[DynoState, str]) -> None:
    size = 20_000_000
    body = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % size + b"y" * size
    assert _exchange(web[1], body).endswith(str(size).encode())
    with unixsock.connect(web[1], timeout=20) as sock:
        sock.sendall(f"GET /{size} HTTP/1.0\r\n\r\n".encode())
        time.sleep(0.3)
        total = 0
        while part := sock.recv(1_000_000):
            total += len(part)
    assert total > size


def test_a_half_closed_connection_still_gets_its_answer(machine: Machine) -> None:
    state, path = _web(machine, ECHO_AFTER_END)
    assert _exchange(path, b"z" * 100_000, half_close=True) == b"got 100000"
    machine.engine.forget(state.id)


def test_open_connections_are_counted(machine: Machine, web: tuple[DynoState, str]) -> None:
    def active() -> int:
        return machine.engine.describe(web[0].id).active  # type: ignore[union-attr]

    assert active() == 0
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(unixsock.connect(web[1], timeout=5)).sendall(b"GET / HTTP/1.1\r\n")
        machine.until(web[0].id, lambda state: state.active == 5)
    machine.until(web[0].id, lambda state: state.active == 0)


def test_clients_that_vanish_do_no_harm(machine: Machine, web: tuple[DynoState, str]) -> None:
    for number in range(300):
        sock = unixsock.connect(web[1], timeout=5)
        sock.sendall(b"GET /slow/50000 HTTP/1.1\r\nHost: x\r\n\r\n"[: 10 + number % 40])
        sock.close()
    assert _get(web[1]).endswith(b"xx")
    machine.until(web[0].id, lambda state: state.active == 0)
    assert (machine.folder(web[0].id) / "shim.err").read_text() == ""
    before = Path(f"/proc/{web[0].pid}/stat").read_text().split()[13:15]
    time.sleep(0.5)
    after = Path(f"/proc/{web[0].pid}/stat").read_text().split()[13:15]
    assert sum(map(int, after)) - sum(map(int, before)) < 10, "the shim is busy for nothing"


def test_a_client_that_left_while_the_app_is_at_work_does_not_keep_the_shim_busy(machine: Machine) -> None:
    state, path = _web(machine, THREADED.format(backlog=5, host="127.0.0.1").replace("0.4", "1.5"))
    with unixsock.connect(path, timeout=5) as sock:
        sock.sendall(b"GET /slow/5 HTTP/1.1\r\nHost: x\r\n\r\n")
    before = Path(f"/proc/{state.pid}/stat").read_text().split()[13:15]
    time.sleep(1)
    after = Path(f"/proc/{state.pid}/stat").read_text().split()[13:15]
    assert sum(map(int, after)) - sum(map(int, before)) < 20
    machine.engine.forget(state.id)


def test_a_request_under_way_is_finished_while_the_app_stops(machine: Machine) -> None:
    drain = (
        "import signal, threading\nsignal.signal(signal.SIGTERM, lambda *_: threading.Timer(1, lambda:"
        " os._exit(0)).start())\n"
    )
    state, path = _web(machine, "import os\n" + drain + THREADED.format(backlog=5, host="127.0.0.1"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(_get, path, "/slow/7")
        machine.until(state.id, lambda state: state.active == 1)
        machine.engine.signal(state.id, "STOP")
        assert answer.result(10).endswith(b"xxxxxxx")
    assert machine.until_exited(state.id).exit_code == 0


def test_open_requests_end_before_a_draining_app_is_told_to(machine: Machine) -> None:
    state, path = _web(machine, THREADED.format(backlog=5, host="127.0.0.1"))
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(_get, path, "/slow/7")
        machine.until(state.id, lambda state: state.active == 1)
        machine.engine.signal(state.id, "DRAIN")
        assert answer.result(10).endswith(b"xxxxxxx"), "it dies by TERM at once"
    assert machine.until_exited(state.id).exit_code == 143
    lines = machine.log(process=state.process)
    assert any("Waiting for 1 open connection before SIGTERM" in line for line in lines)


def test_a_connection_that_never_ends_does_not_keep_an_app_for_ever(machine: Machine) -> None:
    state, path = _web(machine, THREADED.format(backlog=5, host="127.0.0.1"), limits={"drain": 0.3})
    with unixsock.connect(path, timeout=20) as sock:
        machine.until(state.id, lambda state: state.active == 1)
        machine.engine.signal(state.id, "DRAIN")
        assert machine.until_exited(state.id).exit_code == 143
        assert sock.recv(1) == b""


def test_the_socket_of_an_older_dyno_is_replaced_in_one_step(machine: Machine) -> None:
    path = os.path.join(machine.home, "run/sockets/fixed.sock")
    errors: list[Exception] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            try:
                assert _get(path).endswith(b"xx")
            except Exception as error:
                errors.append(error)

    python = THREADED.format(backlog=64, host="127.0.0.1")
    first = machine.start(python=python, kind="web", port=5000, socket="run/sockets/fixed.sock")
    machine.until_listening(first.id)
    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    second = machine.start(python=python, kind="web", port=5000, socket="run/sockets/fixed.sock")
    machine.until_listening(second.id)
    time.sleep(0.2)
    machine.engine.forget(first.id)
    time.sleep(0.2)
    over.set()
    for thread in threads:
        thread.join()
    assert errors == []
    assert os.path.exists(path)
    machine.engine.forget(second.id)


# -- forwards ----------------------------------------------------------------------------------------------------------


class _Upper(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        while data := self.request.recv(65536):
            self.request.sendall(data.upper())


UPPER = """
import socket
for _ in range(20):
    with socket.create_connection(('127.0.0.1', 5432)) as s:
        s.sendall(b'abc' * 100000); s.shutdown(socket.SHUT_WR); data = b''
        while part := s.recv(65536): data += part
        assert data == b'ABC' * 100000, len(data)
print('equal')
"""


def test_a_forward_leads_to_a_unix_socket_outside(machine: Machine) -> None:
    folder = os.path.join(machine.home, "run/postgres")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    path = os.path.join(folder, ".s.PGSQL.5432")
    server = socketserver.ThreadingUnixStreamServer(path, _Upper)
    os.chmod(path, 0o777)
    machine.own(folder)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    forwards = (Forward(port=5432, service="service:database"),)
    assert machine.printed(python=UPPER, forwards=forwards).strip() == "equal"
    assert (
        "refused" in machine.printed(python=f"try:\n  exec({UPPER!r})\nexcept OSError as e: print(e.strerror)").lower()
    )
    server.shutdown()
    server.server_close()


def test_a_forward_leads_to_the_one_tcp_address_that_the_supervisor_was_told(machine: Machine) -> None:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Upper)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    address = f"127.0.0.1:{server.server_address[1]}"
    forwards = (Forward(port=5432, service=f"tcp:{address}"),)
    with pytest.raises(EngineError, match="not allowed"):
        machine.printed(python=UPPER, forwards=forwards)
    machine.tcp = (address,)
    machine.restart()
    try:
        assert machine.printed(python=UPPER, forwards=forwards, egress=False).strip() == "equal"
        server.shutdown()
        server.server_close()
        closed = "import socket; s = socket.create_connection(('127.0.0.1', 5432)); print(s.recv(1))"
        assert machine.printed(python=closed, forwards=forwards).strip() == "b''"
    finally:
        machine.tcp = ()
        machine.restart()


# -- the way out
# ---------------------------------------------------------------------------------------------------------

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


@pytest.fixture
def neighbour() -> Iterator[str]:
    """Another machine: a network namespace with a web server, reachable by a veth pair; its address."""
    if not IS_ROOT:
        pytest.skip("needs root")
    name = f"gr{uuid.uuid4().hex[:6]}"
    net = OPENED.format(os.getpid() % 200 + 20)
    server = (
        "import http.server\n"
        "class It(http.server.BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        b = (self.path + ' ' + self.headers['Host']).encode(); self.send_response(200)\n"
        "        self.send_header('Content-Length', str(len(b))); self.end_headers(); self.wfile.write(b)\n"
        f"http.server.ThreadingHTTPServer(('{net}.2', 80), It).serve_forever()\n"
    )
    child = subprocess.Popen(["unshare", "--net", "sleep", "120"])
    try:
        time.sleep(0.2)
        for command in (
            f"ip link add {name} type veth peer name {name}p netns {child.pid}",
            f"ip addr add {net}.1/24 dev {name}",
            f"ip link set {name} up",
            f"nsenter -t {child.pid} -n ip addr add {net}.2/24 dev {name}p",
            f"nsenter -t {child.pid} -n ip link set {name}p up",
        ):
            subprocess.run(command.split(), check=True)
        web = subprocess.Popen(
            ["nsenter", "-t", str(child.pid), "-n", "/usr/bin/python3", "-c", server], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((f"{net}.2", 80), timeout=1):
                break
            time.sleep(0.05)
        yield f"{net}.2"
        web.kill()
        web.wait()
    finally:
        subprocess.run(["ip", "link", "del", name], check=False)
        child.kill()
        child.wait()


def test_the_world_outside_can_be_reached_by_http_and_by_connect(machine: Machine, neighbour: str) -> None:
    text = machine.printed(
        python="import urllib.request as u, os; print(u.urlopen(f'http://{0}/some/path?q=1').read().decode())".replace(
            "{0}", neighbour
        )
    )
    assert text.split() == ["/some/path?q=1", neighbour]
    script = f"""
import http.client
c = http.client.HTTPConnection('127.0.0.1', 61080); c.set_tunnel('{neighbour}', 80)
c.request('GET', '/tunnelled'); print(c.getresponse().read().decode())
"""
    assert machine.printed(python=script).split()[0] == "/tunnelled"
    host_side = neighbour.rpartition(".")[0] + ".1"
    assert machine.printed(python=FETCH.format(targets=[f"http://{host_side}/"])).startswith("403 ")
    assert machine.printed(python=FETCH.format(targets=[f"http://{neighbour}:81/"])).startswith("502 ")
    assert machine.printed(python=FETCH.format(targets=["http://10.78.1.1/"])).startswith(
        "403 "
    )  # a private network that is not opened


def test_many_slow_destinations_do_not_hold_up_a_quick_one(machine: Machine, neighbour: str) -> None:
    dead = neighbour.rpartition(".")[0] + ".9"
    script = f"""
import socket, time
for _ in range(5):
    s = socket.create_connection(('127.0.0.1', 61080)); s.sendall(b'CONNECT {dead}:80 HTTP/1.1\\r\\n\\r\\n')
    globals()[f's{{_}}'] = s
time.sleep(0.1); before = time.time()
s = socket.create_connection(('127.0.0.1', 61080)); s.sendall(b'CONNECT {neighbour}:80 HTTP/1.1\\r\\n\\r\\n')
print(s.recv(100).split()[1].decode(), time.time() - before < 1)
"""
    assert machine.printed(python=script).split() == ["200", "True"]


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
    assert addresses.check(_packed(str(socket.gethostbyname(socket.gethostname()))))


def test_a_name_is_judged_by_the_address_it_has_at_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))]
    monkeypatch.setattr(egress, "getaddrinfo", lambda *_: answers)
    with pytest.raises(egress.RefusedError) as caught:
        egress.connect(b"innocent.example", 80)
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
    with pytest.raises(egress.RefusedError):
        egress.parse(head)


def test_alices_uid_is_the_one_a_forward_is_made_with(root_machine: Machine) -> None:
    folder = os.path.join(root_machine.home, "run/addons")
    os.makedirs(folder, mode=0o755, exist_ok=True)
    path = os.path.join(folder, "peer.sock")
    with contextlib.closing(unixsock.bind(path, mode=0o777)) as server:
        state = root_machine.start(
            python="import socket, time; s = socket.create_connection(('127.0.0.1', 5432)); time.sleep(30)",
            forwards=(Forward(port=5432, service="service:peer"),),
        )
        client, _ = server.accept()
        peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        assert int.from_bytes(peer[4:8], "little") == 200_000 + ALICE
        root_machine.engine.forget(state.id)
