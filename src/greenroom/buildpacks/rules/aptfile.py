"""Parses Aptfile, the list of Debian packages of heroku-community/apt. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass

from greenroom.buildpacks.errors import BuildError

PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]{0,99}(?::[a-z0-9-]{1,20})?(?:[=/][A-Za-z0-9.+:~-]{1,100})?\Z")
DEB = re.compile(r"https://[A-Za-z0-9.-]+(?::\d{1,5})?/[\x21-\x7e]{1,500}\.deb(?:\?[\x21-\x7e]{0,200})?\Z")
REPO = re.compile(
    r"deb \[(?:arch=[a-z0-9,-]+ )?trusted=yes(?: arch=[a-z0-9,-]+)?\]"
    r" https://[A-Za-z0-9.-]+(?::\d{1,5})?/?[^\s\"'\[\]]{0,300}(?: [A-Za-z0-9./_-]{1,100}){1,10}\Z"
)
MOST = 200
REASON = "apt::invalid"


@dataclass(frozen=True)
class Aptfile:
    """Names of packages, URLs of .deb files and lines of further repositories, in order."""

    packages: tuple[str, ...] = ()
    debs: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.packages or self.debs)


def read(data: bytes) -> Aptfile:
    """The entries of an Aptfile. BuildError with the line of a fault."""
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BuildError(REASON, "Aptfile is not UTF-8 text.", hint="save it as UTF-8 and commit it") from error
    packages: list[str] = []
    debs: list[str] = []
    repositories: list[str] = []
    for number, line in enumerate(lines, 1):
        text = line.strip()
        if not text or text.startswith("#"):
            continue
        if text.startswith(":repo:"):
            repositories.append(_repository(text.removeprefix(":repo:").strip(), number))
        elif "://" in text:
            debs.append(_deb(text, number))
        else:
            packages += [_package(word, number) for word in text.partition(" #")[0].split()]
    if len(packages) + len(debs) + len(repositories) > MOST:
        raise BuildError(REASON, f"Aptfile has more than {MOST} entries.", hint="remove what the app does not need")
    return Aptfile(tuple(dict.fromkeys(packages)), tuple(dict.fromkeys(debs)), tuple(dict.fromkeys(repositories)))


def _package(word: str, number: int) -> str:
    if not PACKAGE.match(word):
        raise _bad(number, word, "a package such as libpq-dev or libpq-dev=15.3-1 is expected", "correct its name")
    return word


def _deb(text: str, number: int) -> str:
    if not DEB.match(text):
        raise _bad(number, text, "the URL of a package must begin with https:// and end with .deb", "use an https URL")
    return text


def _repository(text: str, number: int) -> str:
    line = " ".join(text.split())
    if not REPO.match(line):
        raise _bad(
            number,
            text,
            "Greenroom knows the keys of the host's repositories only; another one must be https and trusted=yes",
            ":repo:deb [trusted=yes] https://HOST/PATH SUITE COMPONENT",
        )
    return line


def _bad(number: int, found: str, wanted: str, hint: str) -> BuildError:
    return BuildError(REASON, f"Aptfile, line {number}: {found[:100]!r} cannot be used: {wanted}.", hint=hint)
