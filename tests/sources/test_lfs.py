"""Files in Git LFS of a source: fetched from its LFS server with the credential of the source."""

from __future__ import annotations

import base64
import hashlib

import pytest

from greenroom.git import queries as git
from greenroom.git.drivers import lfs_fetch, lfs_store
from greenroom.git.models import Push

pytestmark = pytest.mark.django_db
CONTENT = bytes(range(256)) * 500
OID = hashlib.sha256(CONTENT).hexdigest()
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{OID}\nsize {len(CONTENT)}\n"


def serve(forge, *, batch=200, download=200, content=CONTENT, href="", **link):
    """Make the forge an LFS server with one object."""

    def answer(method, path, body):
        if path.endswith("/objects/batch"):
            action = {"href": href or f"{forge.url}/team/shop.git/info/lfs/objects/{OID}", **link}
            return batch, {"objects": [{"oid": OID, "size": len(CONTENT), "actions": {"download": action}}]}
        return download, content

    forge.answer = answer


def lfs_requests(forge):
    return [(method, path, headers) for method, path, headers, _ in forge.asked if "/info/lfs/" in path]


def commit(repo):
    (repo.work / ".gitattributes").write_text("*.bin filter=lfs\n")
    return repo.commit("with a file", **{"model.bin": POINTER})


def stored(shop, home):
    return lfs_store.size_of(home / shop.repo_folder, OID)


def test_the_files_come_from_the_lfs_server_of_the_source_with_its_token_once(api, look, forge, repo, shop, home):
    forge.password = "secret"
    serve(forge)
    api.set(repo.url, token="secret", username="bot")
    sha = commit(repo)
    assert look().state == "synced"
    assert stored(shop, home) == len(CONTENT)
    assert git.tree(shop, home, sha).lacking == ()
    asked = lfs_requests(forge)
    basic = f"Basic {base64.b64encode(b'bot:secret').decode()}"
    assert [(method, headers["Authorization"]) for method, _, headers in asked] == [("POST", basic), ("GET", basic)]
    repo.commit("another")
    look()
    assert lfs_requests(forge) == asked


@pytest.mark.parametrize(
    "server",
    [
        {"batch": 403},
        {"batch": 404},
        {"download": 404},
        {"href": "file:///etc/passwd"},
        {"href": "ftp://127.0.0.1/x"},
        {"href": 7},
    ],
)
def test_what_the_lfs_server_does_not_have_stays_a_pointer_file(api, look, forge, repo, shop, home, server):
    serve(forge, **server)
    api.set(repo.url)
    sha = commit(repo)
    assert look().state == "synced"
    assert Push.objects.get().after == sha
    assert stored(shop, home) is None
    assert len(git.tree(shop, home, sha).lacking) == 1


@pytest.mark.parametrize(
    ("server", "text"),
    [
        ({"batch": 502}, "answered 502"),
        ({"content": b"something else"}, "SHA-256"),
        ({"content": CONTENT + b"more"}, "more than 128,000 bytes"),
        ({"href": "https://127.0.0.1:1/x"}, "could not be connected to"),
        ({"href": "http://10.1.2.3/x"}, "not a public address"),
    ],
)
def test_a_failing_lfs_server_is_named_and_asked_again(api, look, forge, repo, shop, home, server, text):
    serve(forge, **server)
    api.set(repo.url)
    commit(repo)
    row = look()
    assert (row.state, text in row.problem) == ("failing", True), row.problem
    assert stored(shop, home) is None
    assert not Push.objects.exists()
    serve(forge)
    assert look().state == "synced"
    assert stored(shop, home) == len(CONTENT)


def test_the_quota_of_the_app_holds_for_fetched_files_too(api, look, forge, repo, settings):
    settings.LFS_MB = 1
    serve(forge)
    api.set(repo.url)
    (repo.work / ".gitattributes").write_text("*.bin filter=lfs\n")
    repo.commit("large", **{"model.bin": POINTER.replace(f"size {len(CONTENT)}", "size 2000000")})
    row = look()
    assert (row.state, row.hint) == ("failing", "the operator can raise GREENROOM_LFS_MB")
    assert lfs_requests(forge) == []


def test_a_credential_goes_to_the_host_of_the_source_only():
    link = {"header": {"X-Signed": "1", "Host": "evil", "Bad Name": "x", "Line": "a\nb"}}
    assert lfs_fetch.headers_of(link, False, "Basic x") == {"User-Agent": "greenroom", "X-Signed": "1"}
    assert lfs_fetch.headers_of(link, True, "Basic x")["Authorization"] == "Basic x"
    own = {"header": {"authorization": "Bearer y"}}
    assert lfs_fetch.headers_of(own, True, "Basic x") == {"User-Agent": "greenroom", "authorization": "Bearer y"}
    assert lfs_fetch.links(b"[]", {OID: 1}) == lfs_fetch.links(b"{", {OID: 1}) == {}
    assert lfs_fetch.Server(url="https://h/a/b").api == "https://h/a/b.git/info/lfs/objects/batch"
    assert "secret" not in repr(lfs_fetch.Server(url="https://h/a.git", authorization="secret"))
