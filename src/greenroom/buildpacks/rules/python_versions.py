"""Chooses the interpreter for an app's Python version, by Heroku's rules.

Pure: the caller lists the host's interpreters. ``version_files`` reads the version from the app's files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from greenroom.buildpacks.errors import BuildError

DEFAULT = (3, 14)
OLDEST = (3, 10)
NEWEST = (3, 14)
LATEST = {(3, 10): 21, (3, 11): 16, (3, 12): 14, (3, 13): 15, (3, 14): 7}
"""The latest patch versions that heroku/python v351 supports."""
PINNED = (3, 13)
"""The version in hints when the app's version is unknown."""


def dotted(version: Sequence[int]) -> str:
    """``3.13`` or ``3.13.2``."""
    return ".".join(map(str, version))


def pin(minor: Sequence[int] = PINNED) -> str:
    """The command that pins a version 3.N."""
    return f"echo {dotted(minor[:2])} > .python-version && git add -f .python-version"


@dataclass(frozen=True)
class Interpreter:
    """A CPython on this host. prefix: the directory that a sandbox must mount besides /usr; empty if it is in /usr."""

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
    """The requested version (2 or 3 numbers) and its origin: a file's name, ``cached`` or ``default``."""

    version: tuple[int, ...]
    origin: str


@dataclass(frozen=True)
class Choice:
    """The interpreter, the line with the reason, and warnings. better: the requested version, if it is another one."""

    interpreter: Interpreter
    line: str
    warnings: tuple[str, ...] = ()
    better: str = ""


class NotHereError(BuildError):
    """The version is not installed here, but may be available. wanted: as ``3.N`` or ``3.N.N``."""

    def __init__(self, wanted: str, message: str, *, hint: str, reason: str = "not-installed") -> None:
        super().__init__(f"python-version::{reason}", message, hint=hint)
        self.wanted = wanted


def choose(
    request: Request,
    available: Sequence[Interpreter],
    *,
    manager: str = "pip",
    eol: str = "error",
    default: str = "warn",
) -> Choice:
    """The interpreter for a request, or BuildError. eol: ``warn`` accepts versions past their end of life.

    default: ``error`` refuses an app without a version. 3.N means its newest patch version on this host. A missing
    patch version is replaced by the nearest of the same 3.N, with a warning; a nonexistent one is refused.
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
    better = dotted(request.version) if len(request.version) == 3 and not exact else ""
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
            f"Warning: Python {dotted(minor)} gets no more fixes, not even security fixes. Upgrade to a newer version.",
        )
    return (
        ("Warning: Python 3.10 gets no more fixes after October 2026. Upgrade to a newer version.",)
        if minor == OLDEST
        else ()
    )


def _patch_problems(request: Request, found: Sequence[Interpreter], best: Interpreter) -> tuple[str, ...]:
    """Problems of a full version: BuildError if it does not exist, a warning if it is not installed or not the
    newest.
    """
    if len(request.version) != 3:
        return ()
    minor, patch = request.version[:2], request.version[2]
    newest = max([LATEST.get(minor, 0), *(i.version[2] for i in found)])
    if patch > newest:
        raise NotHereError(
            dotted(request.version),
            f"Python {dotted(request.version)} {_where(request)} does not exist; the newest of {dotted(minor)} is"
            f" {dotted(minor)}.{newest}.",
            hint=_instead(request, minor),
            reason="unknown-patch",
        )
    if best.version != request.version:
        return (
            (
                f"Warning: Python {dotted(request.version)} is not installed on this host; {best.text} is used.\n"
                f"Use {dotted(minor)} in {request.origin} to get the newest patch without this warning."
            ),
        )
    if patch < newest:
        return (
            (
                f"Warning: Python {best.text} is not the newest patch, which is {dotted(minor)}.{newest}; it may lack"
                f" security fixes.\nUse {dotted(minor)} in {request.origin} to get the newest of this host at each"
                " build."
            ),
        )
    return ()


def _nearest(found: Sequence[Interpreter], version: tuple[int, ...]) -> Interpreter:
    """The newest; for a missing patch version: the next higher one, else the newest."""
    ordered = sorted(found, key=lambda i: i.version)
    above = [i for i in ordered if len(version) == 3 and i.version > version]
    return above[0] if above else ordered[-1]


def _newest(available: Sequence[Interpreter]) -> tuple[int, int]:
    """The newest supported 3.N of this host, or the version in hints."""
    return max((i.minor for i in available if OLDEST <= i.minor <= NEWEST), default=PINNED)


def _closest(request: Request, available: Sequence[Interpreter]) -> tuple[int, int]:
    """The supported 3.N of this host that is closest to the requested one and not older, else the newest. Packages that
    an old project pins rarely have wheels for the newest Python.
    """
    found = sorted({i.minor for i in available if OLDEST <= i.minor <= NEWEST})
    return next((minor for minor in found if minor >= request.version[:2]), _newest(available))


def _instead(request: Request, minor: Sequence[int]) -> str:
    """The command to request another version, by the origin of the present one; runtime.txt takes precedence while it
    exists.
    """
    if request.origin == "runtime.txt":
        return f"git rm runtime.txt; {pin(minor)}"
    if request.origin == "Pipfile.lock":
        return (
            f'set python_version = "{dotted(minor[:2])}" under [requires] in Pipfile, then: pipenv lock && git add'
            " Pipfile Pipfile.lock"
        )
    return pin(minor)


def _file_problems(request: Request, manager: str, default: str, used: Sequence[int]) -> tuple[str, ...]:
    if manager == "uv" and request.origin in ("cached", "default"):
        raise BuildError(
            "python-version-file::not-found",
            "There is no .python-version; an app with uv.lock needs one, so that uv and Greenroom use the same Python.",
            hint=(
                f"uv python pin {dotted(used)} && git add -f .python-version (a version that requires-python of"
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
            'There is no .python-version, and greenroom.toml requires one ([policy] python_default is "error").',
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
    return ", ".join(map(dotted, texts)) or "none"


def _where(request: Request) -> str:
    return {"cached": "of the last build", "default": "(the default)"}.get(request.origin, f"in {request.origin}")


def _eol(request: Request, available: Sequence[Interpreter]) -> BuildError:
    allow = '; or allow it for a while: [policy] python_eol = "warn" in greenroom.toml'
    here = any(i.minor == request.version[:2] for i in available)
    return BuildError(
        "python-version::eol",
        f"Python {dotted(request.version)} {_where(request)} is no longer supported; allowed are 3.{OLDEST[1]} to"
        f" 3.{NEWEST[1]}.",
        hint=f"{_instead(request, _closest(request, available))}{allow if here else ''}",
    )


def _unknown(request: Request, available: Sequence[Interpreter]) -> BuildError:
    return BuildError(
        "python-version::unknown-major",
        f"Python {dotted(request.version)} {_where(request)} does not exist; allowed are 3.{OLDEST[1]} to"
        f" 3.{NEWEST[1]}, and this host has {_had(available)}.",
        hint=_instead(request, _closest(request, available)),
    )


def _missing(request: Request, available: Sequence[Interpreter]) -> BuildError:
    return NotHereError(
        dotted(request.version),
        f"Python {dotted(request.version)} {_where(request)} is not installed on this host, which has"
        f" {_had(available)}.",
        hint=(
            f"{_instead(request, _closest(request, available))}; or let the operator install it: uv python install"
            f" {dotted(request.version[:2])}"
        ),
    )


def _fallback(request: Request, available: Sequence[Interpreter], warnings: tuple[str, ...]) -> Choice:
    found = sorted((i for i in available if OLDEST <= i.minor <= NEWEST), key=lambda i: i.version)
    if not found:
        raise _missing(request, available)
    newest = found[-1]
    line = (
        f"No Python version was specified. Using the newest on this host: Python {newest.text} (the default"
        f" {dotted(DEFAULT)} is not installed)"
    )
    return Choice(newest, line, warnings, better=dotted(DEFAULT))
