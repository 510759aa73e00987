"""Saves all refs and objects of a repository as one file (a git bundle), and loads such a file."""

from __future__ import annotations

import os
from pathlib import Path

from greenroom.git.drivers import repository, runner

SECONDS = 1800.0


def save(repo: Path, target: Path) -> bool:
    """Write a consistent copy while pushes arrive; False for a repository without refs. PlatformError, OSError."""
    if not repository.refs(repo):
        return False
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        words, env = ["bundle", "create", "--quiet", "-", "--all"], runner.environment(repo)
        runner.write_output(repo, words, args=[], target=handle, env=env, timeout=SECONDS)
    finally:
        os.close(handle)
    return True


def load(repo: Path, source: Path) -> None:
    """Put the objects and refs of a bundle into an empty repository. Repeatable. PlatformError."""
    words = ["fetch", "--quiet", "--no-auto-gc", "--no-write-fetch-head"]
    config = [("protocol.file.allow", "always")]
    args = [str(source), "+refs/*:refs/*"]
    runner.output(repo, words, args=args, config=config, timeout=SECONDS)
