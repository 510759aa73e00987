"""Another machine for dynos to connect to: a network namespace with servers, reachable by a veth pair."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass

from tests.engine.machine import OPENED, OPENED_6, PYTHON

SERVERS = """
import http.server, socket, socketserver, sys, threading
class Web(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        b = (self.path + ' ' + self.headers['Host']).encode(); self.send_response(200)
        self.send_header('Content-Length', str(len(b))); self.end_headers(); self.wfile.write(b)
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while data := self.request.recv(1 << 20): self.request.sendall(data)
class EchoUdp(socketserver.BaseRequestHandler):
    def handle(self): self.request[1].sendto(self.request[0], self.client_address)
class Tcp(socketserver.ThreadingTCPServer): daemon_threads = True; request_queue_size = 512
class Tcp6(Tcp): address_family = socket.AF_INET6
class Udp6(socketserver.UDPServer): address_family = socket.AF_INET6
four, six, other = sys.argv[1:]
socketserver.UDPServer.max_packet_size = 65536
Udp = socketserver.UDPServer
kinds = [(Tcp, Echo, four), (Tcp6, Echo, six), (Udp, EchoUdp, four), (Udp6, EchoUdp, six)]
kinds += [(Tcp, Echo, other), (Udp, EchoUdp, other)]
for kind, handler, address in kinds:
    threading.Thread(target=kind((address, 7), handler).serve_forever, daemon=True).start()
http.server.ThreadingHTTPServer((four, 80), Web).serve_forever()
"""


@dataclass(frozen=True)
class Neighbour:
    """Its addresses, with a web server at port 80 and an echo at port 7 (TCP and UDP); no other port is open.

    other: a second address of it, with the echoes alone, next to the first: both are in the network ``address``/31.
    host: the address of this host in the same network. absent: an address without a machine.
    """

    address: str
    address6: str
    other: str
    host: str
    absent: str


@contextlib.contextmanager
def started() -> Iterator[Neighbour]:
    """Start it. As root only."""
    name = f"gr{uuid.uuid4().hex[:6]}"
    number = os.getpid() % 200 + 20
    net, net6 = OPENED.format(number), OPENED_6.format(number)
    it = Neighbour(f"{net}.2", f"{net6}::2", f"{net}.3", f"{net}.1", f"{net}.9")
    child = subprocess.Popen(["unshare", "--net", "sleep", "600"])
    inside = ["nsenter", "-t", str(child.pid), "-n"]
    servers = None
    try:
        time.sleep(0.2)
        for words in (
            [*["ip", "link", "add"], name, *f"type veth peer name {name}p netns {child.pid}".split()],
            [*["ip", "addr", "add"], f"{net}.1/24", "dev", name],
            [*["ip", "addr", "add"], f"{net6}::1/64", "dev", name, "nodad"],
            [*["ip", "link", "set"], name, "up"],
            [*inside, *["ip", "addr", "add"], f"{net}.2/24", "dev", f"{name}p"],
            [*inside, *["ip", "addr", "add"], f"{net}.3/24", "dev", f"{name}p"],
            [*inside, *["ip", "addr", "add"], f"{net6}::2/64", "dev", f"{name}p", "nodad"],
            [*inside, *["ip", "link", "set"], f"{name}p", "up"],
        ):
            subprocess.run(words, check=True)
        argv = [*inside, PYTHON, "-c", SERVERS, it.address, it.address6, it.other]
        servers = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
        _await(it.address, 80)
        yield it
    finally:
        for process in (servers, child):
            if process:
                process.kill()
                process.wait()
        subprocess.run(["ip", "link", "del", name], check=False)


def _await(address: str, port: int) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError), socket.create_connection((address, port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("the neighbour does not answer")
