"""Fetches a branch of a remote repository and puts the new objects into a quarantine, checked like those of a push.

First, git fetches into a temporary repository, with limits of time and size. Then pack-objects packs the new objects
and ``index-pack --strict`` checks the pack as receive-pack does, independently of the transport and the remote server.
It moves no refs and writes no rows.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from greenroom.basics import atomic
from greenroom.basics.errors import UserError
from greenroom.basics.folders import bytes_of
from greenroom.git import rules
from greenroom.git.drivers import repository, runner
from greenroom.git.rules import MAX_INPUT

LOOK_SECONDS = 60.0
FETCH_SECONDS = 600.0
CHECK_SECONDS = 300.0
WATCH = 0.05
SEVERITIES = (
    "gitattributesSymlink",
    "gitmodulesMissing",
    "gitmodulesBlob",
    "gitmodulesLarge",
    "gitmodulesName",
    "gitmodulesParse",
    "gitmodulesPath",
    "gitmodulesSymlink",
    "gitmodulesUpdate",
    "gitmodulesUrl",
)
LENIENT = ("badTimezone", "missingSpaceBeforeDate", "zeroPaddedFilemode")
STRICT = "--strict=" + ",".join(
    [f"{name.lower()}=error" for name in SEVERITIES] + [f"{name.lower()}=ignore" for name in LENIENT]
)
"""The same severities as ``receive.fsck`` in repository.SETTINGS."""

TAKEN = "refs/heads/taken"
CONFIG = (
    ("http.followRedirects", "false"),
    ("http.proxy", ""),
    ("http.sslVerify", "true"),
    ("http.lowSpeedLimit", "200"),
    ("http.lowSpeedTime", "60"),
    ("credential.helper", ""),
    ("fetch.fsckObjects", "false"),
    ("fetch.unpackLimit", "1"),
    ("fetch.recurseSubmodules", "false"),
    ("fetch.writeCommitGraph", "false"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("transfer.bundleURI", "false"),
    ("core.hooksPath", "/dev/null"),
    ("core.fsync", "none"),
    ("ssh.variant", "ssh"),
)


@dataclass(frozen=True, kw_only=True)
class Remote:
    """A remote repository: ``url`` without credentials, its ``scheme`` (https, http, ssh), and additional environment
    variables and configuration for git.
    """

    url: str
    scheme: str
    env: Mapping[str, str] = field(default_factory=dict)
    config: Sequence[tuple[str, str]] = ()


class RemoteError(UserError):
    """The remote repository did not answer, denied access, or sent objects that are refused."""

    id = "source_failed"


def branches(remote: Remote, *, name: str = "", limit: int = 1000) -> dict[str, str]:
    """Branch -> commit of the remote repository; only ``name`` if given. RemoteError."""
    with tempfile.TemporaryDirectory(prefix="greenroom-look-") as folder:
        words = ["ls-remote", "--heads", "--quiet"]
        refs = [f"refs/heads/{name}"] if name else []
        done = _transfer(Path(folder), words, [remote.url, *refs], remote, seconds=LOOK_SECONDS)
    found = {}
    for line in done.decode("utf-8", "replace").splitlines()[:limit]:
        sha, _, ref = line.partition("\t")
        if rules.is_sha(sha) and ref.startswith("refs/heads/") and (not name or ref == f"refs/heads/{name}"):
            found[ref.removeprefix("refs/heads/")] = sha
    return found


@contextlib.contextmanager
def fetched(repo: Path, remote: Remote, *, branch: str, most: int = MAX_INPUT) -> Iterator[tuple[str, Path | None]]:
    """Context manager: (commit of the branch, quarantine with the objects that are new to ``repo``, or None). The
    quarantine is removed afterwards. Raises RemoteError, PlatformError, OSError.
    """
    folders = [Path(tempfile.mkdtemp(prefix="incoming-", dir=repo / "objects")) for _ in range(2)]
    draft, quarantine = folders
    try:
        repository.sketch(draft)
        words = [
            "fetch",
            "--quiet",
            "--no-tags",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-auto-maintenance",
        ]
        _transfer(
            draft,
            words,
            [remote.url, f"+refs/heads/{branch}:{TAKEN}"],
            remote,
            shared=repo,
            seconds=FETCH_SECONDS,
            most=most,
        )
        sha = repository.ref_on_disk(draft, TAKEN)
        if sha is None:
            raise RemoteError(f"The branch {branch[:80]} no longer exists.", hint="greenroom source:sync")
        yield sha, quarantine if _repack(repo, draft, quarantine, sha, most) else None
    finally:
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)


def fetch_commit(
    draft: Path, remote: Remote, sha: str, *, seconds: float = FETCH_SECONDS, most: int = MAX_INPUT
) -> None:
    """Fetch one commit without its history into ``draft``, an empty folder, which becomes a bare repository whose packs
    are checked. RemoteError if the server does not have the commit. Raises PlatformError, OSError.
    """
    repository.sketch(draft)
    words = ["fetch", "--quiet", "--depth=1", "--no-tags", "--no-write-fetch-head", "--no-recurse-submodules"]
    args = [remote.url, f"+{sha}:{TAKEN}"]
    _transfer(draft, [*words, "--no-auto-maintenance"], args, remote, seconds=seconds, most=most)
    if repository.ref_on_disk(draft, TAKEN) != sha:
        raise RemoteError(f"The server sent another commit than {sha[:12]}.", hint="push again")
    for pack in sorted((draft / "objects" / "pack").glob("pack-*.pack")):
        _check(draft, draft / "objects", pack, most)
        for path in (pack, pack.with_suffix(".idx")):
            atomic.sync_path(path)


def _repack(repo: Path, draft: Path, quarantine: Path, sha: str, most: int) -> bool:
    """Pack the new objects into the quarantine and check the pack; False when nothing is new."""
    (quarantine / "pack").mkdir()
    known = "".join(f"^{commit}\n" for commit in set(repository.refs(repo).values()))
    words = [
        "pack-objects",
        "--revs",
        "--quiet",
        "--non-empty",
        "--delta-base-offset",
        f"--max-pack-size={most * 2}",
        str(quarantine / "pack" / "pack"),
    ]
    env = {"GIT_ALTERNATE_OBJECT_DIRECTORIES": runner.quoted_path(str(repo / "objects"))}
    made = runner.run_with(draft, words, env=env, stdin=f"{sha}\n{known}".encode(), timeout=CHECK_SECONDS)
    if made.code:
        raise RemoteError(
            f"The fetched objects are incomplete: {runner.complaint(made.err)}",
            hint="run git fsck in the source repository",
        )
    packs = sorted((quarantine / "pack").glob("pack-*.pack"))
    for pack in packs:
        _check(repo, quarantine, pack, most)
    return bool(packs)


def _check(repo: Path, quarantine: Path, pack: Path, most: int) -> None:
    if pack.stat().st_size > most:
        raise _too_much(f"{pack.stat().st_size / 1e6:,.0f} MB", most)
    index = pack.with_suffix(".checked")
    words = ["index-pack", STRICT, "-o", str(index), str(pack)]
    done = runner.run(repo, words, quarantine=quarantine, timeout=CHECK_SECONDS)
    index.unlink(missing_ok=True)
    if done.code:
        text = rules.printable(" / ".join(done.err.decode("utf-8", "replace").strip().splitlines()[:3]), 400)
        raise RemoteError(
            f"git refuses the objects of the branch: {text}",
            hint="find the object with git fsck in a clone, and remove it from the history",
        )


def keep(repo: Path, quarantine: Path) -> None:
    """Move the packs of the quarantine into the repository, after fsync and with the index last. Raises OSError."""
    goal = repo / "objects" / "pack"
    goal.mkdir(exist_ok=True)
    files = [path for path in (quarantine / "pack").iterdir() if path.suffix in (".pack", ".rev", ".idx")]
    for path in sorted(files, key=lambda path: (path.suffix == ".idx", path.name)):
        atomic.sync_path(path)
        os.rename(path, goal / path.name)
    atomic.sync_path(goal)


def _transfer(
    draft: Path,
    words: Sequence[str],
    args: Sequence[str],
    remote: Remote,
    *,
    seconds: float,
    shared: Path | None = None,
    most: int = MAX_INPUT,
) -> bytes:
    """Run a git command that connects to the remote repository, with limits of time and size. Returns its stdout.
    RemoteError.
    """
    config = [*CONFIG, *remote.config, (f"protocol.{remote.scheme}.allow", "always")]
    closed = {"GIT_ASKPASS": "/bin/false", "SSH_ASKPASS": "/bin/false", "GIT_ALLOW_PROTOCOL": remote.scheme}
    env = {**runner.environment(draft, config=config), **closed, **remote.env}
    if shared is not None:
        env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = runner.quoted_path(str(shared / "objects"))
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = subprocess.Popen(
            runner.command(words, args),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            env=env,
            cwd="/",
            start_new_session=True,
        )
        runner.limit(child.pid, cpu=int(seconds))
        try:
            trouble = _watch(child, draft, time.monotonic() + seconds, most)
        finally:
            _kill(child)
        said, complaint = _start_of(out), _start_of(err)
    if trouble:
        raise trouble
    if child.returncode:
        raise failure(complaint.decode("utf-8", "replace"))
    return said


def _kill(child: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _start_of(stream: object) -> bytes:
    stream.seek(0)  # type: ignore[attr-defined]
    return stream.read(1_000_000)  # type: ignore[attr-defined]


def _watch(child: subprocess.Popen[bytes], draft: Path, deadline: float, most: int) -> RemoteError | None:
    """Wait for the child. Returns the error for a timeout or too much data, else None."""
    pause = WATCH
    while True:
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(pause)
            size = bytes_of(draft)
            return _too_much(f"{size / 1e6:,.0f} MB", most) if size > most else None
        pause = min(pause * 1.5, 1.0)
        if time.monotonic() > deadline:
            return RemoteError(
                "Fetching from the source repository timed out.", hint="retry with greenroom source:sync"
            )
        if bytes_of(draft) > most:
            return _too_much(f"more than {most / 1e6:,.0f} MB", most)


def _too_much(size: str, most: int) -> RemoteError:
    return RemoteError(f"The branch has {size} of new data; the limit is {most / 1e6:,.0f} MB.", hint=rules.KEEP_OUT)


REASONS = (
    (
        ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known for"),
        "Host key verification failed.",
        "check the new host key with its operator, then set it: greenroom source:set URL --known-hosts FILE",
    ),
    (
        (
            "Permission denied (",
            "Authentication failed",
            "could not read Username",
            "could not read Password",
            "HTTP Basic: Access denied",
        ),
        "Access to the repository was denied: missing or invalid deploy key or token.",
        "add the deploy key at the forge, or: greenroom source:set URL --token-file FILE",
    ),
    (
        (
            "unable to update url base from redirection",
            "requested URL returned error: 301",
            "requested URL returned error: 302",
        ),
        "The server sent a redirect, which is not followed.",
        "use the URL of the redirect target",
    ),
    (
        ("not found", "does not exist", "does not appear to be a git repository"),
        "The repository was not found, or the credentials have no access to it.",
        "check the URL, and the permissions of the deploy key or token",
    ),
    (
        (
            "Could not resolve host",
            "Failed to connect",
            "Connection refused",
            "Connection timed out",
            "Connection reset",
            "Network is unreachable",
        ),
        "The server does not answer.",
        "retry with greenroom source:sync; polling retries automatically",
    ),
    (
        ("SSL certificate", "certificate verify failed", "server certificate verification failed"),
        "The server's certificate is not trusted.",
        "set SSL_CERT_FILE to the CA file before greenroom up",
    ),
)
"""(parts of error messages of git, curl and ssh in the C locale, message, hint)."""


def failure(text: str) -> RemoteError:
    """The RemoteError for an error output of git. Unknown messages are passed on, made printable."""
    for marks, message, hint in REASONS:
        if any(mark.lower() in text.lower() for mark in marks):
            return RemoteError(message, hint=hint)
    lines = [line for line in text.strip().splitlines() if line.strip()]
    said = rules.printable(lines[-1], 300) if lines else "it gave no reason"
    return RemoteError(f"git fetch failed: {said}", hint="retry with greenroom source:sync")
