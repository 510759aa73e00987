"""Tests of malicious pushes: hidden refs, crafted objects, bombs, shell text. They are refused or treated as data, at a
bounded cost.
"""

from __future__ import annotations

import hashlib
import os
import tarfile
import threading
import time
import zlib
from pathlib import Path

import httpx
import pytest

from greenroom.git import queries
from greenroom.git.drivers import inspection, runner
from greenroom.git.models import Push
from greenroom.git.rules import Limits

from .conftest import token_of


def size_of(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_refs_beside_branches_and_tags_are_hidden(alices, stored):
    alices.push()
    for ref in ("refs/replace/x", "refs/meta/config", "refs/pull/1/head", "refs/notes/commits", "refs/x"):
        code, said = alices.push(f"HEAD:{ref}")
        assert code
        assert "hidden ref" in said
        assert not (stored / ref).exists()
    assert Push.objects.count() == 1


def test_misleading_names_are_refused(alices, stored):
    alices.push()
    for name in ("heads/HEAD", "heads/-x", "tags/-x", "heads/@", "heads/" + "a" * 40, "heads/refs/heads/x"):
        code, said = alices.push(f"HEAD:refs/{name}")
        assert code
        assert "is not a valid branch or tag name" in said
    assert Push.objects.count() == 1


def test_names_with_control_characters_are_refused(alices):
    for name in (b"evil\xc2\x9b31m", b"latin\xff", "sep\u2028x".encode()):
        packet = f"{'0' * 40} {alices.git('rev-parse', 'HEAD')} ".encode() + b"refs/heads/" + name + b"\0 report-status"
        line = f"{len(packet) + 4:04x}".encode() + packet + b"0000"
        pack = alices.call("pack-objects", "--stdout", "--revs", stdin=b"HEAD\n").stdout
        user, _, host = alices.url.removeprefix("http://").partition("@")
        headers = {"content-type": "application/x-git-receive-pack-request"}
        url = f"http://{host}/git-receive-pack"
        answer = httpx.post(url, auth=tuple(user.split(":")), content=line + pack, headers=headers)
        assert answer.status_code == 200
        assert b"pre-receive hook declined" in answer.content, answer.content
    assert not Push.objects.exists()


def post(alices, service, content):
    """The response to a request with that body."""
    user, _, host = alices.url.removeprefix("http://").partition("@")
    headers = {"content-type": f"application/x-git-{service}-request"}
    return httpx.post(
        f"http://{host}/git-{service}", auth=tuple(user.split(":")), content=content, headers=headers, timeout=60
    )


GARBAGE = [
    b"garbage",
    b"GET / HTTP/1.1\r\n\r\n",
    b"zzzz0000",
    b"0003",
    b"ffffx",
    b"0010nonsense",
    b"0032want " + b"q" * 40 + b"\n0000",
    b"\0" * 100,
    b"{}",
    b"0005",
]


@pytest.mark.parametrize("service", ["receive-pack", "upload-pack"])
@pytest.mark.parametrize("content", GARBAGE)
def test_garbage_is_the_clients_fault(alices, service, content):
    alices.push()
    answer = post(alices, service, content)
    assert answer.status_code in (200, 400), answer.text
    if answer.status_code == 200:
        assert b"ERR" in answer.content or b"unpack" in answer.content or not answer.content, answer.content


def test_a_push_of_thousands_of_refs_is_refused_before_git_works_on_it(alices, stored):
    alices.push()
    before, sha = size_of(stored), alices.git("rev-parse", "HEAD").strip()
    lines = "".join(f"create refs/heads/many{number} {sha}\n" for number in range(3000))
    alices.call("update-ref", "--stdin", stdin=lines.encode())
    code, said = alices.push("refs/heads/many*:refs/heads/many*")
    assert code
    assert "updates more than 500 refs" in said
    assert "hint: push fewer refs at once" in said
    assert size_of(stored) == before
    assert Push.objects.count() == 1


def test_a_replacement_has_no_effect_on_what_is_deployed(alices, shop, home, stored, tmp_path):
    good = alices.commit("app.py", "good\n")
    alices.push()
    evil = alices.commit("app.py", "evil\n")
    alices.push("HEAD:evil")
    # even a replacement that was added to the repository in another way
    (stored / "refs" / "replace").mkdir()
    (stored / "refs" / "replace" / good).write_text(evil + "\n")
    path = queries.archive(shop, home, good, tmp_path / "good.tar")
    with tarfile.open(path) as tar:
        assert tar.extractfile("app.py").read() == b"good\n"
    assert queries.show(shop, home, good, "app.py") == b"good\n"


def test_trees_that_would_write_outside_or_twice_are_refused(alices):
    blob = bytes.fromhex(alices.blob(b"x"))
    names = (b".git", b".GIT", b"git~1", b"..", b".", b"a/b")
    for raw in (*(b"100644 " + name + b"\0" + blob for name in names), b"100644 a\0" + blob + b"100644 a\0" + blob):
        tree = alices.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=raw)
        code, said = alices.push(f"{alices.commit_tree(tree)}:refs/heads/x")
        assert code, raw
        assert "fsck error" in said, raw
    assert not Push.objects.exists()


def test_special_files_that_are_links_are_refused(alices):
    for special in (".gitattributes", ".gitmodules"):
        tree = alices.tree(f"120000 blob {alices.blob(b'/etc/passwd')}\t{special}\0".encode())
        assert "fsck error" in alices.push(f"{alices.commit_tree(tree)}:refs/heads/x")[1]


def test_a_carriage_return_in_gitmodules_is_refused(alices):
    text = b'[submodule "x"]\n\tpath = "x\r"\n\turl = https://example.com/x\n'
    tree = alices.tree(f"100644 blob {alices.blob(text)}\t.gitmodules\0".encode())
    code, said = alices.push(f"{alices.commit_tree(tree)}:refs/heads/x")
    assert code
    assert "'.gitmodules' contains control characters (CVE-2025-48384)" in said
    fine = text.replace(b'"x\r"', b"x").replace(b"\n", b"\r\n")
    tree = alices.tree(f"100644 blob {alices.blob(fine)}\t.gitmodules\0".encode())
    assert alices.push(f"{alices.commit_tree(tree)}:refs/heads/y")[0] == 0


def test_file_names_that_forge_lines_are_refused(alices):
    for name in (b"a\nb", b"a\x1b[2Jb", b"a\rb", b"caf\xe9"):
        tree = alices.tree(b"100644 blob " + alices.blob(b"x").encode() + b"\t" + name + b"\0")
        code, said = alices.push(f"{alices.commit_tree(tree)}:refs/heads/x")
        assert code
        assert "the file name " + repr(name.decode("utf-8", "backslashreplace")) in said
        assert "hint: git mv it to another name" in said


def test_shell_text_in_names_is_data(alices, shop, home, tmp_path, server):
    marker = tmp_path / "marker"
    names = [f"a;touch${{IFS}}{marker}", "$(id)", "`id`", "a|b", "a'b", 'a"b', "a&b", "<y>", "été"]
    for name in names:
        path = name.replace("/", "_")
        (alices.folder / path).write_text("x")
        alices.git("add", "--", path)
    alices.git("commit", "-q", "-m", "$(touch x); `id`", "--author", 'A";id <x@$(id)>')
    sha = alices.git("rev-parse", "HEAD")
    code, said = alices.push(
        "HEAD:master", *(f"HEAD:refs/heads/{name}" for name in names), *(f"HEAD:refs/tags/{name}" for name in names)
    )
    assert code == 0, said
    assert not marker.exists()
    assert all(queries.resolve(shop, home, name) == sha for name in names)
    assert queries.commit(shop, home, sha).author_email == "x@$(id)"
    assert queries.commit(shop, home, sha).subject == "$(touch x); `id`"
    assert queries.show(shop, home, sha, "$(id)") == b"x"


def test_a_submodule_is_neither_fetched_nor_checked_out_by_a_push(alices, stored):
    commit = alices.git("rev-parse", "HEAD")
    text = b'[submodule "vendor"]\n\tpath = vendor\n\turl = http://127.0.0.1:9/x.git\n\tupdate = none\n'
    entries = (f"160000 commit {commit}\tvendor", f"100644 blob {alices.blob(text)}\t.gitmodules", "")
    tree = alices.tree("\0".join(entries).encode())
    code, said = alices.push(f"{alices.commit_tree(tree)}:refs/heads/master")
    assert code == 0, said
    assert not (stored / "modules").exists()


def test_a_tag_must_lead_to_a_commit(alices):
    alices.git("tag", "blob", alices.blob(b"x"))
    code, said = alices.push("refs/tags/blob")
    assert code
    assert "refs/tags/blob does not point to a commit." in said


# -- bombs -------------------------------------------------------------------------------------------------------------


def bomb(alices, depth=9, width=10):
    """A commit of width ** depth files in a few kilobytes."""
    entry, kind = alices.blob(b"boom"), "100644 blob"
    for _ in range(depth):
        entry = alices.tree("".join(f"{kind} {entry}\t{number}\0" for number in range(width)).encode())
        kind = "040000 tree"
    return alices.commit_tree(entry, alices.git("rev-parse", "HEAD"))


def test_a_tree_bomb_is_refused_at_once_and_leaves_nothing(alices, stored):
    alices.push()
    sha, before = bomb(alices), size_of(stored)
    begun = time.monotonic()
    code, said = alices.push(f"{sha}:master")
    assert code
    assert time.monotonic() - begun < 8
    assert "master has more than 200,000 files and folders." in said
    assert size_of(stored) - before < 1_000_000
    assert not list((stored / "objects").glob("tmp_objdir*"))


def test_a_tree_bomb_in_an_old_commit_does_not_reach_the_server_either_as_a_branch(alices):
    sha = bomb(alices)
    assert alices.push(f"{sha}:refs/heads/other")[0]
    later = alices.commit_tree(alices.git("rev-parse", "HEAD^{tree}"), sha)
    assert alices.push(f"{later}:refs/heads/other")[0] == 0
    code, said = alices.push(f"{sha}:refs/heads/again")
    assert code
    assert "200,000" in said


def zeros(path, size):
    with path.open("wb") as stream:
        stream.truncate(size)


def test_a_bomb_of_zeros_is_refused_in_bounded_memory(alices, stored):
    alices.push()
    before = size_of(stored)
    zeros(alices.folder / "zeros", 500_000_000)
    alices.git("-c", "core.compression=1", "add", "zeros")
    alices.git("commit", "-q", "-m", "zeros")
    peak = Peak()
    begun = time.monotonic()
    with peak:
        code, said = alices.push()
    assert code
    assert "The push contains an object of 500 MB" in said
    assert "the limit for a file in any commit is 100 MB" in said
    assert time.monotonic() - begun < 30
    assert size_of(stored) - before < 1_000_000
    assert 0 < peak.highest < 100_000_000
    print(
        f"500 MB of zeros: refused after {time.monotonic() - begun:.1f} s, index-pack at most"
        f" {peak.highest / 1e6:.0f} MB"
    )


class Peak:
    """The highest resident size in bytes of the server's index-pack while it is entered."""

    highest = 0

    def __enter__(self):
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._watch)
        self.thread.start()
        return self

    def _watch(self):
        while not self.stop.wait(0.01):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    if b"index-pack" in path.read_bytes():
                        status = (path.parent / "status").read_text()
                        self.highest = max(self.highest, int(status.partition("VmHWM:")[2].split()[0]) * 1024)
                except (OSError, IndexError):
                    continue

    def __exit__(self, *_):
        self.stop.set()
        self.thread.join()


def test_one_file_in_thousand_places_counts_as_often_as_it_is_written(alices):
    zeros(alices.folder / "data", 20_000_000)
    blob = alices.git("hash-object", "-w", "data")
    tree = alices.tree("".join(f"100644 blob {blob}\t{number:03}\0" for number in range(100)).encode())
    code, said = alices.push(f"{alices.commit_tree(tree)}:refs/heads/master")
    assert code
    assert "its files exceed 1,000 MB in total when checked out" in said


def test_a_push_over_the_limit_of_bytes_says_so(alices, stored, server, alice):
    config = stored / "config"
    config.write_text(config.read_text().replace(f"maxInputSize = {512 * 1024 * 1024}", "maxInputSize = 1000000"))
    (alices.folder / "noise").write_bytes(os.urandom(6_000_000))
    alices.commit()
    code, said = alices.push()
    assert code
    assert "pack exceeds maximum allowed size" in said
    assert not Push.objects.exists()


def test_a_gzip_bomb_costs_no_memory(alices, server, alice):
    alices.push()
    engine = zlib.compressobj(9, zlib.DEFLATED, 16 + zlib.MAX_WBITS)
    packed = b"".join(engine.compress(b"0000" * 250_000) for _ in range(300)) + engine.flush()
    before = resident()
    url = f"http://127.0.0.1:{server.port}/shop.git/git-receive-pack"
    headers = {"content-type": "application/x-git-receive-pack-request", "content-encoding": "gzip"}
    httpx.post(url, auth=("any", token_of(alice)), content=packed, headers=headers, timeout=60)
    assert resident() - before < 60_000_000


def resident():
    with open("/proc/self/status") as stream:
        return int(stream.read().partition("VmRSS:")[2].split()[0]) * 1024


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def packed(kind, size, head, data):
    first, rest = size & 15, size >> 4
    return (
        bytes([(128 if rest else 0) | kind << 4 | first]) + (varint(rest) if rest else b"") + head + zlib.compress(data)
    )


def test_a_delta_bomb_is_refused_in_bounded_memory(alices, stored, server, alice):
    """16 MB of zeros, and a delta of 2 kB that expands to 4 GB of them."""
    base = bytes(0xFFFFFF)
    name = hashlib.sha1(f"blob {len(base)}\0".encode() + base, usedforsecurity=False).digest()
    copies = 256
    delta = varint(len(base)) + varint(len(base) * copies) + b"\xf0\xff\xff\xff" * copies
    pack = (
        b"PACK"
        + (2).to_bytes(4, "big")
        + (2).to_bytes(4, "big")
        + packed(3, len(base), b"", base)
        + packed(7, len(delta), name, delta)
    )
    pack += hashlib.sha1(pack, usedforsecurity=False).digest()
    line = f"{'0' * 40} {'1' * 40} refs/heads/x\0 report-status".encode()
    body = f"{len(line) + 4:04x}".encode() + line + b"0000" + pack
    headers = {"content-type": "application/x-git-receive-pack-request"}
    url = f"http://127.0.0.1:{server.port}/shop.git/git-receive-pack"
    with Peak() as peak:
        answer = httpx.post(url, auth=("any", token_of(alice)), content=body, headers=headers, timeout=60)
    assert b"unpack index-pack abnormal exit" in answer.content
    print(f"4 GB by a difference: index-pack at most {peak.highest / 1e6:.0f} MB")
    assert peak.highest < 600_000_000
    assert not Push.objects.exists()


def test_looking_stops_at_its_limits(alices, stored):
    alices.push()
    sha = alices.git("rev-parse", "HEAD")
    assert inspection.read_tree(stored, sha, None, Limits(tree_entries=0)).stopped == "entries"
    assert inspection.read_tree(stored, sha, None, Limits(tree_bytes=1)).stopped == "size"
    assert inspection.read_tree(stored, sha, None, Limits(tree_seconds=0)).stopped == "time"
    assert inspection.new_objects(stored, stored / "objects", Limits(new_objects=1)).stopped == "entries"
    assert inspection.new_objects(stored, stored / "objects", Limits(new_bytes=1)).stopped == "size"
    assert inspection.new_objects(stored, stored / "objects", Limits(new_seconds=0)).stopped == "time"
    whole = inspection.new_objects(stored, stored / "objects")
    assert (whole.count, whole.stopped) == (3, "")


def test_nothing_of_a_pusher_becomes_an_option_of_git():
    for word in ("-x", "--upload-pack=id", "", "a\0b"):
        with pytest.raises(Exception, match="neither a revision nor a path"):
            runner.command(["log"], [word])
        with pytest.raises(Exception, match="neither a revision nor a path"):
            runner.command(["log"], ["master"], [word])
    assert runner.command(["log"], ["master"], ["x"]) == ["git", "log", "--end-of-options", "master", "--", "x"]


def test_the_environment_of_git_is_built_from_empty(monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_SSH_COMMAND", "id")
    monkeypatch.setenv("DATABASE_URL", "secret")
    env = runner.environment(tmp_path)
    assert "GIT_SSH_COMMAND" not in env
    assert "DATABASE_URL" not in env
    assert (env["HOME"], env["GIT_CONFIG_NOSYSTEM"], env["GIT_NO_REPLACE_OBJECTS"]) == ("/nonexistent", "1", "1")
