"""Inspects the objects of a push before it is accepted, and collects the facts that ``rules`` checks.

Time, entries and memory are bounded: git is stopped at a limit.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from greenroom.git import rules
from greenroom.git.drivers import additions, lfs_store, runner
from greenroom.git.rules import DEFAULT_LIMITS, Limits, NewObjects, Refusal, Tree, Update

SMALL_FILE = additions.SMALL_FILE


@dataclass(frozen=True, kw_only=True)
class Look:
    """The result of an inspection: refusals, and the trees by ref as pushed."""

    refusals: list[Refusal] = field(default_factory=list)
    trees: dict[str, Tree] = field(default_factory=dict)


def inspect(
    repo: Path,
    updates: Sequence[Update],
    *,
    protected: str,
    quarantine: Path | None,
    limits: Limits = DEFAULT_LIMITS,
    may_force: bool = False,
    fetched: bool = False,
) -> Look:
    """Inspect a push, the cheapest checks first; stops after the first failed one. Raises PlatformError.

    may_force: a user has allowed that the protected branch loses commits. fetched: from a source, which cannot upload
    files in Git LFS: without them, the commit is not refused.
    """
    refusals = rules.judge_refs(updates, protected, limits)
    moved = [update for update in updates if not update.deletes]
    if not refusals and quarantine is not None:
        refusals = rules.judge_objects(new_objects(repo, quarantine, limits), limits)
    if not refusals:
        refusals = _kinds(repo, moved, quarantine) or _whole(repo, moved, quarantine)
    if not refusals:
        refusals = [] if may_force else _forced(repo, moved, protected, quarantine)
    if refusals:
        return Look(refusals=refusals)
    branches = [update for update in moved if update.ref.startswith("refs/heads/")]
    return _trees(repo, branches, quarantine, limits, fetched)


def _kinds(repo: Path, updates: Sequence[Update], quarantine: Path | None) -> list[Refusal]:
    """Refusals of branches and tags that do not point to a commit."""
    ask = "".join(f"{update.after}^{{commit}}\n" for update in updates).encode()
    answers = runner.output(
        repo, ["cat-file", "--batch-check=%(objecttype)"], stdin=ask, quarantine=quarantine
    ).splitlines()
    return [
        Refusal(
            message=f"{rules.printable(update.ref, 80)} does not point to a commit.",
            hint="tag a commit: git tag NAME COMMIT",
        )
        for update, answer in zip(updates, answers, strict=True)
        if answer != b"commit"
    ]


def _whole(repo: Path, updates: Sequence[Update], quarantine: Path | None) -> list[Refusal]:
    """The refusal of a push from a shallow clone, whose commits lack parents; git's own message is not helpful."""
    commits = list(dict.fromkeys(update.after for update in updates))
    if not commits or quarantine is None:
        return []
    found = runner.run(repo, ["rev-list", "--count", *commits, "--not", "--all"], quarantine=quarantine)
    if found.code == 0 or not rules.lacks_parents(found.err):
        return []
    return [
        Refusal(
            message="This is a shallow clone: the parents of its oldest commit are missing.",
            hint=(
                "git fetch --unshallow, then push again (with several remotes: git fetch --unshallow origin; in GitHub"
                " Actions: actions/checkout with fetch-depth: 0)"
            ),
        )
    ]


def _forced(repo: Path, updates: Sequence[Update], protected: str, quarantine: Path | None) -> list[Refusal]:
    for update in updates:
        if not rules.is_protected(update.ref, protected) or update.creates:
            continue
        words = ["merge-base", "--is-ancestor"]
        result = runner.run(repo, words, args=[update.before, update.after], quarantine=quarantine)
        if result.code:
            return [rules.judge_force(protected, update.before, update.after)]
    return []


def _trees(
    repo: Path, updates: Sequence[Update], quarantine: Path | None, limits: Limits, fetched: bool = False
) -> Look:
    trees: dict[str, Tree] = {}
    by_sha: dict[str, Tree] = {}
    refusals: list[Refusal] = []
    deadline = time.monotonic() + limits.branches_seconds
    for update in updates:
        if time.monotonic() > deadline:
            text = f"Checking the branches of this push took longer than {limits.branches_seconds:.0f} s."
            return Look(refusals=[*refusals, Refusal(message=text, hint="push fewer branches at a time")])
        if update.after not in by_sha:
            tree = read_tree(repo, update.after, quarantine, limits)
            by_sha[update.after] = tree = _with_lfs(repo, update.after, quarantine, limits, tree)
            refusals += rules.judge_tree(update.short, tree, limits) or (
                [] if fetched else rules.judge_lfs(update, tree)
            )
        trees[update.ref] = by_sha[update.after]
    return Look(refusals=refusals, trees=trees)


def _with_lfs(repo: Path, sha: str, quarantine: Path | None, limits: Limits, tree: Tree) -> Tree:
    """The tree with the facts about its files in Git LFS."""
    if tree.stopped or not tree.lfs:
        return tree
    pointers = additions.look(repo, sha, quarantine, limits).pointers
    stored = lfs_store.sizes(repo, {pointer.oid for pointer in pointers})
    size = tree.size + sum(pointer.size for pointer in pointers)
    return replace(
        tree,
        size=size,
        stopped="size" if size > limits.tree_bytes else "",
        lacking=tuple(pointer for pointer in pointers if stored.get(pointer.oid) != pointer.size),
    )


def new_objects(repo: Path, quarantine: Path, limits: Limits = DEFAULT_LIMITS) -> NewObjects:
    """Number and unpacked size of the new objects of a push, which are in its quarantine."""
    words = ["cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectsize) %(objectname)"]
    count, size, largest, stopped = 0, 0, ("", 0), ""
    try:
        with runner.records(
            repo, words, quarantine=quarantine, alone=True, separator=b"\n", seconds=limits.new_seconds
        ) as lines:
            for line in lines:
                length, _, name = line.partition(b" ")
                count += 1
                size += int(length)
                if int(length) > largest[1]:
                    largest = (name.decode(), int(length))
                if count > limits.new_objects or size > limits.new_bytes:
                    stopped = "entries" if count > limits.new_objects else "size"
                    break
    except runner.TooSlowError:
        stopped = "time"
    return NewObjects(count=count, size=size, largest=largest, stopped=stopped)


def read_tree(repo: Path, sha: str, quarantine: Path | None, limits: Limits = DEFAULT_LIMITS) -> Tree:
    """The facts about a commit's files, up to the limits: a tree of a few kilobytes can contain a billion of them."""
    seen = _Seen(limits)
    words = ["ls-tree", "-r", "-t", "-l", "-z", "--full-tree"]
    try:
        with runner.records(repo, words, args=[sha], quarantine=quarantine, seconds=limits.tree_seconds) as entries:
            seen.take(entries)
    except runner.TooSlowError:
        seen.stopped = "time"
    modules = _small(repo, seen.modules, quarantine)
    if any(code < 32 and code not in (9, 10) for code in modules.replace(b"\r\n", b"\n")):
        seen.bad.append((b".gitmodules", "contains control characters (CVE-2025-48384)"))
    return Tree(
        entries=seen.entries,
        size=seen.size,
        stopped=seen.stopped,
        bad=tuple(seen.bad),
        big=tuple(seen.big),
        lfs=additions.uses_lfs(repo, seen.attributes, quarantine),
    )


class _Seen:
    """Collects the facts about a tree, entry by entry."""

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.entries = self.size = 0
        self.stopped = self.modules = ""
        self.attributes: list[str] = []
        self.bad: list[tuple[bytes, str]] = []
        self.big: list[tuple[bytes, int]] = []

    def take(self, entries: Iterator[bytes]) -> None:
        """Read the entries until the end or a limit."""
        for entry in entries:
            head, _, path = entry.partition(b"\t")
            _, kind, name, length = head.split()
            self.entries += 1
            self._one(kind, name.decode(), length, path)
            if self.entries > self.limits.tree_entries or self.size > self.limits.tree_bytes:
                self.stopped = "entries" if self.entries > self.limits.tree_entries else "size"
                return

    def _one(self, kind: bytes, name: str, length: bytes, path: bytes) -> None:
        problem = rules.path_problem(path)
        if problem and len(self.bad) < rules.SHOWN:
            self.bad.append((path, problem))
        if kind != b"blob":
            return
        size = int(length)
        self.size += size
        if size > self.limits.file_bytes and len(self.big) < rules.SHOWN:
            self.big.append((path, size))
        if path == b".gitmodules" and size <= SMALL_FILE:
            self.modules = name
        if additions.is_attributes(path, size) and len(self.attributes) < additions.MAX_ATTRIBUTES:
            self.attributes.append(name)


def _small(repo: Path, name: str, quarantine: Path | None) -> bytes:
    return (
        runner.output(repo, ["cat-file", "blob"], args=[name], quarantine=quarantine, limit=SMALL_FILE) if name else b""
    )
