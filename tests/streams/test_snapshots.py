"""Tests of snapshot downloads: the signed link gives exactly that file and no other."""

from __future__ import annotations

import asyncio

import pytest

from greenroom.basics import signing
from greenroom.entrypoints.streams.app import make_app
from greenroom.entrypoints.streams.link_holders import Holders, everybody
from tests.streams.conftest import KEY, WHO

NAME = f"snapshots/{'a' * 32}/{'b' * 32}.dump"


def fetch(home, payload, method="GET", purpose="snapshots"):
    """(status, headers, body) of one request."""
    token = signing.sign({"who": WHO, **payload}, key=KEY, purpose=purpose, seconds=60)
    scope = {"type": "http", "method": method, "path": f"/streams/snapshots/{token}", "headers": []}
    sent = []

    async def receive():
        await asyncio.sleep(60)

    async def send(message):
        sent.append(message)

    asyncio.run(asyncio.wait_for(make_app(home, KEY, Holders(everybody))(scope, receive, send), 20))
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(part.get("body", b"") for part in sent[1:])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(b"PGDMP" + bytes(range(256)) * 3000)
    return path


def test_the_link_gives_the_whole_file_with_its_size_and_a_name(tmp_path, file):
    status, headers, body = fetch(tmp_path, {"file": NAME, "name": 'shop"b001\r\n.dump'})
    assert (status, body) == (200, file.read_bytes())
    assert headers[b"content-length"] == str(file.stat().st_size).encode()
    assert headers[b"content-disposition"] == b'attachment; filename="shop_b001__.dump"'
    assert b"no-store" in headers[b"cache-control"]


def test_only_the_head_when_only_that_is_asked_for(tmp_path, file):
    assert fetch(tmp_path, {"file": NAME}, method="HEAD")[2] == b""


@pytest.mark.parametrize(
    "name", ["keys/master.key", "snapshots/../keys/master.key", NAME + ".part", f"{NAME}/../../../keys/x", "", None]
)
def test_no_other_file_can_be_had_even_with_a_good_signature(tmp_path, file, name):
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "master.key").write_text("secret")
    status, _, body = fetch(tmp_path, {"file": name})
    assert status == 404
    assert b"secret" not in body


def test_a_link_for_a_log_opens_no_snapshot(tmp_path, file):
    assert fetch(tmp_path, {"file": NAME}, purpose="logs")[0] == 404


def test_a_snapshot_that_was_removed_is_gone(tmp_path, file):
    file.unlink()
    assert fetch(tmp_path, {"file": NAME})[0] == 404
