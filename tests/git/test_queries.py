"""Tests of the repository queries for other rooms: commits, files, diffs, archives."""

from __future__ import annotations

import os
import tarfile
from datetime import UTC, datetime

import pytest

from greenroom.basics.errors import NotFoundError
from greenroom.git import actions, queries
from greenroom.git.drivers import repository
from greenroom.git.queries import Change

from .conftest import Checkout


@pytest.fixture
def made(home, shop, tmp_path):
    """A checkout that pushes directly into the repository, without hooks."""
    repo = actions.create_repository(app=shop, home=home)
    checkout = Checkout(tmp_path / "made", str(repo))
    checkout.git("config", "protocol.allow", "always")
    return checkout


@pytest.fixture
def store(home, shop, made):
    repo = home / shop.repo_folder
    return lambda ref="HEAD:refs/heads/master": made.git("-c", "core.hooksPath=/x", "push", "-q", "-f", str(repo), ref)


def test_making_a_repository_twice_changes_nothing(home, shop, made, store):
    made.commit()
    store()
    head = queries.head(shop, home)
    actions.create_repository(app=shop, home=home)
    assert queries.head(shop, home) == queries.head(shop, home, "main") == head
    assert (home / shop.repo_folder / "HEAD").read_text() == "ref: refs/heads/master\n"
    assert (home / shop.repo_folder).stat().st_mode & 0o007 == 0


def test_an_empty_repository_has_no_head(home, shop, cafe, made):
    assert queries.head(shop, home) is None
    assert queries.resolve(shop, home, "master") is None
    assert queries.head(cafe, home) is None


def test_a_commit_is_read_as_it_is(home, shop, made, store):
    first = made.commit(subject="first\n\nmore")
    made.git(
        "commit",
        "-q",
        "--allow-empty",
        "-m",
        "zweite Änderung",
        "--author",
        "Zoë <zoe@example.com>",
        GIT_COMMITTER_DATE="1700000000 +0200",
    )
    store()
    sha = queries.head(shop, home)
    commit = queries.commit(shop, home, sha)
    assert (commit.sha, commit.parents, commit.subject) == (sha, (first,), "zweite Änderung")
    assert (commit.author_name, commit.author_email) == ("Zoë", "zoe@example.com")
    assert commit.at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert queries.commit(shop, home, first).subject == "first"
    assert [row.sha for row in queries.log(shop, home, None, sha)] == [sha, first]
    assert [row.sha for row in queries.log(shop, home, first, sha)] == [sha]
    assert len(queries.log(shop, home, None, sha, limit=1)) == 1


def test_a_commit_from_the_far_future_is_no_fault(home, shop, made, store):
    raw = (
        f"tree {made.git('write-tree')}\nauthor A <a@b> 99999999999999 +0000\ncommitter A <a@b> 99999999999999"
        " +0000\n\nx\n"
    )
    sha = made.git("hash-object", "-w", "-t", "commit", "--literally", "--stdin", stdin=raw.encode())
    made.git("push", "-q", str(home / shop.repo_folder), f"{sha}:refs/heads/x", check=False)
    if queries.head(shop, home, "x"):
        assert queries.commit(shop, home, sha).at.year <= 9999


def test_an_unknown_commit_is_not_found(home, shop, made):
    for sha in ("f" * 40, "master", "-x", ""):
        with pytest.raises(NotFoundError):
            queries.commit(shop, home, sha)
        with pytest.raises(NotFoundError):
            queries.archive(shop, home, sha, home / "x.tar")
    assert not (home / "x.tar").exists()


def test_people_name_commits_by_branch_tag_or_digits(home, shop, made, store):
    sha = made.commit()
    store()
    store("HEAD:refs/tags/v1")
    for text in ("master", "main", "v1", sha, sha[:7], sha[:4].upper(), f" {sha[:10]}\n"):
        assert queries.resolve(shop, home, text) == sha, text
    for text in (
        "",
        "-x",
        "--all",
        "HEAD^",
        "master~1",
        "master^{tree}",
        ":/change",
        "abc",
        "f" * 40,
        "f" * 8,
        "@{1}",
        "no",
        "a\0b",
        "x" * 5000,
    ):
        assert queries.resolve(shop, home, text) is None, text


def test_changes_between_commits_with_renames(home, shop, made, store):
    made.commit("kept.py", "1\n")
    made.commit("old name.py", "\n".join(str(number) for number in range(50)))
    before = made.commit("gone.py", "x\n")
    made.git("mv", "old name.py", "new\tname.py")
    made.git("rm", "-q", "gone.py")
    made.commit("kept.py", "2\n")
    after = made.commit("folder/added.py", "y\n")
    store()
    assert sorted(queries.changed_paths(shop, home, before, after), key=lambda change: change.path) == [
        Change(status="A", path="folder/added.py"),
        Change(status="D", path="gone.py"),
        Change(status="M", path="kept.py"),
        Change(status="R", path="new\tname.py", old_path="old name.py"),
    ]
    assert {change.status for change in queries.changed_paths(shop, home, None, after)} == {"A"}
    assert queries.changed_paths(shop, home, after, after) == []


def test_a_file_is_shown_and_nothing_else_is(home, shop, made, store):
    os.symlink("/etc/passwd", made.folder / "link")
    (made.folder / "*.py").write_text("star\n")
    sha = made.commit("folder/app.py", "hello\n")
    store()
    assert queries.show(shop, home, sha, "folder/app.py") == b"hello\n"
    assert queries.show(shop, home, sha, "*.py") == b"star\n"
    for path in ("folder", "folder/", "link", "none", "", "-x", "../x", "/etc/passwd", "a\0"):
        assert queries.show(shop, home, sha, path) is None, path
    assert queries.show(shop, home, sha, "folder/app.py", limit=5) is None


def test_the_hash_of_a_tree_changes_with_the_files_it_is_asked_about(home, shop, made, store):
    first = made.commit("a.py", "1")
    second = made.commit("a.txt", "1")
    third = made.commit("a.py", "2")
    store()
    hashes = [queries.tree_hash(shop, home, sha, ".py") for sha in (first, second, third)]
    assert hashes[0] == hashes[1] != hashes[2]
    assert queries.tree_hash(shop, home, first) != queries.tree_hash(shop, home, second)


def test_ancestors(home, shop, made, store):
    first, second = made.commit(), made.commit()
    store()
    assert queries.is_ancestor(shop, home, first, second)
    assert queries.is_ancestor(shop, home, second, second)
    assert not queries.is_ancestor(shop, home, second, first)
    assert not queries.is_ancestor(shop, home, "f" * 40, first)


def test_an_archive_is_the_tree_byte_for_byte_and_the_same_each_time(home, shop, made, store, tmp_path):
    made.commit(".gitattributes", "*.txt text eol=crlf export-subst\nsecret export-ignore\n*.py ident filter=x\n")
    made.commit("a.txt", "$Format:%H$\n")
    made.commit("secret", "kept\n")
    sha = made.commit("x.py", "# $Id$\n")
    store()
    one = queries.archive(shop, home, sha, tmp_path / "one.tar").read_bytes()
    two = queries.archive(shop, home, sha, tmp_path / "two.tar").read_bytes()
    assert one == two
    assert (tmp_path / "one.tar").stat().st_mode & 0o777 == 0o644
    with tarfile.open(tmp_path / "one.tar") as tar:
        content = {member.name: tar.extractfile(member).read() for member in tar if member.isfile()}
    assert content["a.txt"] == b"$Format:%H$\n"
    assert content["secret"] == b"kept\n"
    assert content["x.py"] == b"# $Id$\n"
    assert [path.name for path in tmp_path.glob("*~")] == []


def test_an_archive_replaces_the_file_in_one_step(home, shop, made, store, tmp_path):
    sha = made.commit()
    store()
    target = tmp_path / "x.tar"
    target.write_text("old")
    with pytest.raises(NotFoundError):
        queries.archive(shop, home, "f" * 40, target)
    assert target.read_text() == "old"
    queries.archive(shop, home, sha, target)
    assert tarfile.is_tarfile(target)


def test_the_ref_on_disk_is_found_loose_and_packed(home, shop, made, store):
    sha = made.commit()
    store()
    repo = home / shop.repo_folder
    assert repository.ref_on_disk(repo, "refs/heads/master") == sha
    made.git("--git-dir", str(repo), "pack-refs", "--all")
    assert not (repo / "refs/heads/master").exists()
    assert repository.ref_on_disk(repo, "refs/heads/master") == sha
    assert repository.ref_on_disk(repo, "refs/heads/none") is None
    assert repository.refs(repo) == {"refs/heads/master": sha}
