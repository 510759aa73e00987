"""Which refs may move, which trees are taken, and the words in which a pusher is told.

Facts about objects come from inspection; nothing here reads a repository.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.basics import text as basics_text

ZERO = "0" * 40
ALIASES = ("master", "main")
"""Two names of one branch: ``main`` is stored as a symbolic ref to ``master``, so the two cannot differ."""
MAX_INPUT = 512 * 1024 * 1024
"""Bytes of one push, as they come over the wire."""

_SHA = re.compile(r"[0-9a-f]{40}\Z")
_BAD_NAME = re.compile(rb"[\x00-\x1f\x7f]")
_BRANCH = re.compile(
    r"(?!.*(?:\.\.|//|@\{|/\.|\.lock(?:/|\Z)))[^\x00-\x20\x7f~^:?*\[\\/.-][^\x00-\x20\x7f~^:?*\[\\]*(?<![/.])\Z"
)
SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What one push may bring. Bytes are of unpacked objects; seconds of looking, by the clock on the wall: long enough
    for a machine that builds meanwhile.
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
    """A ref that somebody wants to move. before, after: 40 hex digits, zeros for "not there"."""

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
    """Why a push is not taken: what is wrong, then what to do."""

    message: str
    hint: str = ""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """What was seen of a commit's files. entries and size (bytes) up to where looking stopped.

    stopped: empty when all was seen; else ``entries``, ``size`` or ``time``. bad: (path, what is wrong with it).
    big: (path, bytes) of files over the limit. submodules, dashed: paths. lfs: whether files are kept in Git LFS.
    """

    entries: int = 0
    size: int = 0
    stopped: str = ""
    bad: tuple[tuple[bytes, str], ...] = ()
    big: tuple[tuple[bytes, int], ...] = ()
    submodules: tuple[bytes, ...] = ()
    lfs: bool = False


@dataclass(frozen=True, kw_only=True)
class NewObjects:
    """The objects that a push brings, unpacked. stopped: as for a Tree; largest: (id, bytes)."""

    count: int = 0
    size: int = 0
    largest: tuple[str, int] = ("", 0)
    stopped: str = ""


def is_sha(text: str) -> bool:
    """Whether it is a whole object id."""
    return bool(_SHA.match(text))


def is_branch_name(text: str) -> bool:
    """Whether it names a branch and nothing else: no revision syntax, no option (git-check-ref-format(1))."""
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
    """The protected branch for people: ``master (also called main)``."""
    others = [alias for alias in ALIASES if alias != protected] if protected in ALIASES else []
    return f"{protected} (also called {others[0]})" if others else protected


def canonical_updates(updates: Sequence[Update], protected: str) -> list[Update]:
    """The updates as they will be stored, each ref once."""
    seen: dict[str, Update] = {}
    for update in updates:
        ref = canonical(update.ref, protected)
        seen.setdefault(ref, Update(ref=ref, before=update.before, after=update.after))
    return list(seen.values())


def judge_refs(updates: Sequence[Update], protected: str, limits: Limits = DEFAULT_LIMITS) -> list[Refusal]:
    """What is wrong with the refs by their names alone, deletions and contradictions included."""
    if len(updates) > limits.refs:
        return [
            Refusal(
                message=f"This push moves {len(updates)} refs; at most {limits.refs} are taken at once.",
                hint="push fewer branches and tags at a time",
            )
        ]
    refusals = [refusal for update in updates if (refusal := _judge_ref(update, protected))]
    targets = {update.after for update in updates if is_protected(update.ref, protected)}
    if len(targets) > 1:
        refusals.append(
            Refusal(
                message=f"{called(protected)} is one branch; this push gives it two different commits.",
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
                f"{name!r} is not allowed as the name of a branch or tag: at most 190 characters, not HEAD, not"
                " beginning with a dash or refs/, not the form of a commit's id."
            ),
            hint="push it under another name",
        )
    if printable(short, 300) != short:
        return Refusal(
            message=f"{name!r} is not allowed as a name: it has to be printable UTF-8.",
            hint="push it under another name",
        )
    if update.deletes and is_protected(update.ref, protected):
        return Refusal(
            message=f"{called(protected)} is the branch that is deployed; it cannot be deleted.",
            hint="greenroom rollback runs an earlier release; `greenroom apps:destroy` removes the app",
        )
    return None


def judge_force(protected: str, before: str, after: str) -> Refusal:
    """The refusal of a push to the protected branch that is not a fast-forward."""
    return Refusal(
        message=(
            f"{called(protected)} is protected: {after[:8]} does not contain {before[:8]}, which is pushed already. "
            "Force pushes to it are refused; nothing was changed."
        ),
        hint=(
            "git pull --rebase, then push again. To undo a commit: git revert. To run an earlier release: greenroom"
            f" rollback. {protected} on the server is {before[:8]}."
        ),
    )


def judge_tree(branch: str, tree: Tree, limits: Limits = DEFAULT_LIMITS) -> list[Refusal]:
    """What is wrong with the files of a branch's newest commit."""
    where = printable(branch, 80)
    refusals = [
        Refusal(
            message=(
                f"{where}: {shown(path)} is {size / 1e6:,.0f} MB; a file may have {limits.file_bytes / 1e6:,.0f} MB."
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
    """The limit that stopped the inspection of the tree."""
    if tree.stopped == "entries":
        return [Refusal(message=f"{where} has more than {limits.tree_entries:,} files and folders.", hint=KEEP_OUT)]
    if tree.stopped == "size":
        most = f"{limits.tree_bytes / 1e6:,.0f} MB"
        message = f"{where}: its files are together more than {most} when checked out."
        return [Refusal(message=message, hint=KEEP_OUT)]
    if tree.stopped == "time":
        took = f"within {limits.tree_seconds:.0f} s (so far {tree.entries:,})"
        hint = "push again; if it stays, keep generated files out of the repository"
        return [Refusal(message=f"{where}: its files could not be counted {took}.", hint=hint)]
    return []


KEEP_OUT = (
    "keep data, media and generated files out of the repository (git rm --cached, .gitignore, then git commit --amend)"
)


def judge_objects(new: NewObjects, limits: Limits = DEFAULT_LIMITS) -> list[Refusal]:
    """What is wrong with the size of what the push brings, history included."""
    if new.largest[1] > limits.file_bytes:
        return [
            Refusal(
                message=(
                    f"The push brings an object of {new.largest[1] / 1e6:,.0f} MB ({new.largest[0][:12]}); "
                    f"a file in any commit may have {limits.file_bytes / 1e6:,.0f} MB."
                ),
                hint=(
                    f"name it: git rev-list --objects --all | grep {new.largest[0][:12]}; then take it out of the"
                    " history"
                ),
            )
        ]
    texts = {
        "entries": f"The push brings more than {limits.new_objects:,} objects.",
        "size": f"The push brings more than {limits.new_bytes / 1e9:,.0f} GB of unpacked objects.",
        "time": f"What the push brings could not be measured within {limits.new_seconds:.0f} s.",
    }
    return (
        [Refusal(message=texts[new.stopped], hint="push older commits first, some thousand at a time")]
        if new.stopped
        else []
    )


def path_problem(path: bytes) -> str:
    """What is wrong with a path in a commit; empty if nothing. Such names can forge lines of logs, or be no file at
    all.
    """
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
    """What the pusher should know of a push that is accepted. ``trees``: by ref, as pushed."""
    lines: list[str] = []
    for ref, tree in trees.items():
        if not is_protected(ref, protected):
            continue
        if tree.submodules:
            names = ", ".join(shown(path) for path in tree.submodules[:SHOWN])
            lines.append(f" !     Submodules are not fetched; their folders are empty in the build: {names}")
        if tree.lfs:
            lines.append(" !     Git LFS is not served; its files arrive as small pointer files in the build.")
            lines.append(
                "       To deploy the files themselves: git lfs migrate export --include='*' --everything, then push"
            )
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
    """Whether git said of a walk over commits that it could not read one of them."""
    return b"Failed to traverse parents" in complaint or b"Could not read " in complaint


def refusal_lines(refusals: Sequence[Refusal]) -> list[str]:
    """The refusals as the pusher reads them."""
    lines = [" !     Push refused; nothing was changed."]
    for refusal in refusals[:10]:
        lines.append(f" !     {refusal.message}")
        if refusal.hint:
            lines.append(f"       hint: {refusal.hint}")
    if len(refusals) > 10:
        lines.append(f" !     and {len(refusals) - 10} more")
    return [printable(line, 1000) for line in lines]


def printable(text: str, limit: int = 10_000) -> str:
    """One line for a pusher, with ``?`` in place of each sequence or character that is not printable."""
    return basics_text.printable(text, limit, one_line=True, instead="?")


def shown(path: bytes) -> str:
    """A path for people, quoted, at most 120 characters."""
    return repr(path.decode("utf-8", "backslashreplace"))[:120]


def settled(ref_now: str | None, after: str) -> bool:
    """Whether an intent's ref has moved: it is where the push wanted it (None: not there)."""
    return (ref_now or ZERO) == after


PUSH_OPTIONS = ("no-cache",)
"""What ``git push -o`` may say."""


def unknown_options(options: Sequence[str]) -> tuple[str, ...]:
    """The lines that refuse a push with an option that nobody knows; none if all are known."""
    unknown = [option for option in options if option not in PUSH_OPTIONS]
    if not unknown:
        return ()
    return (
        f" !     The push option {printable(unknown[0])!r} is not known; nothing was changed.",
        f"       hint: allowed: git push -o {PUSH_OPTIONS[0]}",
    )
