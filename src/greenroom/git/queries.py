"""Reads repositories: commits, trees, files and diffs. All ids are 40 hex digits."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.db.models import QuerySet

from greenroom.apps.models import App
from greenroom.basics import atomic, disk
from greenroom.basics.errors import NotFoundError, PlatformError, UserError
from greenroom.git import rules
from greenroom.git.drivers import additions, lfs_store, modules, runner, source_archives, whole_tree
from greenroom.git.drivers.source_archives import Sign
from greenroom.git.models import Push
from greenroom.git.rules.lfs import Pointer

EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
SHOW_LIMIT = 1_000_000
ARCHIVE_SECONDS = whole_tree.SECONDS
_FORMAT = "--format=%H%x00%T%x00%P%x00%an%x00%ae%x00%s%x00%ct"
_LATEST = 253_402_300_799
"""The latest valid date, in seconds since the epoch; commits can contain later ones."""


@dataclass(frozen=True, kw_only=True)
class Commit:
    """A commit. subject: the first paragraph of its message on one line; at: its committer date."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author_name: str
    author_email: str
    subject: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Change:
    """A changed path. status: A added, M modified, D deleted, R renamed (from old_path), T type changed."""

    status: str
    path: str
    old_path: str = ""


def _repo(app: App, home: Path) -> Path:
    return home / app.repo_folder


def _sha(sha: str) -> str:
    if not rules.is_sha(sha):
        raise NotFoundError(f"{sha[:60]!r} is not the id of a commit.", hint="use all 40 digits", resource="commit")
    return sha


def head(app: App, home: Path, branch: str = "master") -> str | None:
    """The newest commit of the branch, or None when it does not exist."""
    if not rules.is_branch_name(branch):
        return None
    return _verify(app, home, f"refs/heads/{branch}")


def resolve(app: App, home: Path, text: str) -> str | None:
    """The commit of a branch, a tag, or at least 4 digits of an id. None when there is none, or it is ambiguous."""
    text = text.strip()
    if rules.is_sha(text.lower()):
        return _verify(app, home, text.lower())
    if rules.is_branch_name(text):
        found = _verify(app, home, f"refs/heads/{text}") or _verify(app, home, f"refs/tags/{text}")
        if found:
            return found
    digits = text.lower()
    if 4 <= len(digits) < 40 and all(char in "0123456789abcdef" for char in digits):
        return _verify(app, home, digits)
    return None


def _verify(app: App, home: Path, name: str) -> str | None:
    if not _repo(app, home).is_dir():
        return None
    words = ["rev-parse", "--verify", "--quiet"]
    result = runner.run(_repo(app, home), words, args=[f"{name}^{{commit}}"])
    sha = result.out.decode().strip()
    return sha if result.code == 0 and rules.is_sha(sha) else None


def commit(app: App, home: Path, sha: str) -> Commit:
    """The commit with that id. NotFoundError when the repository does not have it."""
    if _verify(app, home, _sha(sha)) != sha:
        raise NotFoundError(f"There is no commit {sha[:12]} in {app.name}.", hint="push it first", resource="commit")
    return _commits(app, home, [sha], 1)[0]


def log(app: App, home: Path, old: str | None, new: str, limit: int = 50) -> list[Commit]:
    """Up to ``limit`` commits that are in ``new`` but not in ``old`` (None: no commits), newest first."""
    wanted = [_sha(new), f"^{_sha(old)}"] if old and old != rules.ZERO else [_sha(new)]
    return _commits(app, home, wanted, limit)


def _commits(app: App, home: Path, revisions: list[str], limit: int) -> list[Commit]:
    words = ["log", "-z", "--no-show-signature", "--encoding=UTF-8", _FORMAT, f"--max-count={int(limit)}"]
    fields = runner.output(_repo(app, home), words, args=revisions, paths=[]).decode("utf-8", "replace").split("\0")
    rows = [fields[i : i + 7] for i in range(0, len(fields) - 6, 7)]
    return [
        Commit(
            sha=row[0],
            tree=row[1],
            parents=tuple(row[2].split()),
            author_name=rules.printable(row[3], 200),
            author_email=rules.printable(row[4], 254),
            subject=rules.printable(row[5], 500),
            at=datetime.fromtimestamp(min(max(int(row[6] or 0), 0), _LATEST), UTC),
        )
        for row in rows
    ]


def changed_paths(app: App, home: Path, old: str | None, new: str) -> list[Change]:
    """The changed paths between two commits (``old`` None: an empty tree), with rename detection."""
    words = ["diff-tree", "-r", "-z", "-M", "-l2000", "--name-status", "--no-ext-diff", "--no-textconv"]
    before = _sha(old) if old and old != rules.ZERO else EMPTY_TREE
    out = runner.output(_repo(app, home), words, args=[before, _sha(new)], paths=[])
    fields = iter(out.decode("utf-8", "backslashreplace").split("\0"))
    changes = []
    for status in fields:
        if status[:1] in ("R", "C"):
            old_path = next(fields)
            changes.append(Change(status=status[0], path=next(fields), old_path=old_path))
        elif status:
            changes.append(Change(status=status[0], path=next(fields)))
    return changes


def show(app: App, home: Path, sha: str, path: str, *, limit: int = SHOW_LIMIT) -> bytes | None:
    """The content of a file; None when the path is not a regular file, or has more than ``limit`` bytes."""
    words = ["ls-tree", "-z", "-l", "--full-tree"]
    if not path or path.startswith("-") or "\0" in path:
        return None
    result = runner.run(_repo(app, home), words, args=[_sha(sha)], paths=[path])
    for entry in result.out.split(b"\0") if result.code == 0 else []:
        head, _, name = entry.partition(b"\t")
        if name == path.encode("utf-8", "surrogateescape"):
            mode, kind, blob, size = head.split()
            if kind == b"blob" and mode != b"120000" and int(size) <= limit:
                return runner.output(_repo(app, home), ["cat-file", "blob"], args=[blob.decode()], limit=limit)
    return None


def tree_hash(app: App, home: Path, sha: str, suffix: str = "") -> str:
    """SHA-256 (hex) over mode, id and path of the commit's files whose path ends with ``suffix``."""
    total = hashlib.sha256()
    words = ["ls-tree", "-r", "-z", "--full-tree"]
    with runner.records(_repo(app, home), words, args=[_sha(sha)], seconds=60) as entries:
        for entry in entries:
            if entry.endswith(suffix.encode()):
                total.update(entry + b"\0")
    return total.hexdigest()


def is_ancestor(app: App, home: Path, older: str, newer: str) -> bool:
    """Whether ``newer`` contains ``older`` (a commit contains itself). False when one of them does not exist."""
    words = ["merge-base", "--is-ancestor"]
    return runner.run(_repo(app, home), words, args=[_sha(older), _sha(newer)]).code == 0


def archive(app: App, home: Path, sha: str, target: Path) -> Path:
    """Write a tar of the commit's tree to ``target`` (mode 0644), atomically and reproducibly.

    Submodules are empty folders, files in Git LFS are pointers; ``write_tree`` has both. NotFoundError when the commit
    does not exist, PlatformError, OSError.
    """
    if _verify(app, home, _sha(sha)) != sha:
        raise NotFoundError(f"There is no commit {sha[:12]} in {app.name}.", hint="push it first", resource="commit")
    with atomic.writing(target, sync=True) as file:
        whole_tree.write_archive(_repo(app, home), sha, file.fileno())
    return target


@dataclass(frozen=True, kw_only=True)
class Tree:
    """A commit's files for a build. key: the name of their tar, the same for the same files. lacking: the files in Git
    LFS whose content is missing here; they stay pointer files.
    """

    sha: str
    key: str
    found: additions.Additions
    lacking: tuple[Pointer, ...] = ()

    @property
    def bare(self) -> Tree:
        """The same commit without submodules and files in Git LFS."""
        key = hashlib.sha256(f"bare {self.sha}".encode()).hexdigest()[:40]
        return Tree(sha=self.sha, key=key, found=additions.Additions())


def tree(app: App, home: Path, sha: str) -> Tree:
    """The contents of a commit. Without Git LFS and submodules, the key is the commit's id, and apps share the tar;
    otherwise it belongs to the app. UserError above a limit, PlatformError.
    """
    repo = _repo(app, home)
    if not (repo / "objects").is_dir():
        return Tree(sha=sha, key=sha, found=additions.Additions())
    if _verify(app, home, _sha(sha)) != sha:
        raise NotFoundError(f"There is no commit {sha[:12]} in {app.name}.", hint="push it first", resource="commit")
    found = additions.look(repo, sha)
    if not found:
        return Tree(sha=sha, key=sha, found=found)
    stored = lfs_store.sizes(repo, {pointer.oid for pointer in found.pointers})
    lacking = tuple(pointer for pointer in found.pointers if stored.get(pointer.oid) != pointer.size)
    missing = "".join(sorted({pointer.oid for pointer in lacking}))
    key = hashlib.sha256(f"{app.pk.hex} {sha} {missing}".encode()).hexdigest()[:40]
    return Tree(sha=sha, key=key, found=found, lacking=lacking)


def write_tree(
    app: App, home: Path, tree: Tree, *, origin: str = "", policy: modules.Policy | None = None
) -> modules.Walk:
    """Write ``sources/KEY.tar``, with the submodules and the files in Git LFS. Returns the submodules that it found.
    Repeatable; takes minutes if submodules are fetched.

    origin: the URL of the source repository, '' for a push. policy: where submodules may be fetched from; None: only
    those in the cache. UserError for a submodule that is refused or cannot be fetched, PlatformError, OSError.
    """
    repo, target = repository_path(app, home), home / "sources" / f"{tree.key}.tar"
    target.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    walk = modules.Walk(home=home, repo=repo, policy=policy)
    if not tree.found:
        archive(app, home, tree.sha, target)
        return walk
    lacking = set(tree.lacking)
    pointers = [pointer for pointer in tree.found.pointers if pointer not in lacking]
    size = tree.found.size + sum(pointer.size for pointer in pointers)
    if size > rules.DEFAULT_LIMITS.tree_bytes:
        most = f"{rules.DEFAULT_LIMITS.tree_bytes / 1e6:,.0f} MB"
        raise UserError(f"The files of the commit exceed {most} in total, Git LFS included.", hint=rules.KEEP_OUT)
    disk.guard(home, "builds", size)
    walk.below(repo, tree.found, origin)
    whole_tree.write(repo, tree.sha, target, pointers=pointers, placed=walk.found)
    if walk.fetched:
        modules.evict(repo, {placed.sha for placed in walk.found})
    return walk


def origin_of(app: App, sha: str) -> str:
    """The URL of the source repository from which the commit was fetched; '' if it was pushed."""
    rows = Push.objects.filter(app=app, after=sha).exclude(origin="").order_by("-seq")
    return rows.values_list("origin", flat=True).first() or ""


def pushes(app: App) -> QuerySet[Push]:
    """The app's pushes, newest first, including intents and abandoned ones."""
    return Push.objects.filter(app=app).select_related("account").order_by("-seq")


def pushers(app: App, sha: str) -> list[Any]:
    """The ids of the accounts that have pushed this commit to the app."""
    return list(Push.objects.filter(app=app, after=sha).exclude(account=None).values_list("account_id", flat=True))


def open_intents(app: App) -> bool:
    """Whether the app has an unsettled push."""
    return Push.objects.filter(app=app, state="intent").exists()


def repository_path(app: App, home: Path) -> Path:
    """The path of the app's bare repository. PlatformError when it does not exist (yet)."""
    path = _repo(app, home)
    if not (path / "objects").is_dir():
        raise PlatformError(f"The repository of {app.name} is not ready.", hint="try again in a few seconds")
    return path


def upload_links(sign: Sign, *, base: str) -> dict[str, str]:
    """``put_url`` and ``get_url`` for a new source archive, see ``source_archives.offer``."""
    return source_archives.offer(sign, base=base)


def uploaded_archive(url: str, *, home: Path, key: str) -> Path | None:
    """The uploaded file of a ``get_url``; None for any other URL. UserError if the URL has expired or nothing was
    uploaded. key: signs the URLs.
    """
    return source_archives.file_of(url, home=home, key=key)
