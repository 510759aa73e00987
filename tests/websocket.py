"""A strict websocket client (RFC 6455) for tests, over TCP or TLS, with the host name of an app."""

from __future__ import annotations

import base64
import hashlib
import os
import socket
import ssl
from typing import Self

MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


def accept(key: str) -> str:
    """The server's answer to a client's key."""
    return base64.b64encode(hashlib.sha1(key.encode() + MAGIC, usedforsecurity=False).digest()).decode()


class Websocket:
    """One connection. code: the code of the peer's close frame, once ``read`` has returned None; 1006 without one."""

    def __init__(self, port: int, host: str, path: str, *, tls: bool = False) -> None:
        self.sock: socket.socket = socket.create_connection(("127.0.0.1", port), timeout=30)
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            context.set_alpn_protocols(["http/1.1"])
            self.sock = context.wrap_socket(self.sock, server_hostname=host)
        key = base64.b64encode(os.urandom(16)).decode()
        words = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
        head = "\r\n".join((f"GET {path} HTTP/1.1", f"Host: {host}:{port}", *words))
        self.sock.sendall(f"{head}\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        self.file = self.sock.makefile("rb")
        answer = b"".join(iter(self.file.readline, b"\r\n"))
        assert answer.startswith(b"HTTP/1.1 101 "), answer
        assert accept(key).encode() in answer
        self.code: int | None = None

    def say(self, text: str) -> None:
        self._send(TEXT, text.encode())

    def read(self) -> str | None:
        """The next message; None after the end."""
        while self.code is None:
            head = self.file.read(2)
            if len(head) < 2:
                self.code = 1006
                break
            size = head[1] & 0x7F
            if size > 125:
                size = int.from_bytes(self.file.read(2 if size == 126 else 8), "big")
            data = self.file.read(size)
            assert len(data) == size, "the end is in the middle of a frame"
            if head[0] & 0xF == CLOSE:
                self._send(CLOSE, data)
                self.code = int.from_bytes(data[:2], "big")
                assert self.file.read() == b"", "nothing follows a close frame"
            elif head[0] & 0xF == PING:
                self._send(PONG, data)
            elif head[0] & 0xF == TEXT:
                return data.decode()
        return None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.sock.close()

    def _send(self, opcode: int, data: bytes) -> None:
        """One short masked frame."""
        assert len(data) < 126
        mask = os.urandom(4)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))
        self.sock.sendall(bytes([0x80 | opcode, 0x80 | len(data)]) + mask + masked)
