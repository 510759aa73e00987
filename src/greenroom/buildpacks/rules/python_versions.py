"""Which Python an app asks for and which one it gets: Heroku's order of places, over the interpreters that this host
has.

Pure: the caller reads the files and lists the interpreters.
"""

from __future__ import annotations

import re
import shlex
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from greenroom.buildpacks.errors import BuildError

DEFAULT = (3, 14)
OLDEST = (3, 10)
NEWEST = (3, 14)
LATEST = {(3, 10): 21, (3, 11): 16, (3, 12): 14, (3, 13): 15, (3, 14): 7}
"""The newest patches that heroku/python v351 knows."""
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
"""The names that heroku/python takes for a slip of .python-version, and no others."""
PINNED = (3, 13)
"""What a hint proposes where nothing says which version the app uses."""


def pin(minor: Sequence[int] = PINNED) -> str:
    """The command that pins a version and keeps the one in use."""
    return f"echo {_dotted(minor[:2])} > .python-version && git add .python-version"


def _pin_plainly(minor: Sequence[int]) -> str:
    """The same where the shell itself may write the wrong encoding, as Windows PowerShell's ``>`` does."""
    text = _dotted(minor[:2])
    return (
        f"{pin(minor)}; in Windows PowerShell: Set-Content -Encoding ascii .python-version {text}; git add"
        " .python-version"
    )


@dataclass(frozen=True)
class Interpreter:
    """A CPython on this host. prefix: the folder that a sandbox needs to see besides /usr; empty when it lives in
    /usr.
    """

    version: tuple[int, int, int]
    path: str
    prefix: str = ""

    @property
    def text(self) -> str:
        """``3.13.2``."""
        return ".".join(map(str, self.version))

    @property
    def minor(self) -> tuple[int, int]:
        """``(3, 13)``."""
        return self.version[:2]


@dataclass(frozen=True)
class Request:
    """The version that was asked for (2 or 3 numbers) and where: a file's name, ``cached`` or ``default``."""

    version: tuple[int, ...]
    origin: str


@dataclass(frozen=True)
class Choice:
    """The interpreter, the line that says why, and warnings for the pusher. better: the version that was asked for,
    when it is another one.
    """

    interpreter: Interpreter
    line: str
    warnings: tuple[str, ...] = ()
    better: str = ""


class NotHereError(BuildError):
    """The version is not here, but may be to be had. wanted: as ``3.N`` or ``3.N.N``."""

    def __init__(self, wanted: str, message: str, *, hint: str, reason: str = "not-installed") -> None:
        super().__init__(f"python-version::{reason}", message, hint=hint)
        self.wanted = wanted


def requested(
    files: Mapping[str, bytes],
    names: Sequence[str],
    *,
    cached: tuple[int, int] | None,
    pipfile: Callable[[], str] | None = None,
) -> Request:
    """Where the version is given first: runtime.txt, .python-version, Pipfile.lock, the last build, the default.

    files: the content of ``runtime.txt`` and ``.python-version`` as far as they exist.
    names: what stands in the root folder, folders with ``/`` at the end.
    pipfile: gives the version that Pipfile.lock requires, empty for none; asked only when no file of the first two is
    there.
    """
    if "runtime.txt" in files:
        return Request(_runtime_txt(files["runtime.txt"]), "runtime.txt")
    wrong = [name for name in names if misspelled(name)]
    if wrong:
        raise BuildError(
            "python-version-file::misspelled",
            f"The file {wrong[0]!r} looks like a misspelled .python-version; that is the only name that counts.",
            hint=_rename(wrong[0], names),
        )
    if ".python-version" in files:
        return Request(_version_file(files[".python-version"]), ".python-version")
    wanted = pipfile() if pipfile else ""
    if wanted:
        return Request(_pipfile(wanted), "Pipfile.lock")
    return Request(cached, "cached") if cached else Request(DEFAULT, "default")


def misspelled(name: str) -> bool:
    """Whether a file's name is one that Heroku takes for a slip of .python-version."""
    return name in MISSPELLINGS


def _rename(wrong: str, names: Sequence[str]) -> str:
    if ".python-version" in names:
        return f"git rm -- {shlex.quote(wrong)} (.python-version is there already)"
    return f"git mv -- {shlex.quote(wrong)} .python-version"


def _parse(text: str) -> tuple[int, ...] | None:
    match = VERSION.match(text)
    return tuple(int(part) for part in match.groups() if part is not None) if match else None


def _lines(data: bytes) -> list[str]:
    text = data.decode("utf-8", "replace").replace("\0", "\u2400")
    lines = (line.strip() for line in text.split("\n"))
    return [line for line in lines if line and not line.startswith("#")]


def _shown(text: str) -> str:
    """The text with everything that cannot be printed replaced, 100 characters at most."""
    return "".join("\ufffd" if unicodedata.category(c) in ("Cc", "Cf", "Co", "Cs", "Cn") else c for c in text[:100])


def _runtime_txt(data: bytes) -> tuple[int, ...]:
    text = "\n".join(_lines(data))
    match = RUNTIME.match(text)
    version = _parse(match[1]) if match else None
    if version is None:
        raise BuildError(
            "runtime-txt::invalid-version",
            f"runtime.txt holds {_shown(text)!r}; allowed is one version such as python-3.13 or python-3.13.2. "
            "The file is deprecated: .python-version takes its place.",
            hint="git rm runtime.txt; " + pin(_minor_in(text)),
        )
    return version


def _minor_in(text: str) -> tuple[int, int]:
    """The supported 3.N that a text names, however it is written; else the one of hints."""
    match = re.search(r"3\.(\d{1,2})(?!\d)", text)
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
            ".python-version holds no version; one line such as 3.13 is expected.",
            hint=pin(),
        )
    if len(lines) > 1:
        raise BuildError(
            "python-version-file::multiple-versions",
            f".python-version holds {len(lines)} versions ({', '.join(map(_shown, lines[:5]))}); exactly one is"
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


def choose(
    request: Request,
    available: Sequence[Interpreter],
    *,
    manager: str = "pip",
    eol: str = "error",
    default: str = "warn",
) -> Choice:
    """The interpreter for a request, or BuildError. eol: ``warn`` lets versions through that are no longer supported.

    default: ``error`` refuses an app that names no version. 3.N means its newest patch on this host. A patch that the
    host does not have
    is replaced by the nearest of the same 3.N, with a warning; one that does not exist is refused.
    """
    minor = request.version[:2]
    found = [i for i in available if i.minor == minor]
    _in_range(request, available, eol)
    warnings = _file_problems(request, manager, default, minor if found else _newest(available))
    if not found and request.origin == "default":
        return _fallback(request, available, warnings)
    if not found:
        raise _missing(request, available)
    exact = [i for i in found if i.version == request.version]
    best = exact[0] if exact else _nearest(found, request.version)
    better = _dotted(request.version) if len(request.version) == 3 and not exact else ""
    return Choice(
        best, _line(request, best), (*warnings, *_aged(request), *_patch_problems(request, found, best)), better
    )


def _in_range(request: Request, available: Sequence[Interpreter], eol: str) -> None:
    minor = request.version[:2]
    if minor < OLDEST and eol != "warn":
        raise _eol(request, available)
    if minor > NEWEST:
        raise _unknown(request, available)


def _aged(request: Request) -> tuple[str, ...]:
    minor = request.version[:2]
    if minor < OLDEST:
        return (
            f"Warning: Python {_dotted(minor)} gets no more fixes, security fixes included. Move to a newer version.",
        )
    return (
        ("Warning: Python 3.10 gets no more fixes after October 2026. Move to a newer version.",)
        if minor == OLDEST
        else ()
    )


def _patch_problems(request: Request, found: Sequence[Interpreter], best: Interpreter) -> tuple[str, ...]:
    """About a whole version: refused when there is no such patch, a warning when it is not here or not the newest."""
    if len(request.version) != 3:
        return ()
    minor, patch = request.version[:2], request.version[2]
    newest = max([LATEST.get(minor, 0), *(i.version[2] for i in found)])
    if patch > newest:
        raise NotHereError(
            _dotted(request.version),
            f"Python {_dotted(request.version)} {_where(request)} is not known; the newest of {_dotted(minor)} is"
            f" {_dotted(minor)}.{newest}.",
            hint=_instead(request, minor),
            reason="unknown-patch",
        )
    if best.version != request.version:
        return (
            (
                f"Warning: Python {_dotted(request.version)} is not on this host; {best.text} is used.\n"
                f"Ask for {_dotted(minor)} in {request.origin} to get the newest patch without this warning."
            ),
        )
    if patch < newest:
        return (
            (
                f"Warning: Python {best.text} is not the newest patch, which is {_dotted(minor)}.{newest}; it may lack"
                f" security fixes.\nAsk for {_dotted(minor)} in {request.origin} to get the newest of this host at each"
                " build."
            ),
        )
    return ()


def _nearest(found: Sequence[Interpreter], version: tuple[int, ...]) -> Interpreter:
    """The newest; for a patch that is missing: the next one above, else the newest."""
    ordered = sorted(found, key=lambda i: i.version)
    above = [i for i in ordered if len(version) == 3 and i.version > version]
    return above[0] if above else ordered[-1]


def _dotted(version: Sequence[int]) -> str:
    return ".".join(map(str, version))


def _newest(available: Sequence[Interpreter]) -> tuple[int, int]:
    """The newest supported 3.N of this host, or the one of hints."""
    return max((i.minor for i in available if OLDEST <= i.minor <= NEWEST), default=PINNED)


def _instead(request: Request, minor: Sequence[int]) -> str:
    """How to ask for another version where this one was asked for: each place has a way of its own, and runtime.txt
    wins as long as it is there.
    """
    if request.origin == "runtime.txt":
        return f"git rm runtime.txt; {pin(minor)}"
    if request.origin == "Pipfile.lock":
        return (
            f'set python_version = "{_dotted(minor[:2])}" under [requires] in Pipfile, then: pipenv lock && git add'
            " Pipfile Pipfile.lock"
        )
    return pin(minor)


def _file_problems(request: Request, manager: str, default: str, used: Sequence[int]) -> tuple[str, ...]:
    if manager == "uv" and request.origin in ("cached", "default"):
        raise BuildError(
            "python-version-file::not-found",
            "There is no .python-version; an app with uv.lock needs one, so that uv and Greenroom use the same Python.",
            hint=(
                f"uv python pin {_dotted(used)} && git add .python-version (a version that requires-python of"
                " pyproject.toml allows)"
            ),
        )
    if manager == "uv" and request.origin == "runtime.txt":
        raise BuildError(
            "runtime-txt::not-supported",
            "runtime.txt is not supported together with uv.lock; .python-version takes its place.",
            hint=_instead(request, request.version),
        )
    if request.origin == "runtime.txt":
        return (
            f"Warning: runtime.txt is deprecated.\nUse .python-version instead: {_instead(request, request.version)}",
        )
    if request.origin in ("cached", "default") and default == "error":
        raise BuildError(
            "python-version-file::not-found",
            'There is no .python-version, and greenroom.toml asks for one ([policy] python_default is "error").',
            hint=pin(used),
        )
    if request.origin in ("cached", "default"):
        return (
            f"Warning: No Python version was given.\nPin the one in use, so that builds stay the same: {pin(used)}",
        )
    return ()


def _line(request: Request, found: Interpreter) -> str:
    if request.origin == "default":
        return f"No Python version was specified. Using the buildpack default: Python {found.text}"
    if request.origin == "cached":
        return f"No Python version was specified. Using the same major version as the last build: Python {found.text}"
    return f"Using Python {found.text} specified in {request.origin}"


def _had(available: Sequence[Interpreter]) -> str:
    texts = sorted({i.version for i in available if OLDEST <= i.minor <= NEWEST})
    return ", ".join(map(_dotted, texts)) or "none"


def _where(request: Request) -> str:
    return {"cached": "of the last build", "default": "(the default)"}.get(request.origin, f"in {request.origin}")


def _eol(request: Request, available: Sequence[Interpreter]) -> BuildError:
    return BuildError(
        "python-version::eol",
        f"Python {_dotted(request.version)} {_where(request)} is no longer supported; allowed are 3.{OLDEST[1]} to"
        f" 3.{NEWEST[1]}.",
        hint=(
            f'{_instead(request, _newest(available))}; or allow it for a while: [policy] python_eol = "warn" in'
            " greenroom.toml"
        ),
    )


def _unknown(request: Request, available: Sequence[Interpreter]) -> BuildError:
    return BuildError(
        "python-version::unknown-major",
        f"Python {_dotted(request.version)} {_where(request)} is not known; allowed are 3.{OLDEST[1]} to 3.{NEWEST[1]},"
        f" and this host has {_had(available)}.",
        hint=_instead(request, _newest(available)),
    )


def _missing(request: Request, available: Sequence[Interpreter]) -> BuildError:
    return NotHereError(
        _dotted(request.version),
        f"Python {_dotted(request.version)} {_where(request)} is not on this host, which has {_had(available)}.",
        hint=(
            f"{_instead(request, _newest(available))}; or let the operator install it: uv python install"
            f" {_dotted(request.version[:2])}"
        ),
    )


def _fallback(request: Request, available: Sequence[Interpreter], warnings: tuple[str, ...]) -> Choice:
    found = sorted((i for i in available if OLDEST <= i.minor <= NEWEST), key=lambda i: i.version)
    if not found:
        raise _missing(request, available)
    newest = found[-1]
    line = (
        f"No Python version was specified. Using the newest on this host: Python {newest.text} (the default"
        f" {_dotted(DEFAULT)} is not there)"
    )
    return Choice(newest, line, warnings, better=_dotted(DEFAULT))
