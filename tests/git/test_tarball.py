"""Untrusted archives become commits, or are refused with a message that names the entry; no file is written outside."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile

import pytest

from greenroom.basics import signing
from greenroom.basics.errors import ConflictError, UserError
from greenroom.git import actions, queries
from greenroom.git.actions import platform_pushes
from greenroom.git.drivers import repository, source_archives
from greenroom.git.drivers.tarball import import_tarball
from greenroom.git.models import Push
from greenroom.git.rules import Limits

pytestmark = [pytest.mark.django_db, pytest.mark.neighbours]
KEY = "k" * 50


@pytest.fixture
def repo(shop, home):
    return actions.create_repository(app=shop, home=home)


def entry(name, content=b"x", *, kind=tarfile.REGTYPE, link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode = kind, link, mode
    info.size = len(content) if kind == tarfile.REGTYPE else 0
    return info, content


def archive(folder, *entries, mode="w:gz", pax=None):
    path = folder / "source.tar"
    with tarfile.open(path, mode, format=tarfile.PAX_FORMAT, pax_headers=pax or {}) as tar:
        for info, content in entries:
            tar.addfile(info, io.BytesIO(content))
    return path


def bring(shop, home, path, **options):
    return import_tarball(
        app=shop, home=home, tarball=path, message="From an archive", name="Bob", email="bob@example.com", **options
    )


def files(repo, sha):
    out = subprocess.run(
        ["git", "-C", str(repo), "ls-tree", "-r", sha], capture_output=True, text=True, check=True
    ).stdout
    return {line.split("\t")[1]: line.split()[0] for line in out.splitlines()}


@pytest.mark.parametrize("mode", ["w:gz", "w", "w:bz2", "w:xz"])
def test_an_archive_becomes_a_commit_with_its_files(shop, home, repo, tmp_path, mode):
    path = archive(
        tmp_path,
        entry("Procfile", b"web: x\n"),
        entry("bin/run", mode=0o755),
        entry("l", kind=tarfile.SYMTYPE, link="Procfile"),
        mode=mode,
    )
    made = bring(shop, home, path)
    assert files(repo, made.sha) == {"Procfile": "100644", "bin/run": "100755", "l": "120000"}
    assert queries.show(shop, home, made.sha, "Procfile") == b"web: x\n"
    commit = queries.commit(shop, home, made.sha)
    assert (commit.subject, commit.author_email, commit.parents) == ("From an archive", "bob@example.com", ())
    assert not list((repo / "objects").glob("incoming-*"))
    assert bring(shop, home, path).sha == made.sha


def test_what_git_archive_makes_gives_the_very_tree(shop, home, repo, tmp_path):
    work = tmp_path / "work"
    work.mkdir()
    env = {
        **os.environ,
        **{f"GIT_{who}_{what}": "a@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }

    def git(*words):
        return subprocess.run(["git", *words], cwd=work, env=env, check=True, capture_output=True).stdout

    git("init", "-q")
    (work / "a dir").mkdir()
    (work / "a dir" / 'ümläut "quoted" \\ name').write_text("1")
    (work / "x.sh").write_text("#!/bin/sh\n")
    (work / "x.sh").chmod(0o755)
    (work / "link").symlink_to("../outside")
    git("add", "-A")
    git("commit", "-qm", "one")
    (tmp_path / "a.tar.gz").write_bytes(git("archive", "--format=tar.gz", "HEAD"))
    made = bring(shop, home, tmp_path / "a.tar.gz")
    assert made.claimed == git("rev-parse", "HEAD").decode().strip()
    assert queries.commit(shop, home, made.sha).tree == git("rev-parse", "HEAD^{tree}").decode().strip()


def test_the_one_folder_that_all_files_share_is_left_out(shop, home, repo, tmp_path):
    made = bring(shop, home, archive(tmp_path, entry("shop-1234/Procfile"), entry("shop-1234/app/x.py")))
    assert set(files(repo, made.sha)) == {"Procfile", "app/x.py"}


HOSTILE = {
    "upwards": ([entry("a/../../x")], "points outside"),
    "absolute": ([entry("/etc/passwd")], "points outside"),
    "through a link": ([entry("a", kind=tarfile.SYMTYPE, link="/tmp"), entry("a/x")], "conflicts with another entry"),
    "a folder and a file": ([entry("a/x"), entry("a")], "conflicts with another entry"),
    "hard link to outside": ([entry("a", kind=tarfile.LNKTYPE, link="/etc/passwd")], "points outside"),
    "hard link to nothing": ([entry("a", kind=tarfile.LNKTYPE, link="b")], "does not precede it"),
    "hard link through a link": (
        [entry("l", kind=tarfile.SYMTYPE, link="/etc"), entry("a", kind=tarfile.LNKTYPE, link="l")],
        "does not precede it",
    ),
    "a device": ([entry("a", kind=tarfile.CHRTYPE)], "a device"),
    "a pipe": ([entry("a", kind=tarfile.FIFOTYPE)], "a pipe"),
    "a repository": ([entry("x"), entry(".GIT/config")], "in a .git folder"),
    "a repository by another name": ([entry("x"), entry("sub/git~1/config")], "in a .git folder"),
    "a line break": ([entry("a\nM 100644 :1 b")], "control characters"),
    "modules by a link": ([entry("x"), entry(".gitmodules", kind=tarfile.SYMTYPE, link="x")], "must be a file"),
    "nothing": ([], "no files"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_archive_is_refused_by_name_and_leaves_nothing(shop, home, repo, tmp_path, name):
    entries, words = HOSTILE[name]
    before = sorted(path for path in (repo / "objects").rglob("*"))
    with pytest.raises(UserError) as caught:
        bring(shop, home, archive(tmp_path, *entries))
    assert words in str(caught.value)
    assert sorted(path for path in (repo / "objects").rglob("*")) == before


NO_ARCHIVE = {
    "empty": b"",
    "text": b"no archive",
    "packed": gzip.compress(b"no archive" * 100),
    "packed twice": gzip.compress(gzip.compress(b"x" * 5000)),
    "noise": os.urandom(5000),
}


@pytest.mark.parametrize("data", NO_ARCHIVE.values(), ids=NO_ARCHIVE)
def test_what_is_no_archive_is_refused(shop, home, repo, tmp_path, data):
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(UserError, match="The archive was refused"):
        bring(shop, home, tmp_path / "a")


def test_an_archive_that_is_cut_off_is_refused(shop, home, repo, tmp_path):
    path = archive(tmp_path, entry("a", os.urandom(200_000)), mode="w")
    path.write_bytes(path.read_bytes()[:100_000])
    with pytest.raises(UserError):
        bring(shop, home, path)


def test_bombs_are_refused_by_their_limits(shop, home, repo, tmp_path):
    small = Limits(file_bytes=50_000, tree_bytes=120_000, tree_entries=10)
    zeros = bytes(40_000)
    for entries, words in (
        ([entry("a", bytes(60_000))], "the limit is"),
        ([entry(f"f{n}", zeros) for n in range(4)], "exceed .* in total"),
        ([entry(f"f{n}") for n in range(12)], "more than 10 files"),
    ):
        with pytest.raises(UserError, match=words):
            bring(shop, home, archive(tmp_path, *entries), limits=small)


def test_a_header_that_asks_for_gigabytes_costs_no_memory(shop, home, repo, tmp_path):
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 6_000_000_000
    with gzip.open(tmp_path / "a", "wb", compresslevel=1) as stream:
        stream.write(head.tobuf(format=tarfile.GNU_FORMAT))
        for _ in range(1000):
            stream.write(bytes(1 << 20))
    with pytest.raises(UserError, match="The archive was refused"):
        bring(shop, home, tmp_path / "a")


def test_a_moved_branch_is_a_push_and_only_goes_forward(shop, home, repo, bob, tmp_path):
    first = bring(shop, home, archive(tmp_path, entry("a"))).sha
    push = platform_pushes.move_branch(app=shop, home=home, sha=first, account=None)
    assert (push.state, push.ref, push.before, push.after) == ("recorded", "refs/heads/master", "0" * 40, first)
    assert platform_pushes.move_branch(app=shop, home=home, sha=first, account=None) == push
    second = bring(shop, home, archive(tmp_path, entry("b")), parent=first).sha
    assert set(files(repo, second)) == {"b"}
    platform_pushes.move_branch(app=shop, home=home, sha=second, account=None)
    assert queries.head(shop, home) == second
    with pytest.raises(ConflictError, match="protected"):
        platform_pushes.move_branch(app=shop, home=home, sha=first, account=None)
    assert Push.objects.filter(app=shop, state="recorded").count() == 2


def test_a_killed_move_is_finished_or_undone_by_the_reconciler(shop, home, repo, tmp_path, monkeypatch):
    sha = bring(shop, home, archive(tmp_path, entry("a"))).sha
    monkeypatch.setattr(platform_pushes.runner, "output", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        platform_pushes.move_branch(app=shop, home=home, sha=sha, account=None)
    monkeypatch.undo()
    assert Push.objects.get(app=shop).state == "intent"
    actions.reconcile(home=home)
    assert Push.objects.get(app=shop).state == "abandoned"
    assert platform_pushes.move_branch(app=shop, home=home, sha=sha, account=None).state == "recorded"


def test_a_commit_is_lent_with_all_it_needs_and_nothing_else(shop, cafe, home, repo, tmp_path):
    theirs = actions.create_repository(app=cafe, home=home)
    first = bring(shop, home, archive(tmp_path, entry("a"))).sha
    second = bring(shop, home, archive(tmp_path, entry("b")), parent=first).sha
    other = bring(shop, home, archive(tmp_path, entry("secret"))).sha
    platform_pushes.lend(source=shop, target=cafe, home=home, sha=second)
    assert set(files(theirs, second)) == {"b"}
    assert queries.commit(cafe, home, second).parents == (first,)
    assert queries.resolve(cafe, home, other) is None
    assert repository.refs(theirs) == {}


def test_an_upload_is_found_by_its_own_link_alone(home):
    links = source_archives.offer(
        lambda payload, purpose, seconds: signing.sign(payload, key=KEY, purpose=purpose, seconds=seconds),
        base="http://localhost:5000",
    )
    assert source_archives.file_of("https://github.com/x.tar.gz", home=home, key=KEY) is None
    with pytest.raises(UserError, match="Nothing was uploaded"):
        source_archives.file_of(links["get_url"], home=home, key=KEY)
    for url in (
        links["put_url"],
        links["get_url"] + "x",
        "http://localhost:5000/streams/sources/../../keys/master.key",
    ):
        with pytest.raises(UserError):
            source_archives.file_of(url, home=home, key=KEY)


def test_files_that_the_repository_has_already_cost_nothing_and_the_commit_is_there(shop, home, repo, tmp_path):
    path = archive(tmp_path, entry("a"), entry("b/c"))
    first = bring(shop, home, path).sha
    second = bring(shop, home, path, at=7).sha
    assert first != second
    assert queries.commit(shop, home, second).tree == queries.commit(shop, home, first).tree
