"""Strangers on the API's ports cannot affect other clients with headers, idle connections or many connections."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from greenroom.basics.waiting_limits import Crowd
from greenroom.entrypoints.streams import proxy
from greenroom.project import connections
from greenroom_cli.host import keys
from tests.streams.conftest import free_port

SECONDS = 20.0


async def echo(scope, receive, send) -> None:
    """Answers with the number of bytes of the body; ``/large`` with two megabytes."""
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    if scope["path"] == "/client":
        size = scope["client"][0]
    body = b"x" * 2_000_000 if scope["path"] == "/large" else f"{size}".encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


class Site:
    """A server of the test: plain and TLS ports."""

    def __init__(self, crowd: Crowd, context: ssl.SSLContext) -> None:
        app = connections.bounded(echo, lambda path: 1_000_000)
        self.crowd, self.sockets = crowd, [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.clients, self.proxy_port = proxy.Clients(), free_port()
        words = {
            "lifespan": "off",
            "log_level": "critical",
            "ws": "none",
            "timeout_keep_alive": 75,
            "timeout_graceful_shutdown": 1,
        }
        self.servers = [
            uvicorn.Server(uvicorn.Config(app, http=connections.protocol(crowd, tls, self.clients.take), **words))
            for tls in (None, context)
        ]
        self.ports = [each.getsockname()[1] for each in self.sockets]
        self.thread = threading.Thread(target=asyncio.run, args=(self._serve(),))

    async def _serve(self) -> None:
        for server in self.servers:
            server.install_signal_handlers = lambda: None
        proxying = asyncio.create_task(proxy.serve("127.0.0.1", self.proxy_port, self.ports[1], self.clients))
        await asyncio.gather(*(server.serve([sock]) for server, sock in zip(self.servers, self.sockets, strict=True)))
        proxying.cancel()

    def dial(self, secure: bool = False) -> socket.socket:
        found = socket.create_connection(("127.0.0.1", self.ports[secure]), timeout=SECONDS)
        return self.tls(found) if secure else found

    def dial_proxy(self, source: str) -> socket.socket:
        """A TLS connection through the proxy, from that address."""
        found = socket.create_connection(("127.0.0.1", self.proxy_port), timeout=SECONDS, source_address=(source, 0))
        found.sendall(b"CONNECT api.heroku.com:443 HTTP/1.1\r\n\r\n")
        head = found.recv(100)
        assert head.startswith(b"HTTP/1.1 200"), head
        return self.tls(found)

    def tls(self, found: socket.socket) -> socket.socket:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context.wrap_socket(found)


@pytest.fixture
def site(tmp_path: Path, monkeypatch) -> Iterator[Site]:
    monkeypatch.setattr(connections, "LINGER", 0.2)
    (tmp_path / "keys").mkdir()
    keys.make_all(tmp_path, None)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "keys" / "tls.pem", tmp_path / "keys" / "tls.key")
    made = Site(Crowd(each=8, most=12), context)
    made.thread.start()
    while not all(server.started for server in made.servers) or socket.socket().connect_ex(
        ("127.0.0.1", made.proxy_port)
    ):
        threading.Event().wait(0.01)
    try:
        yield made
    finally:
        for server in made.servers:
            server.should_exit = True
        made.thread.join(30)


def answer(sock: socket.socket) -> bytes:
    """All data until the other side closes, or one response of a keep-alive connection."""
    data = b""
    with contextlib.suppress(ConnectionResetError):
        while piece := sock.recv(65536):
            data += piece
            head, _, body = data.partition(b"\r\n\r\n")
            if b"content-length: 0" in head or (body and b"onnection: close" not in head):
                break
    return data


def get(site: Site, secure: bool = False) -> bytes:
    with site.dial(secure) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        return answer(sock).split(b"\r\n")[0]


@pytest.mark.parametrize("secure", [False, True])
@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET /",
        b"GET / HTTP/1.1\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
    ],
    ids=["one header", "the request line", "many headers", "trailers"],
)
def test_endless_headers_are_refused_and_nobody_waits_for_them(site, secure, start):
    more = b"A: b\r\n" * 10_000 if start.endswith(b"\r\n") else b"a" * 60_000
    with site.dial(secure) as sock:
        sock.sendall(start)
        with contextlib.suppress(OSError):
            for _ in range(50):
                sock.sendall(more)
        said = answer(sock)
    if b"chunked" not in start:  # if the response has started already, the connection is closed
        assert b"431" in said.split(b"\r\n")[0]
    assert get(site) == b"HTTP/1.1 200 OK"


def test_headers_up_to_the_limit_are_read_and_longer_ones_are_not(site):
    for size, status in ((50_000, b"200"), (66_000, b"431")):
        with site.dial() as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * size + b"\r\n\r\n")
            assert status in answer(sock).split(b"\r\n")[0]


def test_a_request_in_pieces_on_a_kept_connection_is_answered(site):
    for secure in (False, True):
        with site.dial(secure) as sock:
            for body in (b"", b"a" * 300_000, b"bc"):
                for piece in (b"POST / HTTP/1.1\r\nHo", b"st: x\r\nContent-Length: %d\r\n\r\n" % len(body), body):
                    sock.sendall(piece)
                assert answer(sock).endswith(b"\r\n\r\n%d" % len(body))


def test_a_long_body_in_small_chunks_is_not_taken_for_headers(site):
    with site.dial() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        sock.sendall(b"1\r\na\r\n" * 30_000 + b"0\r\n\r\n")
        assert answer(sock).endswith(b"30000")


def test_a_body_that_is_too_large_is_refused_before_it_is_read(site):
    with site.dial() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n")
        assert b"413" in answer(sock).split(b"\r\n")[0]
    with site.dial() as sock:
        sock.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        with contextlib.suppress(OSError):
            for _ in range(40):
                sock.sendall(b"10000\r\n" + b"a" * 65536 + b"\r\n")
        assert b"200" not in answer(sock)


@pytest.mark.parametrize(
    "begin", [b"", b"GET / HTTP/1.1\r\nHost", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"]
)
def test_a_crowd_of_silent_connections_keeps_nobody_out(site, begin):
    silent = [site.dial() for _ in range(40)]
    for sock in silent:
        with contextlib.suppress(OSError):
            sock.sendall(begin)
    assert get(site) == b"HTTP/1.1 200 OK"
    assert get(site, secure=True) == b"HTTP/1.1 200 OK"
    assert len(site.crowd) <= site.crowd.most
    for sock in silent:
        sock.close()


def test_a_crowd_that_begins_no_handshake_keeps_nobody_out(site):
    silent = [socket.create_connection(("127.0.0.1", site.ports[1])) for _ in range(40)]
    assert get(site, secure=True) == b"HTTP/1.1 200 OK"
    for sock in silent:
        sock.close()


@pytest.mark.parametrize(
    ("name", "begin"),
    [
        ("HEAD_SECONDS", b""),
        ("HEAD_SECONDS", b"GET / HT"),
        ("BODY_SECONDS", b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab"),
    ],
)
def test_whoever_does_not_go_on_is_cut_off(site, monkeypatch, name, begin):
    monkeypatch.setattr(connections, name, 0.2)
    with site.dial() as sock:
        sock.sendall(begin)
        assert answer(sock) == b""


def test_a_second_request_that_is_begun_and_not_finished_is_cut_off(site, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.2)
    with site.dial() as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"200" in answer(sock)
        sock.sendall(b"GET / HT")
        assert answer(sock) == b""


def test_a_client_that_reads_nothing_is_cut_off(site, monkeypatch):
    monkeypatch.setattr(connections, "STUCK_SECONDS", 0.2)
    with socket.socket() as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.connect(("127.0.0.1", site.ports[0]))
        sock.settimeout(SECONDS)
        sock.sendall(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n")
        while len(site.servers[0].server_state.connections):
            threading.Event().wait(0.05)
    assert get(site) == b"HTTP/1.1 200 OK"


def test_a_handshake_that_is_not_finished_is_cut_off(site, monkeypatch):
    monkeypatch.setattr(connections, "HANDSHAKE_SECONDS", 0.2)
    with socket.create_connection(("127.0.0.1", site.ports[1]), timeout=SECONDS) as sock:
        assert answer(sock) == b""


def test_a_crowd_sends_away_the_one_that_has_been_silent_for_longest():
    crowd, gone = Crowd(each=2, most=3), []
    for name, address in (("a1", "a"), ("a2", "a"), ("b1", "b")):
        crowd.enter(name, address, lambda name=name: gone.append(name))
    crowd.stirred("a1")
    crowd.enter("a3", "a", lambda: gone.append("a3"))
    assert gone == ["a2"]
    crowd.left("a1")
    crowd.enter("b2", "b", lambda: gone.append("b2"))
    assert gone == ["a2"]
    crowd.enter("c1", "c", lambda: gone.append("c1"))
    assert gone == ["a2", "b1"]
    assert len(crowd) == 3


def test_who_comes_by_the_proxy_has_the_address_of_the_client(site):
    for source in ("127.0.0.2", "127.0.0.3"):
        with site.dial_proxy(source) as sock:
            sock.sendall(b"GET /client HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.0.0.1\r\nConnection: close\r\n\r\n")
            assert answer(sock).endswith(source.encode())
    with site.dial(secure=True) as sock:
        sock.sendall(b"GET /client HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer(sock).endswith(b"127.0.0.1")
    assert site.clients._of == {}


def test_a_crowd_at_the_proxy_is_not_one_address(site):
    socks = [site.dial_proxy(f"127.0.0.{number // 2 + 2}") for number in range(12)]
    for sock in socks:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert answer(sock).startswith(b"HTTP/1.1 200"), "eight of one address may wait, and twelve in all"
        sock.close()
