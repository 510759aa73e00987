"""Tests of websockets and event streams when a dyno ends, and of idle connections, with raw requests."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from greenroom.basics import unixsock
from greenroom.engine.local.answers import GOING, LAST_CHUNK
from tests.engine.machine import Machine

APP = """
import http.server, os, signal, socketserver, threading, time
at_term = {at_term!r}
open_ones = []
class It(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    def do_GET(self):
        if self.path == '/ws':
            self.send_response(101); self.send_header('Upgrade', 'websocket'); self.end_headers()
            open_ones.append(self.wfile)
            self.wfile.write(b'\\x81\\x02hi')
            while data := self.connection.recv(1000): self.wfile.write(data)
        elif self.path == '/events':
            self.send_response(200); self.send_header('Content-Type', 'text/event-stream')
            self.send_header('Transfer-Encoding', 'chunked'); self.end_headers()
            self.wfile.write(b'9\\r\\ndata: 1\\n\\n\\r\\n')
            self.connection.recv(1)
        else:
            time.sleep(float(self.path[1:]))
            self.send_response(200); self.send_header('Content-Length', '2'); self.end_headers()
            self.wfile.write(b'ok')
        self.close_connection = True
    def log_message(self, *_): pass
class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
def term(*_):
    if at_term == 'close':
        for one in open_ones: one.write(b'\\x88\\x02\\x03\\xe9')
    if at_term != 'ignore': os._exit(0)
signal.signal(signal.SIGTERM, term)
Server(('127.0.0.1', 5000), It).serve_forever()
"""
WS, EVENTS = b"101 ", b"data: 1\n\n\r\n"


class Web:
    """A web dyno that runs APP."""

    def __init__(self, machine: Machine, at_term: str = "die", **limits: float) -> None:
        self.machine = machine
        name = f"run/sockets/{uuid.uuid4().hex[:8]}.sock"
        self.path = os.path.join(machine.home, name)
        state = machine.start(
            python=APP.format(at_term=at_term), kind="web", port=5000, socket=name, limits={"grace": 6.0, **limits}
        )
        self.id, self.process = state.id, state.process
        machine.until_listening(self.id)

    def open(self, path: str, until: bytes) -> socket.socket:
        """A connection whose response has come as far as ``until``."""
        sock = unixsock.connect(self.path, timeout=10)
        sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        seen = b""
        while until not in seen or b"\r\n\r\n" not in seen:
            seen += sock.recv(1000)
        if path == "/ws" and not seen.endswith(b"\x81\x02hi"):
            assert sock.recv(1000) == b"\x81\x02hi"
        return sock

    def signal(self, name: str) -> None:
        self.machine.engine.signal(self.id, name)  # type: ignore[arg-type]

    def said(self, text: str) -> bool:
        return any(text in line for line in self.machine.log(process=self.process))


@pytest.fixture
def web(machine: Machine) -> Callable[..., Web]:
    """Starts a web dyno."""
    return lambda *words, **limits: Web(machine, *words, **limits)


def _rest(sock: socket.socket) -> bytes:
    """Everything until the end of the connection, which is one of TCP's proper ends."""
    data = b""
    with sock:
        while part := sock.recv(1000):
            data += part
    return data


def test_a_drain_waits_for_no_long_lived_connection_and_ends_each_by_its_protocol(web: Callable[..., Web]) -> None:
    dyno = web()
    chat, events = dyno.open("/ws", WS), dyno.open("/events", EVENTS)
    before = time.monotonic()
    dyno.signal("DRAIN")
    assert _rest(chat) == GOING
    assert _rest(events) == LAST_CHUNK
    dyno.machine.until_exited(dyno.id)
    assert time.monotonic() - before < 5, "the drain may last 30 seconds"
    assert not dyno.said("before SIGTERM")


def test_a_drain_still_waits_for_requests_beside_them(web: Callable[..., Web]) -> None:
    dyno = web()
    chat = dyno.open("/ws", WS)
    slow = unixsock.connect(dyno.path, timeout=10)
    slow.sendall(b"GET /0.6 HTTP/1.1\r\nHost: x\r\n\r\n")
    dyno.machine.until(dyno.id, lambda state: state.active == 2)
    dyno.signal("DRAIN")
    time.sleep(0.2)
    chat.sendall(b"\x81\x01x")
    assert chat.recv(100) == b"\x81\x01x", "the chat goes on until then"
    assert _rest(slow).endswith(b"ok")
    assert _rest(chat) == GOING
    assert dyno.said("Waiting for 1 open request before SIGTERM")


def test_a_close_frame_of_the_app_is_the_only_one(web: Callable[..., Web]) -> None:
    dyno = web("close")
    chat = dyno.open("/ws", WS)
    dyno.signal("DRAIN")
    assert _rest(chat) == b"\x88\x02\x03\xe9"


def test_streams_that_an_app_leaves_open_after_sigterm_end_before_it_is_killed(web: Callable[..., Web]) -> None:
    dyno = web("ignore")
    chat, events = dyno.open("/ws", WS), dyno.open("/events", EVENTS)
    before = time.monotonic()
    dyno.signal("STOP")
    assert (_rest(chat), _rest(events)) == (GOING, LAST_CHUNK)
    assert 0.8 < time.monotonic() - before < 5, "after a sixth of the grace period"
    dyno.machine.engine.forget(dyno.id)


def test_a_websocket_ends_behind_a_whole_message(web: Callable[..., Web]) -> None:
    dyno = web("ignore")
    chat = dyno.open("/ws", WS)
    chat.sendall(b"\x81\x04ab")
    assert chat.recv(100) == b"\x81\x04ab"
    dyno.signal("STOP")
    time.sleep(1.3)  # longer than a sixth of the grace period
    chat.sendall(b"cd")
    assert _rest(chat) == b"cd" + GOING
    dyno.machine.engine.forget(dyno.id)


def test_a_crash_looks_like_one(web: Callable[..., Web]) -> None:
    dyno = web()
    chat, events = dyno.open("/ws", WS), dyno.open("/events", EVENTS)
    dyno.signal("KILL")
    assert (_rest(chat), _rest(events)) == (b"", b"")


def test_only_connections_without_data_are_closed(web: Callable[..., Web]) -> None:
    dyno = web(idle=1.5)
    idle, events, busy = dyno.open("/ws", WS), dyno.open("/events", EVENTS), dyno.open("/ws", WS)
    for _ in range(8):
        time.sleep(0.25)
        busy.sendall(b"\x81\x01x")
        assert busy.recv(100) == b"\x81\x01x"
    assert (_rest(idle), _rest(events)) == (b"", b"")
    assert dyno.said("Error H15 (Idle connection) -> ")
    assert dyno.said("closed after 1.5 seconds without data")
    before = dyno.machine.engine.describe(dyno.id)
    assert before
    assert before.active == 1
    assert (Path(dyno.machine.home) / "run/dynos" / dyno.id / "shim.err").read_text() == ""
    dyno.machine.engine.forget(dyno.id)
