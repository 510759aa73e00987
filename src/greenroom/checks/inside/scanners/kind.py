"""The contract of an optional scanner, and shared helpers: running a tool in a clean environment, parsing its JSON."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECONDS = 240
"""Timeout of one call of a tool, in seconds; the dyno has a higher one."""


class ScanError(Exception):
    """The scan could not be completed; the text has the reason, for the pusher."""


@dataclass(frozen=True)
class Raw:
    """One finding as reported by a tool. path: relative to the tree; severity: 1 critical, 2 potential bug, 3 minor, 4
    recommendation.
    """

    rule: str
    path: str
    line: int
    message: str
    severity: int
    column: int = 0


@dataclass(frozen=True)
class Sources:
    """One unpacked tree. files: path -> text. config: the folder of the pushed tree, whose rules apply to both
    trees.
    """

    folder: str
    files: dict[str, str]
    config: str


@dataclass
class Report:
    """The findings of a tool in one tree. suppressed: number of findings that comments in the source suppress; note: a
    remark for the verdict of a green scan.
    """

    findings: list[Raw] = field(default_factory=list)
    suppressed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Scanner:
    """One optional scanner.

    requirement: the pinned package; its folder then has ``bin/python``. network: whether it needs an external service.
    wanted: whether it reads a path of the tree. look: (folder of the tool, sources) -> Report; ScanError if the scan
    fails. rules: folders of the repository, with a trailing slash, that contain the tool's own rules; the scanner gets
    them even if the app is in another folder.
    """

    name: str
    requirement: str
    wanted: Callable[[str], bool]
    look: Callable[[str, Sources], Report]
    network: bool = False
    rules: tuple[str, ...] = ()


def python(tool: str) -> str:
    """The interpreter of the tool's virtual environment."""
    return os.path.join(tool, "bin", "python")


def call(argv: list[str], *, cwd: str, ends: tuple[int, ...] = (0, 1), env: dict[str, str] | None = None) -> str:
    """Standard output of the tool. ScanError when it cannot be started, hangs, or ends with a code that is not one of
    ``ends``.
    """
    code, out, said = run(argv, cwd=cwd, env=env)
    if code not in ends:
        raise ended(code, out, said)
    if not out:
        raise silent(said)
    return out


def ended(code: int, out: str, said: str) -> ScanError:
    """The error for an unexpected exit code, with the end of the tool's output."""
    return ScanError(f"it ended with exit code {code}: {(said or out).strip()[-500:] or 'no output'}")


def silent(said: str) -> ScanError:
    """The error for a tool without a report, with the end of its standard error."""
    return ScanError(f"it reported nothing: {said.strip()[-500:] or 'no output'}")


def run(argv: list[str], *, cwd: str, env: dict[str, str] | None = None) -> tuple[int, str, str]:
    """(exit code, standard output, standard error) of the tool; its home is an empty folder, never the tree, whose
    files would be its settings.

    ScanError when it cannot be started, or hangs.
    """
    with tempfile.TemporaryDirectory(prefix="home-") as home:
        return _run(argv, cwd, home, env)


def _run(argv: list[str], cwd: str, home: str, env: dict[str, str] | None) -> tuple[int, str, str]:
    clean = {
        "PATH": "/usr/bin:/bin",
        "HOME": home,
        "LANG": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
        "NO_COLOR": "1",
        **(env or {}),
    }
    try:
        done = subprocess.run(
            argv, cwd=cwd, env=clean, capture_output=True, stdin=subprocess.DEVNULL, check=False, timeout=SECONDS
        )
    except OSError as error:
        raise ScanError(f"it could not be started: {error.strerror or error}") from error
    except subprocess.TimeoutExpired as error:
        raise ScanError(f"it timed out after {SECONDS} seconds") from error
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def read_json(text: str) -> dict[str, Any]:
    """The object in the tool's report. ScanError for anything else."""
    try:
        content = json.loads(text[text.index("{") :])
    except ValueError as error:
        raise ScanError(f"its report cannot be read: {text.strip()[:200]!r}") from error
    if not isinstance(content, dict):
        raise ScanError("its report is not a JSON object")
    return content


def relative(path: str, sources: Sources) -> str:
    """A path of the tool's report, relative to the tree."""
    return os.path.relpath(os.path.join(sources.folder, path), sources.folder)
