"""Tests of the parser of responses: which connections are long-lived, and where they may end."""

from __future__ import annotations

import pytest

from greenroom.engine.local.answers import GOING, HEAD_BYTES, LAST_CHUNK, Answer

SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: WebSocket\r\nConnection: Upgrade\r\n\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAMES = {
    "short": b"\x81\x05hello",
    "empty": b"\x89\x00",
    "126": b"\x82\x7e\x01\x00" + b"x" * 256,
    "127": b"\x82\x7f" + (70_000).to_bytes(8, "big") + b"x" * 70_000,
    "masked": b"\x81\x82abcdxy",
}


def _fed(*parts: bytes) -> Answer:
    answer = Answer()
    for part in parts:
        answer.feed(memoryview(part))
    return answer


def _bytewise(data: bytes) -> Answer:
    return _fed(*(data[at : at + 1] for at in range(len(data))))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 5\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: text/event-stream\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nContent-Type: text/event-stream\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\nUpgrade: websocket\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * HEAD_BYTES + b"\r\nContent-Type: text/event-stream\r\n\r\n",
        b"no http",
        b"\r\n\r\n",
    ],
)
def test_other_responses_are_requests_that_end_by_themselves(head: bytes) -> None:
    assert _fed(head + b"body").stream is None
    assert _bytewise(head + b"body").stream is None


@pytest.mark.parametrize("frame", FRAMES.values(), ids=FRAMES)
def test_a_websocket_gets_a_close_frame_between_two_frames_and_nowhere_else(frame: bytes) -> None:
    for answer in (_fed(SWITCH + frame), _fed(SWITCH, frame * 3), _bytewise((SWITCH + frame)[:2000])):
        assert answer.stream
        assert answer.stream.missing() == (GOING if answer.stream.whole else b"")
    assert _fed(SWITCH + frame).stream.missing() == GOING  # type: ignore[union-attr]
    for cut in {1, len(frame) - 1, len(frame) // 2}:
        stream = _fed(SWITCH, frame, frame[:cut]).stream
        assert stream
        assert (stream.whole, stream.missing()) == (False, b"")


def test_a_websocket_that_the_app_has_closed_gets_no_second_close_frame() -> None:
    assert _fed(SWITCH, FRAMES["short"], b"\x88\x02\x03\xe9").stream.missing() == b""  # type: ignore[union-attr]


def test_an_event_stream_gets_its_last_chunk_between_two_chunks_and_nowhere_else() -> None:
    event = b"d\r\ndata: hello\n\n\r\n"
    for answer in (_fed(EVENTS), _fed(EVENTS + event), _bytewise(EVENTS + event * 2)):
        assert answer.stream
        assert answer.stream.missing() == LAST_CHUNK
    for cut in range(1, len(event)):
        assert _fed(EVENTS, event, event[:cut]).stream.missing() == b"", cut  # type: ignore[union-attr]
    assert _fed(EVENTS, event, LAST_CHUNK).stream.missing() == b"", "the app has ended it"  # type: ignore[union-attr]
    extended = event.replace(b"d\r\n", b"D;name=value\r\n", 1)
    assert _fed(EVENTS, extended).stream.missing() == LAST_CHUNK  # type: ignore[union-attr]


@pytest.mark.parametrize("line", [b"no chunk", b"-5", b"+5", b"1_0", b"0x5", b"", b"5 5", b"f" * 2000])
def test_a_broken_event_stream_gets_nothing_added(line: bytes) -> None:
    stream = _fed(EVENTS, line + b"\r\n", b"d\r\ndata: hello\n\n\r\n").stream
    assert stream
    assert (stream.whole, stream.missing()) == (False, b"")


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: other\r\n\r\n",
    ],
)
def test_a_stream_without_frames_may_end_anywhere(head: bytes) -> None:
    stream = _fed(head, b"data: hel").stream
    assert stream
    assert (stream.whole, stream.missing()) == (True, b"")


def test_an_interim_response_is_skipped() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
    for answer in (_fed(early + SWITCH), _fed(early, SWITCH[:10], SWITCH[10:]), _bytewise(early * 2 + EVENTS)):
        assert answer.stream
