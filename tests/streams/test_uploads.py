"""Archives go up to a signed link once and come back by another; no other link and no other name leads to a file."""

from __future__ import annotations

import asyncio

from greenroom.entrypoints.streams.uploads import make_app
from greenroom.git import uploads
from tests.streams.conftest import KEY


def call(home, method, url, *pieces, gone=False):
    """(status, headers, body) of one request to the path of a link."""
    path = url.removeprefix("http://x")
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    asyncio.run(asyncio.wait_for(make_app(home, KEY)({"type": "http", "method": method, "path": path, "headers": []}, receive, send), 20))
    return (sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])) if sent else None


def offer(home):
    (home / "run").mkdir(exist_ok=True)
    return uploads.offer(key=KEY, base="http://x")


def test_what_was_put_is_got_and_the_connection_ends(home):
    links = offer(home)
    status, headers, _ = call(home, "PUT", links["put_url"], b"abc", b"def")
    assert status == 200
    assert headers[b"connection"] == b"close", "the Heroku CLI hangs otherwise"
    assert call(home, "GET", links["get_url"])[::2] == (200, b"abcdef")
    assert call(home, "HEAD", links["get_url"])[::2] == (200, b"")
    assert uploads.file_of(links["get_url"], home=home, key=KEY).read_bytes() == b"abcdef"


def test_a_link_is_written_once(home):
    links = offer(home)
    call(home, "PUT", links["put_url"], b"first")
    assert call(home, "PUT", links["put_url"], b"second")[0] == 422
    assert call(home, "GET", links["get_url"])[2] == b"first"


def test_half_an_upload_leaves_nothing(home, monkeypatch):
    links = offer(home)
    assert call(home, "PUT", links["put_url"], b"half", gone=True) is None
    monkeypatch.setattr(uploads, "MAX_BYTES", 5)
    assert call(home, "PUT", links["put_url"], b"too", b"large")[0] == 422
    assert list((home / uploads.FOLDER).iterdir()) == []
    assert call(home, "GET", links["get_url"])[0] == 404


def test_links_do_what_they_are_for_and_nothing_else(home):
    links, others = offer(home), offer(home)
    call(home, "PUT", links["put_url"], b"x")
    assert call(home, "GET", links["put_url"])[0] == 404
    assert call(home, "PUT", others["get_url"], b"x")[0] == 404
    assert call(home, "GET", others["get_url"])[0] == 404
    assert call(home, "DELETE", links["get_url"])[0] == 422
    assert call(home, "GET", "http://x/streams/sources/../../keys/master.key")[0] == 404


def test_old_uploads_go(home):
    links = offer(home)
    call(home, "PUT", links["put_url"], b"x")
    assert uploads.sweep(home) == []
    assert len(uploads.sweep(home, now=9e9)) == 1
    assert list((home / uploads.FOLDER).iterdir()) == []
