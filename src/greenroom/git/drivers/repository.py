"""A bare repository on disk: its configuration, lock, refs, and the leftovers of killed pushes.

``rules`` decides which refs may move; ``actions`` records pushes.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from greenroom.basics import atomic, processes
from greenroom.basics.errors import PlatformError
from greenroom.git.drivers import runner
from greenroom.git.rules import ALIASES, MAX_INPUT

HOOKS = "run/git-hooks"
SOCKET = "run/git-hooks.sock"
LOCK = "greenroom.lock"
LAUNCHER = '#!/bin/sh\nexec "$GREENROOM_PYTHON" -I -S "$GREENROOM_HOOK" {name}\n'
HOOK_NAMES = ("pre-receive", "post-receive")
STALE_SECONDS = 3600
SHA = re.compile(rb"[0-9a-f]{40}")

SETTINGS = f"""\
[core]
\trepositoryformatversion = 0
\tfilemode = true
\tbare = true
\tfsync = all
\tuseReplaceRefs = false
\tbigFileThreshold = 8m
\tpackedGitWindowSize = 32m
\tpackedGitLimit = 256m
\tdeltaBaseCacheLimit = 64m
\tlogAllRefUpdates = false
[receive]
\tfsckObjects = true
\tmaxInputSize = {MAX_INPUT}
\tunpackLimit = 1
\tautogc = false
\tupdateServerInfo = false
\tadvertisePushOptions = true
\tdenyDeleteCurrent = refuse
\tkeepAlive = 5
[receive "fsck"]
\tgitattributesSymlink = error
\tgitmodulesMissing = error
\tgitmodulesBlob = error
\tgitmodulesLarge = error
\tgitmodulesName = error
\tgitmodulesParse = error
\tgitmodulesPath = error
\tgitmodulesSymlink = error
\tgitmodulesUpdate = error
\tgitmodulesUrl = error
\tbadTimezone = ignore
\tmissingSpaceBeforeDate = ignore
\tzeroPaddedFilemode = ignore
[transfer]
\thideRefs = refs
\thideRefs = !refs/heads
\thideRefs = !refs/tags
\tadvertiseSID = false
[uploadpack]
\tallowTipSHA1InWant = false
\tallowReachableSHA1InWant = false
\tallowAnySHA1InWant = false
[protocol]
\tallow = never
[submodule]
\trecurse = false
[http]
\tfollowRedirects = false
[pack]
\tthreads = 1
\twindowMemory = 64m
\tdeltaCacheSize = 32m
[gc]
\tauto = 2000
\tautoPackLimit = 40
\tautoDetach = false
\tpackRefs = false
\tpruneExpire = 2.weeks.ago
"""
FORSAKEN_SECONDS = 600
"""Age, in seconds, at which an unfinished repository is the leftover of a killed process."""
ATTRIBUTES = "* -text -ident -filter -export-ignore -export-subst !eol !working-tree-encoding !diff !merge\n"
"""git archive must write the commit's tree byte for byte: the app's own attributes must not drop or change files."""


def make(repo: Path, *, home: Path, branch: str) -> None:
    """Create a bare repository whose HEAD is ``branch``, or update the settings of an existing one. Raises
    PlatformError, OSError.
    """
    repo.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    write_launchers(home)
    if not (repo / "HEAD").exists():
        _initialise(repo)
    _write(repo / "config", SETTINGS, 0o640)
    write_attributes(repo)
    _write(repo / "HEAD", f"ref: refs/heads/{branch}\n", 0o640)
    for alias in ALIASES if branch in ALIASES else ():
        if alias != branch and not (repo / "refs" / "heads" / alias).exists():
            _write(repo / "refs" / "heads" / alias, f"ref: refs/heads/{branch}\n", 0o640)
    os.close(os.open(repo / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640))


def _initialise(repo: Path) -> None:
    """Create the repository in a temporary folder and rename it. The first of two concurrent calls wins."""
    for left in repo.parent.glob(f"{repo.name}.new*"):
        with contextlib.suppress(FileNotFoundError):  # another process has just renamed it
            if time.time() - left.lstat().st_mtime > FORSAKEN_SECONDS:
                shutil.rmtree(left, ignore_errors=True)
    draft = Path(tempfile.mkdtemp(prefix=f"{repo.name}.new-", dir=repo.parent))
    try:
        env = {**runner.environment(draft), "GIT_DEFAULT_HASH": "sha1", "GIT_DEFAULT_REF_FORMAT": "files"}
        result = processes.run(["git", "init", "--quiet", "--bare", "--template="], timeout=30, env=env, cwd="/")
        if result.code:
            raise PlatformError(
                f"Creating the repository failed: {runner.complaint(result.err)}", hint="greenroom doctor"
            )
        draft.chmod(0o750)
        os.rename(draft, repo)
    except OSError:
        if not (repo / "HEAD").exists():
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_attributes(repo: Path) -> None:
    """Make archives of the repository contain each file as it was committed."""
    (repo / "info").mkdir(exist_ok=True)
    _write(repo / "info" / "attributes", ATTRIBUTES, 0o640)


def sketch(folder: Path) -> None:
    """Make an existing empty folder a minimal bare repository without settings of its own."""
    for name in ("objects/pack", "refs/heads"):
        (folder / name).mkdir(parents=True)
    (folder / "HEAD").write_text("ref: refs/heads/taken\n")
    (folder / "config").write_text("[core]\n\trepositoryformatversion = 0\n\tbare = true\n")


def write_launchers(home: Path) -> None:
    """Write the hooks of all repositories: two constant files that start the Python and script of their environment."""
    folder = home / HOOKS
    folder.mkdir(parents=True, exist_ok=True)
    for name in HOOK_NAMES:
        _write(folder / name, LAUNCHER.format(name=name), 0o755)


def _write(path: Path, text: str, mode: int) -> None:
    if path.exists() and path.read_text() == text and path.stat().st_mode & 0o777 == mode:
        return
    atomic.write(path, text, mode=mode)


def open_lock(repo: Path) -> int:
    """An unlocked descriptor of the repository's lock file. receive-pack inherits it, and its pre-receive hook locks
    it; the kernel releases the lock when the last of these processes ends. Raises OSError.
    """
    return os.open(repo / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)


@contextlib.contextmanager
def locked(repo: Path) -> Iterator[bool]:
    """Context manager that takes the repository's lock; gives False at once when a push holds it."""
    try:
        handle = open_lock(repo)
    except FileNotFoundError:
        yield False
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield True
    except BlockingIOError:
        yield False
    finally:
        os.close(handle)


def refs(repo: Path) -> dict[str, str]:
    """Ref -> object id of the branches and tags, without symbolic refs (``main``). Raises PlatformError."""
    words = ["for-each-ref", "--format=%(refname)%00%(objectname)%00%(symref)", "refs/heads", "refs/tags"]
    lines = runner.output(repo, words).decode("utf-8", "surrogateescape").splitlines()
    rows = (line.split("\0") for line in lines)
    return {name: sha for name, sha, symref in rows if not symref}


def ref_on_disk(repo: Path, ref: str) -> str | None:
    """The object id of a ref, read without git, so that it is cheap enough for all apps every few seconds. None when it
    does not exist.
    """
    try:
        match = SHA.match((repo / ref).read_bytes())
        return match.group().decode() if match else None
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        pass
    with contextlib.suppress(FileNotFoundError):
        for line in (repo / "packed-refs").read_bytes().splitlines():
            sha, _, name = line.partition(b" ")
            if name == ref.encode() and SHA.fullmatch(sha):
                return sha.decode()
    return None


def sweep(repo: Path, *, now: float | None = None) -> list[str]:
    """Remove quarantine folders of killed pushes that have not changed for an hour; returns their names."""
    limit = (time.time() if now is None else now) - STALE_SECONDS
    try:
        entries = [entry for entry in os.scandir(repo / "objects") if _is_quarantine(entry)]
    except FileNotFoundError:
        return []
    stale = [entry for entry in entries if _newest(Path(entry.path)) < limit]
    for entry in stale:
        shutil.rmtree(entry.path, ignore_errors=True)
    return [entry.name for entry in stale]


def _is_quarantine(entry: os.DirEntry[str]) -> bool:
    return entry.name.startswith(("tmp_objdir-", "incoming-")) and entry.is_dir(follow_symlinks=False)


def _newest(folder: Path) -> float:
    times = [0.0]
    for path in (folder, *folder.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            times.append(path.lstat().st_mtime)
    return max(times)


def unlock_refs(repo: Path) -> list[str]:
    """Remove ref lock files of killed pushes; returns their paths. The caller must hold the repository's lock."""
    left = [*(repo / "refs").rglob("*.lock"), *repo.glob("HEAD.lock"), *repo.glob("packed-refs.lock")]
    for path in left:
        path.unlink(missing_ok=True)
    return [str(path.relative_to(repo)) for path in left]
