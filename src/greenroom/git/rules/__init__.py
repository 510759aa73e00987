"""Decides which refs may move and which trees are accepted, and formats the ``remote:`` lines.

Pure: ``inspection`` provides the facts about objects.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.basics import text as basics_text
from greenroom.git.rules import lfs as lfs_rules

ZERO = "0" * 40
ALIASES = ("master", "main")
"""Two names of the same branch: ``main`` is a symbolic ref to ``master``, so they cannot differ."""
MAX_INPUT = 512 * 1024 * 1024
"""Limit of a push, in transferred bytes."""

_SHA = re.compile(r"[0-9a-f]{40}\Z")
_BAD_NAME = re.compile(rb"[\x00-\x1f\x7f]")
_BRANCH = re.compile(
    r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\/.-][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])\Z"
)
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Limits of a push. Bytes are of unpacked objects; seconds are wall-clock limits of the inspection, generous enough
    for a machine under load.
    """

    refs: int = 500
    file_bytes: int = 100_000_000
    tree_bytes: int = 1_000_000_000
    tree_entries: int = 200_000
    tree_seconds: float = 20.0
    new_objects: int = 3_000_000
    new_bytes: int = 40_000_000_000
    new_seconds: float = 60.0
    branches_seconds: float = 60.0


DEFAULT_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True)
class Update:
    """A requested update of a ref. before, after: 40 hex digits, zeros for "none"."""

    ref: str
    before: str
    after: str

    @property
    def deletes(self) -> bool:
        return self.after == ZERO

    @property
    def creates(self) -> bool:
        return self.before == ZERO

    @property
    def short(self) -> str:
        """The branch's or tag's name."""
        return self.ref.removeprefix("refs/heads/").removeprefix("refs/tags/")


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """The reason why a push is refused, and a hint."""

    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The facts about a commit's files. entries, size: number and bytes until the inspection stopped.

    stopped: the limit that stopped it: ``entries``, ``size`` or ``time``; '' for none. bad: (path, problem).
    big: (path, bytes) of files above the limit. lfs: whether Git LFS is used. lacking: files in Git LFS whose content
    was not uploaded.
    """

    entries: int = 0
    size: int = 0
    stopped: str = ""
    bad: tuple[tuple[bytes, str], ...] = ()
    big: tuple[tuple[bytes, int], ...] = ()
    lfs: bool = False
    lacking: tuple[lfs_rules.Pointer, ...] = ()


@dataclass(frozen=True, kw_only=True)
class NewObjects:
    """The new objects of a push, unpacked. stopped: as in Tree; largest: (id, bytes)."""

    count: int = 0
    size: int = 0
    largest: tuple[str, int] = ("", 0)
    stopped: str = ""


def is_sha(text: str) -> bool:
    """Whether it is a complete object id."""
    return bool(_SHA.match(text))


def is_branch_name(text: str) -> bool:
    """Whether it is a valid branch name (git-check-ref-format(1)), without revision syntax or options."""
    return len(text) <= 200 and bool(_BRANCH.match(text))


def canonical(ref: str, protected: str) -> str:
    """The ref as it is stored: ``refs/heads/main`` is ``refs/heads/master`` when either is the protected branch."""
    if protected in ALIASES and ref in {f"refs/heads/{alias}" for alias in ALIASES}:
        return f"refs/heads/{protected}"
    return ref


def is_protected(ref: str, protected: str) -> bool:
    """Whether a push to the ref is deployed."""
    return canonical(ref, protected) == f"refs/heads/{protected}"


def called(protected: str) -> str:
    """The protected branch for messages: ``master (also called main)``."""
    others = [alias for alias in ALIASES if alias != protected] if protected in ALIASES else []
    return f"{protected} (also called {others[0]})" if others else protected


def canonical_updates(updates: Sequence[Update], protected: str) -> list[Update]:
    """The updates as stored, each ref once."""
    seen: dict[str, Update] = {}
    for update in updates:
        ref = canonical(update.ref, protected)
        seen.setdefault(ref, Update(ref=ref, before=update.before, after=update.after))
    return list(seen.values())


def judge_refs(updates: Sequence[Update], protected: str, limits: Limits = DEFAULT_LIMITS) -> list[Refusal]:
    """The refusals that follow from the ref names: invalid names, deletions and contradictions."""
    if len(updates) > limits.refs:
        return [
            Refusal(
                message=f"This push updates {len(updates)} refs; the limit is {limits.refs}.",
                hint="push fewer branches and tags at a time",
            )
        ]
    refusals = [refusal for update in updates if (refusal := _judge_ref(update, protected))]
    targets = {update.after for update in updates if is_protected(update.ref, protected)}
    if len(targets) > 1:
        refusals.append(
            Refusal(
                message=f"{called(protected)} is a single branch, but this push updates it to two different commits.",
                hint="push one of them",
            )
        )
    return refusals


def _judge_ref(update: Update, protected: str) -> Refusal | None:
    short = update.short
    name = printable(short, 80)
    if not update.ref.startswith(("refs/heads/", "refs/tags/")):
        return Refusal(
            message=f"{printable(update.ref, 80)} is neither a branch nor a tag.",
            hint="push to refs/heads/ or refs/tags/",
        )
    if (
        short in ("HEAD", "@")
        or short.startswith(("-", "refs/"))
        or is_sha(short)
        or len(update.ref.encode("utf-8", "replace")) > 200
    ):
        return Refusal(
            message=(
                f"{name!r} is not a valid branch or tag name: use at most 190 characters, not HEAD, no leading dash or"
                " refs/, and not the format of a commit id."
            ),
            hint="push it under another name",
        )
    if printable(short, 300) != short:
        return Refusal(
            message=f"{name!r} is not a valid name: it must be printable UTF-8.",
            hint="push it under another name",
        )
    if update.deletes and is_protected(update.ref, protected):
        return Refusal(
            message=f"{called(protected)} is the deployed branch and cannot be deleted.",
            hint="to run an earlier release: greenroom rollback; to remove the app: greenroom apps:destroy",
        )
    return None


def judge_force(protected: str, before: str, after: str) -> Refusal:
    """The refusal of a push to the protected branch that is not a fast-forward."""
    return Refusal(
        message=(
            f"{called(protected)} is protected: {after[:8]} does not contain {before[:8]}, which was already pushed. "
            "Force pushes to it are refused. Nothing was changed."
        ),
        hint=(
            "git pull --rebase, then push again. To undo a commit: git revert. To run an earlier release: greenroom"
            f" rollback. {protected} on the server is {before[:8]}."
        ),
    )


def judge_tree(branch: str, tree: Tree, limits: Limits = DEFAULT_LIMITS) -> list[Refusal]:
    """The refusals that follow from the files of a branch's newest commit."""
    where = printable(branch, 80)
    refusals = [
        Refusal(
            message=(
                f"{where}: {shown(path)} has {size / 1e6:,.0f} MB; the limit is {limits.file_bytes / 1e6:,.0f} MB."
            ),
            hint=KEEP_OUT,
        )
        for path, size in tree.big[:SHOWN]
    ]
    refusals += [
        Refusal(
            message=f"{where}: the file name {shown(path)} {why}.",
            hint="git mv it to another name, commit and push again",
        )
        for path, why in tree.bad[:SHOWN]
    ]
    return [*refusals, *_unreadable(where, tree, limits)]


def _unreadable(where: str, tree: Tree, limits: Limits) -> list[Refusal]:
    """The refusal for the limit that stopped the inspection of the tree; [] for none."""
    if tree.stopped == "entries":
        return [Refusal(message=f"{where} has more than {limits.tree_entries:,} files and folders.", hint=KEEP_OUT)]
    if tree.stopped == "size":
        most = f"{limits.tree_bytes / 1e6:,.0f} MB"
        message = f"{where}: its files exceed {most} in total when checked out."
        return [Refusal(message=message, hint=KEEP_OUT)]
    if tree.stopped == "time":
        took = f"longer than {limits.tree_seconds:.0f} s ({tree.entries:,} so far)"
        hint = "push again; if it fails again, keep generated files out of the repository"
        return [Refusal(message=f"{where}: counting its files took {took}.", hint=hint)]
    return []


def judge_lfs(update: Update, tree: Tree) -> list[Refusal]:
    """The refusal of a branch with files in Git LFS whose content is missing, as GitHub refuses it (GH008)."""
    if not tree.lacking:
        return []
    return [Refusal(message=lfs_rules.lacking(printable(update.short, 80), tree.lacking), hint=lfs_rules.LACKING_HINT)]


KEEP_OUT = (
    "keep data, media and generated files out of the repository (git rm --cached, .gitignore, then git commit --amend)"
)


def judge_objects(new: NewObjects, limits: Limits = DEFAULT_LIMITS) -> list[Refusal]:
    """The refusals that follow from the size of the new objects, history included."""
    if new.largest[1] > limits.file_bytes:
        return [
            Refusal(
                message=(
                    f"The push contains an object of {new.largest[1] / 1e6:,.0f} MB ({new.largest[0][:12]}); "
                    f"the limit for a file in any commit is {limits.file_bytes / 1e6:,.0f} MB."
                ),
                hint=(
                    f"find it: git rev-list --objects --all | grep {new.largest[0][:12]}; then remove it from the"
                    " history"
                ),
            )
        ]
    texts = {
        "entries": f"The push contains more than {limits.new_objects:,} objects.",
        "size": f"The push contains more than {limits.new_bytes / 1e9:,.0f} GB of unpacked objects.",
        "time": f"Measuring the objects of the push took longer than {limits.new_seconds:.0f} s.",
    }
    return (
        [Refusal(message=texts[new.stopped], hint="push older commits first, a few thousand at a time")]
        if new.stopped
        else []
    )


def path_problem(path: bytes) -> str:
    """The problem of a path in a commit; '' for none. Bad names could forge log lines, or cannot be checked out."""
    if _BAD_NAME.search(path):
        return "contains control characters"
    if not path.isascii():
        try:
            path.decode()
        except UnicodeDecodeError:
            return "is not UTF-8"
    if len(path) > 100 and (len(path) > 1000 or max(map(len, path.split(b"/"))) > 255):
        return "is too long: 255 bytes for each part, 1000 for the whole path"
    return ""


def notes(updates: Sequence[Update], protected: str, trees: dict[str, Tree]) -> list[str]:
    """The ``remote:`` lines of an accepted push. ``trees``: by ref, as pushed."""
    lines: list[str] = []
    for ref, tree in trees.items():
        if not is_protected(ref, protected):
            continue
        if tree.lacking:
            lines.append(f" !     {lfs_rules.lacking('The build gets pointer files', tree.lacking)}")
            lines.append(f"       hint: {lfs_rules.BUILT_HINT}")
    others = [update for update in updates if not is_protected(update.ref, protected)]
    stored = [f"{update.short} was {'deleted' if update.deletes else 'stored'}" for update in others]
    if stored:
        more = f" and {len(stored) - SHOWN} more" if len(stored) > SHOWN else ""
        lines.append(f"-----> {', '.join(stored[:SHOWN])}{more}; only {called(protected)} is deployed.")
    if (
        others
        and len(others) == len(updates)
        and any(u.ref.startswith("refs/heads/") and not u.deletes for u in others)
    ):
        branch = next(u.short for u in others if u.ref.startswith("refs/heads/") and not u.deletes)
        lines.append(f"       To deploy it: git push greenroom {branch}:{protected}")
    return [printable(line) for line in lines]


def lacks_parents(complaint: bytes) -> bool:
    """Whether git's error message of a history walk means that a commit is missing."""
    return b"Failed to traverse parents" in complaint or b"Could not read " in complaint


def refusal_lines(refusals: Sequence[Refusal]) -> list[str]:
    """The ``remote:`` lines of a refused push."""
    lines = [" !     Push refused. Nothing was changed."]
    for refusal in refusals[:10]:
        lines.append(f" !     {refusal.message}")
        if refusal.hint:
            lines.append(f"       hint: {refusal.hint}")
    if len(refusals) > 10:
        lines.append(f" !     and {len(refusals) - 10} more")
    return [printable(line, 1000) for line in lines]


def printable(text: str, limit: int = 10_000) -> str:
    """The text as one line for a terminal: ``?`` replaces each escape sequence or unprintable character."""
    return basics_text.printable(text, limit, one_line=True, instead="?")


def shown(path: bytes) -> str:
    """A path for messages, quoted, at most 120 characters."""
    return repr(path.decode("utf-8", "backslashreplace"))[:120]


def settled(ref_now: str | None, after: str) -> bool:
    """Whether the ref of an intent has moved to ``after``. ref_now: None when the ref does not exist."""
    return (ref_now or ZERO) == after


PUSH_OPTIONS = ("no-cache",)
"""The supported options of ``git push -o``."""


def unknown_options(options: Sequence[str]) -> tuple[str, ...]:
    """The lines that refuse a push with an unknown option; () when all are known."""
    unknown = [option for option in options if option not in PUSH_OPTIONS]
    if not unknown:
        return ()
    return (
        f" !     Unknown push option {printable(unknown[0])!r}. Nothing was changed.",
        f"       hint: allowed: git push -o {PUSH_OPTIONS[0]}",
    )
