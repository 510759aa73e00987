"""Submodules: reads ``.gitmodules`` and decides from which URL a submodule is fetched. Pure.

Greenroom parses the file itself, so that no git process reads configuration of an app.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from greenroom.basics.errors import UserError
from greenroom.basics.text import printable

MOST = 50
"""Submodules of one commit, nested ones included."""
DEPTH = 4
"""Levels of submodules in submodules."""
SECONDS = 600.0
MAX_TREE = 1_000_000_000
"""Bytes of the files of all submodules together."""
HOSTS = ("github.com", "gitlab.com", "bitbucket.org", "codeberg.org")
PLACEHOLDER = "https://HOST/PATH.git"
SETTING = "GREENROOM_SUBMODULE_HOSTS"

_SECTION = re.compile(r'\[\s*submodule\s+"((?:[^"\\]|\\.)*)"\s*\]\s*(?:[#;].*)?\Z', re.IGNORECASE)
_OTHER = re.compile(r"\[[^\]\n]*\]\s*(?:[#;].*)?\Z")
_LINE = re.compile(r"([A-Za-z][A-Za-z0-9-]*)\s*(?:=\s*(.*))?\Z")
_SCP = re.compile(r"(?:[A-Za-z0-9_.-]+@)?([A-Za-z0-9.-]+):(?!//)/?(.+)\Z")
_HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,250}[a-z0-9])?\Z")


@dataclass(frozen=True, kw_only=True)
class Place:
    """An allowed URL of a submodule, and its parts."""

    url: str
    scheme: str
    host: str
    port: int


@dataclass(frozen=True, kw_only=True)
class Entry:
    """An entry of ``.gitmodules``."""

    name: str
    url: str


def read(text: str) -> dict[str, Entry]:
    """path -> entry of the submodules in a ``.gitmodules``. UserError names the line that is not valid."""
    sections: dict[str, dict[str, str]] = {}
    section: dict[str, str] | None = None
    for number, raw in enumerate(text.replace("\r\n", "\n").split("\n"), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        if match := _SECTION.match(line):
            section = sections.setdefault(re.sub(r"\\(.)", r"\1", match[1]), {})
        elif _OTHER.match(line):
            section = None
        elif not (match := _LINE.match(line)):
            raise UserError(
                f".gitmodules, line {number}: {printable(line, 80)!r} is neither a section nor a setting.",
                hint="git submodule add URL PATH writes it",
            )
        elif section is not None:
            section[match[1].lower()] = _value(match[2] or "", number)
    return {
        row["path"].strip("/"): Entry(name=name, url=row["url"])
        for name, row in sections.items()
        if row.get("path") and row.get("url")
    }


def _value(text: str, number: int) -> str:
    """A value of git's configuration format, without quotes and comments."""
    found, quoted, place = "", False, 0
    while place < len(text):
        char = text[place]
        if char == "\\":
            place += 1
            following = text[place : place + 1]
            if following not in ("\\", '"'):
                raise UserError(
                    f'.gitmodules, line {number}: only \\\\ and \\" may follow a backslash.',
                    hint="git config -f .gitmodules submodule.NAME.url URL writes it",
                )
            found += following
        elif char == '"':
            quoted = not quoted
        elif char in "#;" and not quoted:
            break
        else:
            found += char
        place += 1
    return found if quoted else found.rstrip()


def place_of(path: str, entries: Mapping[str, Entry], *, origin: str, hosts: Collection[str]) -> Place:
    """Where the submodule at ``path`` is fetched from. UserError says why it is refused.

    origin: the URL of the repository that contains it, for relative URLs; '' if it is unknown. hosts: ``github.com``,
    ``git.example.com:8443``, ``http://git.internal:3000``, or ``*`` for every host with https on port 443.
    """
    named = f"The submodule {printable(path, 100)!r}"
    word = shlex.quote(printable(path, 200))
    if path not in entries:
        raise UserError(
            f"{named} has no entry in .gitmodules.",
            hint=f"git rm --cached {word}, then git submodule add URL {word} or commit its files",
        )
    url = entries[path].url
    change = f"git config -f .gitmodules {shlex.quote(f'submodule.{printable(entries[path].name, 200)}.url')}"
    if url.startswith(("./", "../")):
        url = _absolute(named, change, url, origin)
    found = _parsed(url)
    allowed = found is not None and _is_allowed(found, hosts)
    if found is None or (found.scheme == "http" and not allowed):
        raise UserError(
            f"{named} has the URL {printable(_bare(url), 120)!r}. Submodules are fetched from https URLs without"
            " credentials only.",
            hint=f"{change} {shlex.quote(_https(url))}, then commit and push again",
        )
    if not allowed:
        raise UserError(
            f"{named} is at {_origin(found)}, from which this installation fetches no submodules. Allowed:"
            f" {', '.join(sorted(hosts)) or 'none'}.",
            hint=f'the operator can allow it: {SETTING}="{" ".join([*sorted(hosts), _origin(found)])}" greenroom up',
        )
    return found


def _absolute(named: str, change: str, url: str, origin: str) -> str:
    base = _https(origin) if origin and not origin.startswith("http://") else origin
    if base in ("", PLACEHOLDER):
        raise UserError(
            f"{named} has the relative URL {printable(url, 120)!r}, and a push names no repository to which it is"
            " relative.",
            hint=f"{change} {PLACEHOLDER}, then commit and push again",
        )
    root = base.split("://", 1)
    host, _, rest = root[1].strip("/").partition("/")
    parts = rest.split("/")
    for word in url.split("/"):
        if word == "..":
            parts = parts[:-1]
        elif word not in ("", "."):
            parts.append(word)
    return f"{root[0]}://{host}/{'/'.join(parts)}"


def _parsed(url: str) -> Place | None:
    if len(url) > 500 or not url.isascii() or not url.isprintable() or any(char in url for char in " \\\"'"):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = (parts.hostname or "").lower()
    if parts.scheme not in ("https", "http") or parts.username is not None or parts.query or parts.fragment:
        return None
    if not _HOST.match(host) or port == 0 or not parts.path.strip("/"):
        return None
    return Place(url=url, scheme=parts.scheme, host=host, port=port or {"https": 443, "http": 80}[parts.scheme])


def _origin(place: Place) -> str:
    """The form in which the setting names the place."""
    port = "" if place.port == {"https": 443, "http": 80}[place.scheme] else f":{place.port}"
    return f"{'http://' if place.scheme == 'http' else ''}{place.host}{port}"


def _is_allowed(place: Place, hosts: Collection[str]) -> bool:
    return _origin(place) in hosts or ("*" in hosts and place.scheme == "https" and place.port == 443)


def _bare(url: str) -> str:
    """The URL without credentials."""
    return re.sub(r"//[^/@]*@", "//", url)


def _https(url: str) -> str:
    """The https form of an ssh or git URL, for hints; a placeholder if it has none."""
    match = _SCP.match(url) if "://" not in url else None
    found = f"https://{match[1].lower()}/{match[2]}" if match else ""
    if not match:
        try:
            parts = urlsplit(url)
            if parts.scheme in ("https", "http", "ssh", "git", "git+ssh") and parts.hostname:
                found = f"https://{parts.hostname}{parts.path}"
        except ValueError:
            found = ""
    return found if _parsed(found) else PLACEHOLDER
