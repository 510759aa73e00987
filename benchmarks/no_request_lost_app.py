"""The app of ``no_request_lost.py``: a standard library server that dies at SIGTERM, and a WSGI version for
gunicorn.
"""

import base64
import hashlib
import os
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
SLOW, PIECES = 6.0, 16


class Handler(BaseHTTPRequestHandler):
    """One connection; the path selects the response."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        if self.path == "/ws":
            return self.websocket()
        if self.path == "/stream":
            return self.stream()
        if self.path == "/slow":
            time.sleep(SLOW)
        return self.answer(b"fine")

    def do_POST(self):
        self.answer(hashlib.sha256(self.rfile.read(int(self.headers["Content-Length"]))).hexdigest().encode())

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def stream(self):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for number in range(PIECES):
            self.wfile.write(b"3\r\n%03d\r\n" % number)
            time.sleep(0.5)
        self.wfile.write(b"3\r\nEND\r\n0\r\n\r\n")

    def websocket(self):
        key = self.headers["Sec-WebSocket-Key"]
        digest = hashlib.sha1((key + MAGIC).encode()).digest()  # noqa: S324 (required by the protocol)
        self.send_response(101)
        for name, value in (
            ("Upgrade", "websocket"),
            ("Connection", "Upgrade"),
            ("Sec-WebSocket-Accept", base64.b64encode(digest).decode()),
        ):
            self.send_header(name, value)
        self.end_headers()
        while len(frame := self.rfile.read(10)) == 10:
            self.wfile.write(b"\x82\x04" + frame[6:])
        self.close_connection = True

    def log_message(self, *_):
        """Print no log lines."""


class Server(ThreadingHTTPServer):
    """With an accept queue large enough for bursts."""

    request_queue_size = 128
    daemon_threads = True


def wsgi(environ, start_response):
    """The same for gunicorn, without websockets."""
    path = environ["PATH_INFO"]
    if path == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return pieces()
    body = b"fine"
    if path == "/slow":
        time.sleep(SLOW)
    if path == "/digest":
        body = hashlib.sha256(environ["wsgi.input"].read()).hexdigest().encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]


def pieces():
    """A slow response in chunks."""
    for number in range(PIECES):
        yield b"%03d" % number
        time.sleep(0.5)
    yield b"END"


if __name__ == "__main__":
    Server(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()  # noqa: S104 (the dyno's own network)
