"""Git LFS: the batch API as git-lfs speaks it, the objects of an app, and the trees that contain them."""

from __future__ import annotations

import hashlib
import os
import tarfile
import time

import httpx
import pytest

from greenroom.apps.actions import create
from greenroom.git import actions, queries
from greenroom.git.actions import platform_pushes
from greenroom.git.drivers import lfs_store
from greenroom.git.models import Push
from greenroom.git.rules import lfs as rules
from tests.git.conftest import token_of

CONTENT = b"\x89PNG" + bytes(300_000)
OID = hashlib.sha256(CONTENT).hexdigest()
SIZE = len(CONTENT)
KIND = {"Accept": "application/vnd.git-lfs+json", "Content-Type": "application/vnd.git-lfs+json"}


def pointer(content: bytes = CONTENT) -> str:
    oid = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{oid}\nsize {len(content)}\n"


def batch(url, operation="upload", oid=OID, size=SIZE, **more):
    body = {"operation": operation, "transfers": ["basic"], "objects": [{"oid": oid, "size": size}], **more}
    return httpx.post(f"{url}/info/lfs/objects/batch", json=body, headers=KIND, timeout=30)


def put(url, content=CONTENT, oid=""):
    name = oid or hashlib.sha256(content).hexdigest()
    return httpx.put(f"{url}/info/lfs/objects/{name}", content=content, timeout=30)


def track(alices, name="logo.png", content=CONTENT):
    alices.commit(".gitattributes", "*.png filter=lfs diff=lfs merge=lfs -text\n")
    return alices.commit(name, pointer(content))


def unpacked(home, tree):
    with tarfile.open(home / "sources" / f"{tree.key}.tar") as tar:
        return {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}


def test_an_object_is_uploaded_verified_and_downloaded_as_git_lfs_asks_for_it(alices, stored):
    (row,) = batch(alices.url).json()["objects"]
    upload, verify = row["actions"]["upload"]["href"], row["actions"]["verify"]["href"]
    plain = alices.url.replace(alices.url.split("@")[0].split("//")[1] + "@", "")
    assert (upload, verify) == (f"{plain}/info/lfs/objects/{OID}", f"{plain}/info/lfs/objects/verify")
    asked = {"oid": OID, "size": len(CONTENT)}
    assert httpx.post(f"{alices.url}/info/lfs/objects/verify", json=asked, timeout=30).status_code == 404
    assert put(alices.url).status_code == 200
    assert httpx.post(f"{alices.url}/info/lfs/objects/verify", json=asked, timeout=30).status_code == 200
    assert batch(alices.url).json()["objects"] == [asked]
    (row,) = batch(alices.url, "download").json()["objects"]
    assert row["actions"]["download"]["href"] == upload
    assert httpx.get(f"{alices.url}/info/lfs/objects/{OID}", timeout=30).content == CONTENT
    assert [path.name for path in (stored / "lfs" / "incoming").iterdir()] == []
    (row,) = batch(alices.url, "download", "0" * 64, 5).json()["objects"]
    assert row["error"]["code"] == 404


def test_content_with_another_hash_is_not_kept(alices, stored):
    answer = put(alices.url, b"something else", OID)
    assert (answer.status_code, answer.json()["message"][:50]) == (
        422,
        "The SHA-256 of the uploaded content is not that of",
    )
    assert lfs_store.size_of(stored, OID) is None
    assert list((stored / "lfs" / "incoming").iterdir()) == []


def test_an_incomplete_upload_of_a_killed_process_is_removed_later(stored, alices):
    with lfs_store.upload(stored, OID) as upload:
        upload.write(CONTENT)
        left = upload.draft.with_name("left")
        os.link(upload.draft, left)  # as after kill -9, which removes nothing
    assert batch(alices.url).status_code == 200
    assert left.exists()
    os.utime(left, (0, time.time() - lfs_store.STALE_SECONDS - 60))
    batch(alices.url)
    assert not left.exists()
    assert lfs_store.size_of(stored, OID) is None


def test_only_those_who_may_push_upload_and_only_members_download(alices, server, bob, vera, charlie, home, alice):
    put(alices.url)
    for who, upload, download in ((bob, 200, 200), (vera, 403, 200), (charlie, 404, 404)):
        url = server.url("shop", token_of(who))
        assert batch(url).status_code == upload
        assert put(url).status_code == upload
        assert httpx.post(f"{url}/info/lfs/objects/verify", json={"oid": OID, "size": 1}, timeout=30).status_code in (
            upload,
            404,
        )
        assert batch(url, "download").status_code == download
        assert httpx.get(f"{url}/info/lfs/objects/{OID}", timeout=30).status_code == download
    nobody = f"http://127.0.0.1:{server.port}/shop.git"
    for answer in (batch(nobody), put(nobody), httpx.get(f"{nobody}/info/lfs/objects/{OID}", timeout=30)):
        assert (answer.status_code, answer.headers["LFS-Authenticate"][:5]) == (401, "Basic")
    other = create(actor=alice, name="other")
    actions.create_repository(app=other, home=home)
    url = server.url("other", token_of(alice))
    assert httpx.get(f"{url}/info/lfs/objects/{OID}", timeout=30).status_code == 404
    assert "error" in batch(url, "download").json()["objects"][0]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"[]", "must be a JSON object"),
        (b"{", "must be a JSON object"),
        (b'{"operation": "remove"}', "upload or download"),
        (b'{"operation": "upload", "objects": []}', "1 to 1000 objects"),
        (b'{"operation": "upload", "objects": [{"oid": "../../x", "size": 1}]}', "64 hex digits"),
        (b'{"operation": "upload", "objects": [{"oid": "' + b"a" * 64 + b'", "size": -1}]}', "64 hex digits"),
        (b'{"operation": "upload", "transfers": ["tus"], "objects": [1]}', "basic transfer"),
        (b'{"operation": "upload", "hash_algo": "sha512", "objects": [1]}', "sha256"),
    ],
)
def test_an_invalid_batch_is_refused_with_its_reason(body, text):
    with pytest.raises(rules.UserError, match=text):
        rules.read_batch(body)


def test_other_addresses_and_large_bodies_are_refused_and_locks_are_not_supported(alices):
    lfs = f"{alices.url}/info/lfs"
    assert httpx.get(f"{lfs}/objects/../../config", timeout=30).status_code in (403, 404)
    assert httpx.get(f"{lfs}/objects/{'g' * 64}", timeout=30).status_code == 404
    answer = httpx.post(f"{lfs}/objects/batch", content=b"[]", timeout=30)
    assert (answer.status_code, answer.json()["message"]) == (422, "The request body must be a JSON object.")
    chunks = (piece for piece in (CONTENT,))
    assert httpx.put(f"{lfs}/objects/{OID}", content=chunks, timeout=30).status_code == 411
    assert httpx.post(f"{lfs}/objects/batch", content=bytes(rules.MAX_BODY + 1), timeout=30).status_code == 413
    for place in ("locks", "locks/verify"):
        assert httpx.post(f"{lfs}/{place}", json={}, timeout=30).status_code == 501


def test_limits_of_an_object_and_of_an_app_name_the_remedy(alices, monkeypatch, settings, stored):
    settings.LFS_MB = 1
    other = b"b" * 900_000
    assert put(alices.url, other).status_code == 200
    answer = batch(alices.url)
    assert answer.status_code == 422
    assert answer.json()["message"] == (
        "shop has 1 MB in Git LFS, and this push adds 0 MB; the limit is 1 MB. hint: the operator can raise"
        " GREENROOM_LFS_MB"
    )
    assert put(alices.url).status_code == 422
    settings.LFS_MB = 0
    monkeypatch.setattr(rules, "MAX_OBJECT", 1000)
    assert batch(alices.url).json()["objects"][0]["error"]["code"] == 422
    assert put(alices.url).status_code == 413
    with lfs_store.upload(stored, OID) as upload, pytest.raises(rules.UserError, match="the limit of a file"):
        upload.write(CONTENT)


def test_a_push_without_its_files_is_refused_with_the_command_that_uploads_them(alices, shop, home):
    sha = track(alices)
    code, said = alices.push()
    assert code
    assert "master: the content of 1 file in Git LFS is missing in this app: 'logo.png'." in said
    assert "hint: git lfs push --all greenroom, then push again" in said
    assert not Push.objects.exists()
    put(alices.url)
    assert alices.push()[0] == 0
    tree = queries.tree(shop, home, sha)
    assert (tree.lacking, len(tree.found.pointers)) == ((), 1)
    queries.write_tree(shop, home, tree)
    files = unpacked(home, tree)
    assert files["logo.png"] == CONTENT
    assert files[".gitattributes"].startswith(b"*.png filter=lfs")


def test_only_files_with_the_filter_are_replaced_whatever_folder_sets_it(alices, shop, home):
    put(alices.url)
    for name in ("media/logo.png", "docs/pointer.txt", "media/other.png"):
        (alices.folder / name).parent.mkdir(exist_ok=True)
        (alices.folder / name).write_text(pointer())
    (alices.folder / "media" / "run.png").write_text(pointer())
    (alices.folder / "media" / "run.png").chmod(0o755)
    (alices.folder / "media" / ".gitattributes").write_text("*.png filter=lfs\nother.png !filter\n")
    sha = alices.commit("media/broken.png", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n" + "#" * 80)
    assert alices.push()[0] == 0
    tree = queries.tree(shop, home, sha)
    assert [(row.path, row.executable) for row in tree.found.pointers] == [
        (b"media/logo.png", False),
        (b"media/run.png", True),
    ]
    queries.write_tree(shop, home, tree)
    files = unpacked(home, tree)
    assert (files["media/logo.png"], files["docs/pointer.txt"]) == (CONTENT, pointer().encode())
    assert files["media/other.png"] == pointer().encode()
    with tarfile.open(home / "sources" / f"{tree.key}.tar") as tar:
        modes = {member.name: (member.mode, member.mtime) for member in tar}
    assert modes["media/run.png"][0] == 0o755
    assert modes["media/logo.png"] == modes["docs/pointer.txt"]


def test_a_commit_from_a_source_is_taken_and_its_pointer_files_are_named(alices, shop, home):
    sha = track(alices)
    alices.git("push", "-q", str(home / shop.repo_folder), "HEAD:refs/heads/elsewhere")
    answer = actions.take(app=shop, home=home, commit=sha, quarantine=None, origin="https://example.com/shop.git")
    assert answer.accepted
    assert "The build gets pointer files: the content of 1 file in Git LFS is missing" in answer.lines[0]
    before = queries.tree(shop, home, sha)
    queries.write_tree(shop, home, before)
    assert unpacked(home, before)["logo.png"] == pointer().encode()
    put(alices.url)
    after = queries.tree(shop, home, sha)
    assert after.key != before.key
    queries.write_tree(shop, home, after)
    assert unpacked(home, after)["logo.png"] == CONTENT


def test_files_too_large_together_are_refused(alices):
    track(alices)
    path = alices.folder / "huge.png"
    path.write_text(pointer().replace(f"size {len(CONTENT)}", "size 2000000000"))
    alices.git("add", "-A")
    alices.git("commit", "-q", "-m", "huge")
    code, said = alices.push()
    assert code
    assert "its files exceed 1,000 MB in total" in said


def test_apps_do_not_share_trees_and_a_review_app_gets_the_files(alices, shop, home, alice):
    put(alices.url)
    sha = track(alices)
    assert alices.push()[0] == 0
    other = create(actor=alice, name="other")
    actions.create_repository(app=other, home=home)
    alices.git("push", "-q", str(home / other.repo_folder), "HEAD:refs/heads/master")
    assert queries.tree(other, home, sha).key != queries.tree(shop, home, sha).key
    assert len(queries.tree(other, home, sha).lacking) == 1
    platform_pushes.lend(source=shop, target=other, home=home, sha=sha)
    assert queries.tree(other, home, sha).lacking == ()
    actions.delete_repository(app=shop, home=home)
    assert not (home / shop.repo_folder).exists()
    assert lfs_store.size_of(home / other.repo_folder, OID) == len(CONTENT)
