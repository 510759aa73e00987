"""Tests of the connections into a dyno: incoming requests, and forwards to sockets outside."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import socket
import socketserver
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from greenroom.basics import unixsock
from greenroom.engine.contract import DynoState, Forward
from greenroom.engine.errors import EngineError
from tests.engine.machine import ALICE, Machine

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
    assert any("Waiting for 1 open request before SIGTERM" in line for line in lines)


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
