"""Reads what a web dyno answers, as far as the end of a long-lived connection needs it: its kind, and where it may end.

Pure: bytes in, state out. The router sends one request per connection, so the first response decides.
"""

from __future__ import annotations

HEAD_BYTES = 16_384
"""A response with a longer head is an ordinary one."""
LINE_BYTES = 1024
GOING = b"\x88\x02\x03\xf4"
"""A websocket's close frame with the code 1012, "service restart"."""
HEX = b"0123456789abcdefABCDEF"
LAST_CHUNK = b"0\r\n\r\n"


class Stream:
    """A connection that lasts until one side ends it. This class: one without frames, which may end anywhere."""

    whole = True
    """Whether the last byte so far ends a frame or a chunk."""

    def feed(self, data: memoryview) -> None:
        """Note more bytes of the app."""

    def missing(self) -> bytes:
        """The bytes that end the stream properly here; none if the app has sent them, or if nothing may follow here."""
        return b""


class Frames(Stream):
    """The frames of a websocket (RFC 6455, section 5.2)."""

    def __init__(self) -> None:
        self._head, self._left, self._closed = bytearray(), 0, False

    @property
    def whole(self) -> bool:  # type: ignore[override]
        return not self._head and not self._left

    def feed(self, data: memoryview) -> None:
        at, end = 0, len(data)
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                continue
            self._head.append(data[at])
            at += 1
            if len(self._head) >= 2 and len(self._head) == self._head_size():
                self._begin()

    def missing(self) -> bytes:
        return GOING if self.whole and not self._closed else b""

    def _head_size(self) -> int:
        length, masked = self._head[1] & 0x7F, self._head[1] & 0x80
        return 2 + {126: 2, 127: 8}.get(length, 0) + (4 if masked else 0)

    def _begin(self) -> None:
        head = self._head
        length = head[1] & 0x7F
        size = {126: 2, 127: 8}.get(length, 0)
        self._left = int.from_bytes(head[2 : 2 + size], "big") if size else length
        self._closed = self._closed or head[0] & 0x0F == 8
        head.clear()


class Chunks(Stream):
    """A chunked body (RFC 9112, section 7.1)."""

    def __init__(self) -> None:
        self._line, self._left, self._over, self._broken = bytearray(), 0, False, False

    @property
    def whole(self) -> bool:  # type: ignore[override]
        return not self._line and not self._left and not self._broken

    def feed(self, data: memoryview) -> None:
        at, end = 0, len(data)
        while at < end and not self._over and not self._broken:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
                continue
            self._line.append(data[at])
            at += 1
            if data[at - 1] == 10 or len(self._line) > LINE_BYTES:
                self._begin()

    def missing(self) -> bytes:
        return LAST_CHUNK if self.whole and not self._over else b""

    def _begin(self) -> None:
        digits = bytes(self._line).partition(b";")[0].strip()
        self._broken = not digits or bool(digits.strip(HEX))  # int() also takes a sign and underscores
        size = 0 if self._broken else int(digits, 16)
        self._line.clear()
        self._over = not size
        self._left = size + 2 if size else 0


class Answer:
    """The response of one connection: an ordinary one until its head says otherwise."""

    __slots__ = ("_seen", "stream")

    def __init__(self) -> None:
        self._seen: bytes | None = b""
        self.stream: Stream | None = None

    def feed(self, data: memoryview) -> None:
        """Note more bytes of the app."""
        if self.stream:
            self.stream.feed(data)
        elif self._seen is not None:
            self._read_head(data)

    def _read_head(self, data: memoryview) -> None:
        assert self._seen is not None
        before = len(self._seen)
        seen = self._seen + bytes(data[: HEAD_BYTES - before])
        start = 0
        while (end := seen.find(b"\r\n\r\n", start)) >= 0:
            head = seen[start:end].lower()
            start = end + 4
            if head[9:10] == b"1" and head[9:12] != b"101":
                continue  # an interim response, such as 103 Early Hints
            self._seen, self.stream = None, _stream(head)
            if self.stream:
                self.stream.feed(data[start - before :])
            return
        self._seen = seen[start:] if len(seen) < HEAD_BYTES else None


def _stream(head: bytes) -> Stream | None:
    """The stream that follows this head, in lower case; None for an ordinary response."""
    fields = {name.strip(): value.strip() for name, _, value in (line.partition(b":") for line in head.split(b"\r\n"))}
    if head[9:12] == b"101":
        return Frames() if fields.get(b"upgrade") == b"websocket" else Stream()
    if not fields.get(b"content-type", b"").startswith(b"text/event-stream") or b"content-length" in fields:
        return None
    return Chunks() if b"chunked" in fields.get(b"transfer-encoding", b"") else Stream()
