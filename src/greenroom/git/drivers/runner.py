"""The only module that starts git: constant options, a clean environment, and dynamic arguments after
``--end-of-options``.

It limits and stops git; ``queries`` and ``inspection`` interpret the output.
"""

from __future__ import annotations

import contextlib
import os
import resource
import select
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from greenroom.basics import processes
from greenroom.basics.errors import PlatformError, UserError

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
CONSTANT_CONFIG = (("safe.directory", "*"), ("protocol.allow", "never"), ("core.useReplaceRefs", "false"))
CHUNK = 65_536

MEMORY = 1_500_000_000
"""Limit of address space, in bytes, of a git process that handles untrusted data."""
CPU_SECONDS = 120


class TooSlowError(Exception):
    """git has exceeded its time limit and was killed."""


def environment(
    repo: Path, *, quarantine: Path | None = None, config: Sequence[tuple[str, str]] = ()
) -> dict[str, str]:
    """The complete environment of a git process. ``quarantine``: the folder with the new objects of a push."""
    settings = (*CONSTANT_CONFIG, *config)
    env = {
        "PATH": PATH,
        "HOME": "/nonexistent",
        "LC_ALL": "C.UTF-8",
        "GIT_DIR": str(repo),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_CONFIG_COUNT": str(len(settings)),
    }
    for number, (key, value) in enumerate(settings):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
    if quarantine is not None:
        env["GIT_OBJECT_DIRECTORY"] = str(quarantine)
        env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = quoted_path(str(repo / "objects"))
    return env


def quoted_path(path: str) -> str:
    """A path quoted for git's list of alternates, which is separated by colons."""
    if not any(char in path for char in ':"\n'):
        return path
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def command(words: Sequence[str], args: Sequence[str] = (), paths: Sequence[str] | None = None) -> list[str]:
    """argv: constant ``words``, then ``args`` (revisions, ids) after ``--end-of-options``, then ``paths`` after ``--``.

    UserError for an argument that begins with ``-``, is empty or contains a NUL byte.
    """
    for arg in (*args, *(paths or ())):
        if not arg or arg.startswith("-") or "\0" in arg:
            raise UserError(
                f"git: {arg[:80]!r} is neither a revision nor a path.", hint="it must not begin with a dash"
            )
    argv = ["git", *words]
    if args:
        argv += ["--end-of-options", *args]
    if paths is not None:
        argv += ["--", *paths]
    return argv


def run(
    repo: Path,
    words: Sequence[str],
    *,
    args: Sequence[str] = (),
    paths: Sequence[str] | None = None,
    stdin: bytes = b"",
    quarantine: Path | None = None,
    config: Sequence[tuple[str, str]] = (),
    timeout: float = 30.0,
    limit: int = 16_000_000,
) -> processes.Result:
    """Run git; returns the result, whatever its exit code. PlatformError after ``timeout`` seconds."""
    argv = command(words, args, paths)
    env = environment(repo, quarantine=quarantine, config=config)
    try:
        result = processes.run(argv, timeout=timeout, env=env, cwd="/", stdin=stdin, limit=limit)
    except FileNotFoundError as error:
        raise PlatformError("git is not installed on this machine.", hint="apt install git") from error
    if result.timed_out:
        raise PlatformError(f"git {words[0]} took longer than {timeout:.0f} s.", hint="try again")
    return result


def run_with(
    repo: Path,
    words: Sequence[str],
    *,
    env: Mapping[str, str],
    stdin: bytes,
    timeout: float,
    limit: int = 10_000_000,
) -> processes.Result:
    """The same with additional environment variables, for constant arguments and object ids only."""
    env = {**environment(repo), **env}
    result = processes.run(command(words), timeout=timeout, env=env, cwd="/", stdin=stdin, limit=limit)
    if result.timed_out:
        raise PlatformError(f"git {words[0]} took longer than {timeout:.0f} s.", hint="try again")
    return result


def output(repo: Path, words: Sequence[str], **options: object) -> bytes:
    """The stdout of git; PlatformError with its error message when it fails. The options are those of ``run``."""
    return expected(run(repo, words, **options), words[0])  # type: ignore[arg-type]


def expected(result: processes.Result, name: str) -> bytes:
    """The stdout of a git command that must succeed. PlatformError with its error message."""
    if result.code:
        raise PlatformError(f"git {name} failed: {complaint(result.err)}", hint="greenroom doctor")
    return result.out


def complaint(err: bytes) -> str:
    """The last line of git's stderr, for error messages."""
    lines = err.decode("utf-8", "replace").strip().splitlines()
    return lines[-1][:300] if lines else "it gave no reason"


@contextlib.contextmanager
def records(
    repo: Path,
    words: Sequence[str],
    *,
    args: Sequence[str] = (),
    quarantine: Path | None = None,
    alone: bool = False,
    separator: bytes = b"\0",
    seconds: float,
) -> Iterator[Iterator[bytes]]:
    """Context manager: git's output record by record, in constant memory. git is killed at the end of the block.

    ``alone``: the quarantine without the repository's own objects. Iterating raises TooSlowError after ``seconds``, and
    PlatformError when git fails.
    """
    env = environment(repo, quarantine=quarantine)
    if alone:
        del env["GIT_ALTERNATE_OBJECT_DIRECTORIES"]
    child = subprocess.Popen(
        command(words, args),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=env,
        cwd="/",
    )
    limit(child.pid)
    try:
        yield _split(child, separator, time.monotonic() + seconds, words[0])
    finally:
        child.kill()
        child.wait()
        if child.stdout:
            child.stdout.close()


def _split(child: subprocess.Popen[bytes], separator: bytes, deadline: float, name: str) -> Iterator[bytes]:
    rest = b""
    for data in _chunks(child, deadline, name):
        *whole, rest = (rest + data).split(separator)
        yield from whole
    if rest:
        yield rest
    if child.wait():
        raise PlatformError(f"git {name} failed with code {child.returncode}.", hint="greenroom doctor")


def _chunks(child: subprocess.Popen[bytes], deadline: float, name: str) -> Iterator[bytes]:
    assert child.stdout
    poll = select.poll()
    poll.register(child.stdout, select.POLLIN)
    while True:
        left = deadline - time.monotonic()
        if left <= 0 or not poll.poll(left * 1000):
            raise TooSlowError(name)
        data = os.read(child.stdout.fileno(), CHUNK)
        if not data:
            return
        yield data


def limit(pid: int, *, memory: int = MEMORY, cpu: int = CPU_SECONDS) -> None:
    """Limit a running process and its future children: address space in bytes, CPU seconds, no core files.

    Uses prlimit from outside, so that no code has to run between fork and exec.
    """
    with contextlib.suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (memory, memory))
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu, cpu + 5))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


def write_output(
    repo: Path, words: Sequence[str], *, args: Sequence[str], target: int, env: Mapping[str, str], timeout: float
) -> None:
    """Run git with stdout in the open file ``target``. PlatformError when it fails, or after ``timeout`` seconds."""
    child = subprocess.Popen(
        command(words, args), stdin=subprocess.DEVNULL, stdout=target, stderr=subprocess.PIPE, env=dict(env), cwd="/"
    )
    try:
        _, err = child.communicate(timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise PlatformError(f"git {words[0]} took longer than {timeout:.0f} s.", hint="try again") from error
    finally:
        child.kill()
        child.wait()
    if child.returncode:
        raise PlatformError(f"git {words[0]} failed: {complaint(err)}", hint="greenroom doctor")
