"""A small SMTP server of the tests: it takes everything, or answers a command as it is told."""

from __future__ import annotations

import contextlib
import re
import socket
import threading


class Sink:
    """replies: command -> its reply instead of 250."""

    def __init__(self, replies: dict[str, str] | None = None) -> None:
        self.replies = replies or {}
        self.recipients: list[str] = []
        self.messages: list[bytes] = []
        self.lines: list[str] = []

    def __enter__(self) -> Sink:
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"smtp://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sock, _ = self.listener.accept()
                threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as file, contextlib.suppress(OSError):
            sock.sendall(b"220 sink\r\n")
            asked: list[str] = []
            while line := file.readline().decode().strip():
                self.lines.append(line)
                word = line.split(" ")[0].upper()
                reply = self.replies.get(word, "354 go on" if word == "DATA" else "250 ok")
                if word == "RCPT" and reply.startswith("250"):
                    asked += re.findall(r"<(.*)>", line)
                sock.sendall(reply.encode() + b"\r\n")
                if reply.startswith("354"):
                    self.messages.append(self._message(file))
                    self.recipients += asked
                    asked = []
                    sock.sendall(b"250 taken\r\n")

    def _message(self, file) -> bytes:
        data = b""
        while (line := file.readline()) not in (b".\r\n", b""):
            data += line
        return data
