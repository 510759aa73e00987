"""What an optional scanner is, and the few things that all of them need: to call a tool with a clean environment, to
read its JSON.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

SECONDS = 240
"""How long one call of a tool may take; the dyno has its own limit above."""


class ScanError(Exception):
    """The scan could not be completed; the text says why, for the pusher."""


@dataclass(frozen=True)
class Raw:
    """One finding as a tool gives it. path: relative to the tree; severity: 1 critical, 2 potential bug, 3 minor, 4
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
    """One unpacked tree. files: path -> text. config: the folder of the pushed tree, whose rules hold for both
    trees.
    """

    folder: str
    files: dict[str, str]
    config: str


@dataclass
class Report:
    """What a tool found in one tree. suppressed: findings that the source silences; note: what a reader of a green scan
    should know.
    """

    findings: list[Raw] = field(default_factory=list)
    suppressed: int = 0
    note: str = ""


@dataclass(frozen=True)
class Scanner:
    """One optional scanner.

    requirement: the pinned package; its folder then has ``bin/python``. network: whether it needs an external service.
    wanted: whether it reads a path of the tree. look: (folder of the tool, sources) -> Report; ScanError when the scan
    failed. rules: folders of the repository, with a trailing slash, that contain the tool's own rules; the scanner gets
    them even if the app is in another folder.
    """

    name: str
    requirement: str
    wanted: Callable[[str], bool]
    look: Callable[[str, Sources], Report]
    network: bool = False
    rules: tuple[str, ...] = ()


def python(tool: str) -> str:
    """The interpreter of the tool's own environment."""
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
    """For a tool whose exit code is none of a finished look, with what it said last."""
    return ScanError(f"it ended with exit code {code}: {(said or out).strip()[-500:] or 'it said nothing'}")


def silent(said: str) -> ScanError:
    """For a tool without a report, with what it said on standard error."""
    return ScanError(f"it reported nothing: {said.strip()[-500:] or 'it said nothing'}")


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
        raise ScanError(f"it did not end within {SECONDS} seconds") from error
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


def read_json(text: str) -> dict[str, Any]:
    """The object in the tool's report. ScanError for anything else."""
    try:
        content = json.loads(text[text.index("{") :])
    except ValueError as error:
        raise ScanError(f"its report cannot be read: {text.strip()[:200]!r}") from error
    if not isinstance(content, dict):
        raise ScanError("its report is no JSON object")
    return content


def relative(path: str, sources: Sources) -> str:
    """A tool's path, relative to the tree."""
    return os.path.relpath(os.path.join(sources.folder, path), sources.folder)
