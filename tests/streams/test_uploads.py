"""Archives are uploaded once to a signed link and downloaded by another; no other link or name leads to a file."""

from __future__ import annotations

import asyncio

from greenroom.basics import disk, signing
from greenroom.entrypoints.streams import link_holders
from greenroom.entrypoints.streams import uploads as door
from greenroom.entrypoints.streams.link_holders import Holders, everybody
from greenroom.entrypoints.streams.uploads import make_app
from greenroom.git.drivers import source_archives
from tests.streams.conftest import KEY, WHO


def call(home, method, url, *pieces, gone=False, ask=everybody):
    """(status, headers, body) of one request to the path of a link."""
    path = url.removeprefix("http://x")
    messages = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    messages.append({"type": "http.disconnect"} if gone else {"type": "http.request", "body": b"", "more_body": False})
    sent = []

    async def receive():
        return messages.pop(0)

    async def send(message):
        sent.append(message)

    app = make_app(home, KEY, Holders(ask))
    asyncio.run(
        asyncio.wait_for(app({"type": "http", "method": method, "path": path, "headers": []}, receive, send), 20)
    )
    return (
        (sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:]))
        if sent
        else None
    )


def offer(home):
    (home / "run").mkdir(exist_ok=True)

    def sign(payload, purpose, seconds):
        return signing.sign({**payload, "who": WHO}, key=KEY, purpose=purpose, seconds=seconds)

    return source_archives.offer(sign, base="http://x")


def test_what_was_put_is_got_and_the_connection_ends(home):
    links = offer(home)
    status, headers, _ = call(home, "PUT", links["put_url"], b"abc", b"def")
    assert status == 200
    assert headers[b"connection"] == b"close", "the Heroku CLI hangs otherwise"
    assert call(home, "GET", links["get_url"])[::2] == (200, b"abcdef")
    assert call(home, "HEAD", links["get_url"])[::2] == (200, b"")
    assert source_archives.file_of(links["get_url"], home=home, key=KEY).read_bytes() == b"abcdef"


def test_a_link_is_written_once(home):
    links = offer(home)
    call(home, "PUT", links["put_url"], b"first")
    assert call(home, "PUT", links["put_url"], b"second")[0] == 422
    assert call(home, "GET", links["get_url"])[2] == b"first"


def test_half_an_upload_leaves_nothing(home, monkeypatch):
    links = offer(home)
    assert call(home, "PUT", links["put_url"], b"half", gone=True) is None
    monkeypatch.setattr(source_archives, "MAX_BYTES", 5)
    assert call(home, "PUT", links["put_url"], b"too", b"large")[0] == 422
    assert list((home / source_archives.FOLDER).iterdir()) == []
    assert call(home, "GET", links["get_url"])[0] == 404


async def nobody(asked):
    return set()


def test_a_link_ends_with_its_token(home):
    links = offer(home)
    assert call(home, "PUT", links["put_url"], b"abc", ask=nobody)[0] == 404
    assert list((home / "run").iterdir()) == []
    call(home, "PUT", links["put_url"], b"abc")
    assert call(home, "GET", links["get_url"], ask=nobody)[0] == 404
    unbound = signing.sign({"source": "0" * 32}, key=KEY, purpose=source_archives.PUT, seconds=60)
    assert call(home, "PUT", f"{source_archives.PATH}{unbound}", b"abc")[0] == 404


def upload(home, urls, between, ask=everybody):
    """The statuses of uploads that start one after another, run concurrently and end together; ``between`` runs in
    their middle.
    """

    async def one(app, url, begun, go_on):
        messages = [
            {"type": "http.request", "body": b"abc", "more_body": True},
            {"type": "http.request", "body": b"def", "more_body": False},
        ]
        sent = []

        async def receive():
            if len(messages) == 1:
                begun.set()
                await go_on.wait()
            return messages.pop(0)

        async def send(message):
            sent.append(message)

        await app({"type": "http", "method": "PUT", "path": url.removeprefix("http://x"), "headers": []}, receive, send)
        begun.set()
        return sent[0]["status"]

    async def main():
        app, go_on, tasks = make_app(home, KEY, Holders(ask)), asyncio.Event(), []
        for url in urls:
            begun = asyncio.Event()
            tasks.append(asyncio.create_task(one(app, url, begun, go_on)))
            await begun.wait()
        await between()
        go_on.set()
        return await asyncio.gather(*tasks)

    return asyncio.run(asyncio.wait_for(main(), 20))


def test_a_link_takes_one_upload_at_a_time(home):
    links = offer(home)

    async def count():
        assert len(list((home / source_archives.FOLDER).iterdir())) == 1

    assert upload(home, [links["put_url"]] * 3, count) == [200, 422, 422]
    assert call(home, "GET", links["get_url"])[2] == b"abcdef"


def test_an_upload_that_a_killed_process_left_does_not_close_the_link(home):
    links = offer(home)
    name = signing.unsign(links["put_url"].rpartition("/")[2], key=KEY, purpose=source_archives.PUT)["source"]
    (home / source_archives.FOLDER).mkdir()
    (home / source_archives.FOLDER / f".{name}.part").write_bytes(b"left")
    assert call(home, "PUT", links["put_url"], b"whole")[0] == 200
    assert call(home, "GET", links["get_url"])[2] == b"whole"


def test_an_upload_ends_when_its_token_is_revoked_meanwhile(home, monkeypatch):
    monkeypatch.setattr(link_holders, "SECONDS", 0.01)
    allowed = [True]

    async def ask(asked):
        return set(asked) if allowed[0] else set()

    async def revoke():
        allowed[0] = False
        await asyncio.sleep(0.1)

    assert upload(home, [offer(home)["put_url"]], revoke, ask) == [404]
    assert list((home / source_archives.FOLDER).iterdir()) == []


def test_an_upload_ends_when_the_disk_has_become_full_meanwhile(home, monkeypatch):
    monkeypatch.setattr(door, "LOOK", 6)

    async def fill():
        monkeypatch.setattr(disk, "lacking", lambda *words: "The disk is full")

    assert upload(home, [offer(home)["put_url"]], fill) == [507]
    assert list((home / source_archives.FOLDER).iterdir()) == []


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
    assert source_archives.sweep(home) == []
    assert len(source_archives.sweep(home, now=9e9)) == 1
    assert list((home / source_archives.FOLDER).iterdir()) == []
