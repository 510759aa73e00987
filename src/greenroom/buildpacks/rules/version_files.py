"""Reads the Python version of an app: Heroku's order of files and their formats.

Pure: the caller reads the files. ``python_versions`` chooses an interpreter for the request.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence

from greenroom.basics.text import printable
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.python_versions import DEFAULT, NEWEST, OLDEST, PINNED, Request, dotted, pin

VERSION = re.compile(r"(0|[1-9][0-9]{0,8})\.(0|[1-9][0-9]{0,8})(?:\.(0|[1-9][0-9]{0,8}))?\Z", re.ASCII)
RUNTIME = re.compile(r"python-(.*)\Z", re.DOTALL)
MISSPELLINGS = frozenset(
    {
        " .python-version",
        ". python-version",
        ".python_version.txt",
        ".python_version",
        ".python-version ",
        ",python-version",
        ".python-version.",
        ".python-version.py",
        ".python-version.rtf",
        ".python-version.txt",
        ".python-version.TXT",
        ".Python-version",
        ".python.version",
        ".pythonversion",
        "'.python-version'",
        "python_version.txt",
        "python_version",
        "python-version.",
        "python-version.txt",
        "python-version",
    }
)
"""The names that heroku/python treats as a misspelled .python-version."""


def requested(
    files: Mapping[str, bytes],
    names: Sequence[str],
    *,
    cached: tuple[int, int] | None,
    pipfile: Callable[[], str] | None = None,
) -> Request:
    """The version from the first source that has one: runtime.txt, .python-version, Pipfile.lock, the last build, the
    default.

    files: the content of ``runtime.txt`` and ``.python-version`` if they exist.
    names: entries of the root directory, directories with a trailing ``/``.
    pipfile: returns the version that Pipfile.lock requires, empty for none; called only if neither file exists.
    """
    if "runtime.txt" in files:
        return Request(_runtime_txt(files["runtime.txt"]), "runtime.txt")
    wrong = [name for name in names if misspelled(name)]
    if wrong:
        raise BuildError(
            "python-version-file::misspelled",
            f"The file {wrong[0]!r} looks like a misspelled .python-version; no other name is read.",
            hint=_rename(wrong[0], names),
        )
    if ".python-version" in files:
        return Request(_version_file(files[".python-version"]), ".python-version")
    wanted = pipfile() if pipfile else ""
    if wanted:
        return Request(_pipfile(wanted), "Pipfile.lock")
    return Request(cached, "cached") if cached else Request(DEFAULT, "default")


def misspelled(name: str) -> bool:
    """Whether a file name is one that Heroku treats as a misspelled .python-version."""
    return name in MISSPELLINGS


def _rename(wrong: str, names: Sequence[str]) -> str:
    if ".python-version" in names:
        return f"git rm -- {shlex.quote(wrong)} (.python-version already exists)"
    return f"git mv -- {shlex.quote(wrong)} .python-version"


def _parse(text: str) -> tuple[int, ...] | None:
    match = VERSION.match(text)
    return tuple(int(part) for part in match.groups() if part is not None) if match else None


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace").replace("\0", "\u2400")
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _shown(text: str) -> str:
    return printable(text[:100], one_line=True, instead="\ufffd")


def _runtime_txt(data: bytes) -> tuple[int, ...]:
    text = "\n".join(_lines(data))
    match = RUNTIME.match(text)
    version = _parse(match[1]) if match else None
    if version is None:
        raise BuildError(
            "runtime-txt::invalid-version",
            f"runtime.txt contains {_shown(text)!r}; allowed is one version such as python-3.13 or python-3.13.2. "
            "The file is deprecated: .python-version takes its place.",
            hint="git rm runtime.txt; " + pin(_minor_in(text)),
        )
    return version


def _minor_in(text: str) -> tuple[int, int]:
    """The supported 3.N in a text of any format; else the version in hints."""
    match = re.search(r"3\.(\d{1,2})(?!\d)", text.replace("\0", ""))  # UTF-16 has zeros
    minor = (3, int(match[1])) if match else PINNED
    return minor if OLDEST <= minor <= NEWEST else PINNED


def _encoding(data: bytes) -> str:
    marks = {b"\xef\xbb\xbf": "UTF-8 with a byte order mark", b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
    found = next((name for mark, name in marks.items() if data.startswith(mark)), "")
    if not found:
        try:
            data.decode()
        except UnicodeDecodeError:
            found = "neither ASCII nor UTF-8"
    return found


def _version_file(data: bytes) -> tuple[int, ...]:
    lines = _lines(data)
    for line in lines:
        if _parse(line) is None:
            raise _bad_version_line(data, line)
    if not lines:
        raise BuildError(
            "python-version-file::no-version",
            ".python-version contains no version; one line such as 3.13 is expected.",
            hint=pin(),
        )
    if len(lines) > 1:
        raise BuildError(
            "python-version-file::multiple-versions",
            f".python-version contains {len(lines)} versions ({', '.join(map(_shown, lines[:5]))}); exactly one is"
            " allowed.",
            hint=pin(_minor_in(lines[0])),
        )
    return _parse(lines[0]) or ()


def _bad_version_line(data: bytes, line: str) -> BuildError:
    encoding = _encoding(data)
    if encoding:
        return BuildError(
            "python-version-file::invalid-encoding",
            f".python-version is encoded as {encoding}; plain UTF-8 (or ASCII) is expected.",
            hint=_pin_plainly(_minor_in(data.replace(b"\0", b"").decode("latin-1"))),
        )
    number = next((i for i, raw in enumerate(data.decode("utf-8", "replace").splitlines(), 1) if line in raw), 1)
    return BuildError(
        "python-version-file::invalid-version",
        f".python-version, line {number}: {_shown(line)!r} is not a version; allowed is 3.N or 3.N.N, "
        "without `python-`, quotes, wildcards or a comment on the same line.",
        hint=pin(_minor_in(line)),
    )


def _pipfile(text: str) -> tuple[int, ...]:
    version = _parse(text)
    if version is None:
        raise BuildError(
            "pipfile-lock::invalid-version",
            f"Pipfile.lock requires Python {_shown(text)!r}; allowed is 3.N (python_version) or 3.N.N"
            " (python_full_version).",
            hint="correct [requires] in Pipfile, then run: pipenv lock",
        )
    return version


def _pin_plainly(minor: Sequence[int]) -> str:
    """Like ``pin``, for shells that may write another encoding, as Windows PowerShell's ``>`` does."""
    text = dotted(minor[:2])
    return (
        f"{pin(minor)}; in Windows PowerShell: Set-Content -Encoding ascii .python-version {text}; git add"
        " .python-version"
    )
