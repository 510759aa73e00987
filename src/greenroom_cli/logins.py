"""The installations that this user is signed in to: a file that only the user can read.

``$XDG_CONFIG_HOME/greenroom/logins.json`` (default ``~/.config``) holds URL, e-mail address and token of each by name,
and the one in use. It is written beside and renamed; a lock orders two commands that change it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from greenroom_cli.errors import CliError
from greenroom_cli.origins import origin_of, origins

NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}\Z")
MOST_BYTES = 1_000_000
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Login:
    """A sign-in to an installation.

    own: ``greenroom login`` created the token, so that ``logout`` revokes it. ca: the file with the installation's CA
    in the same folder, '' for the system's CAs.
    """

    name: str
    url: str
    email: str
    token: str = field(repr=False)
    own: bool = False
    ca: str = ""


@dataclass(frozen=True, kw_only=True)
class Logins:
    """All sign-ins by name, and the name of the one in use; '' for none."""

    current: str = ""
    rows: Mapping[str, Login] = field(default_factory=dict)

    def find(self, text: str) -> Login | None:
        """The sign-in with this name or URL, or None."""
        wanted = text.strip().rstrip("/")
        return self.rows.get(wanted) or next((row for row in self.rows.values() if row.url == wanted), None)


def folder(env: Mapping[str, str] | None = None) -> Path:
    """The folder of the file."""
    env = os.environ if env is None else env
    return Path(env.get("XDG_CONFIG_HOME") or Path(env.get("HOME") or "~").expanduser() / ".config") / "greenroom"


def file(env: Mapping[str, str] | None = None) -> Path:
    """The file, which need not exist."""
    return folder(env) / "logins.json"


def read(env: Mapping[str, str] | None = None) -> Logins:
    """All sign-ins; none without the file. CliError for a file that others can read, or with other content."""
    path = file(env)
    try:
        with path.open("rb") as stream:
            if os.fstat(stream.fileno()).st_mode & 0o077:
                raise CliError(f"Other users can read {path}, which holds your API tokens.", hint=f"chmod 600 {path}")
            content = json.loads(stream.read(MOST_BYTES))
        found = {name: Login(name=name, **row) for name, row in content["logins"].items()}
        return Logins(current=str(content["current"]), rows=found)
    except (FileNotFoundError, NotADirectoryError):
        return Logins()
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise CliError(
            f"Cannot read {path}: {type(error).__name__}.", hint=f"mv {path} {path}.bad; greenroom login URL"
        ) from error


def change(make: Callable[[Logins], Logins]) -> Logins:
    """Replace the content by ``make(present)`` under a lock; returns it. CliError when the folder is not writable."""
    from greenroom.basics import atomic

    path = file()
    try:
        with _locked(path):
            found = make(read())
            rows = {
                name: {key: value for key, value in asdict(row).items() if key != "name"}
                for name, row in sorted(found.rows.items())
            }
            body = {"version": VERSION, "current": found.current, "logins": rows}
            atomic.write(path, json.dumps(body, indent=2) + "\n", mode=0o600, sync=True)
            return found
    except OSError as error:
        raise CliError(
            f"Cannot write {path}: {error.strerror}.", hint="set XDG_CONFIG_HOME to another folder"
        ) from error


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    import fcntl

    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle = os.open(path.with_name(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def keep(login: Login, ca_text: str = "") -> Login:
    """Add or replace a sign-in, and use it from now on. ca_text: the CA's certificate, kept beside the file."""
    from greenroom.basics import atomic

    if ca_text:
        place = folder() / f"{login.name}.pem"
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        atomic.write(place, ca_text, mode=0o600)
        login = replace(login, ca=str(place))
    change(lambda present: Logins(current=login.name, rows={**present.rows, login.name: login}))
    return login


def drop(name: str) -> Logins:
    """Forget a sign-in, and its CA. If it was in use, no other one is, unless only one is left."""

    def without(present: Logins) -> Logins:
        rows = {key: row for key, row in present.rows.items() if key != name}
        rest = next(iter(rows)) if len(rows) == 1 else ""
        return Logins(current=present.current if present.current != name else rest, rows=rows)

    found = change(without)
    (folder() / f"{name}.pem").unlink(missing_ok=True)
    return found


def use(name: str) -> None:
    """Use this sign-in where no git remote names another."""
    change(lambda present: replace(present, current=name))


def name_of(url: str) -> str:
    """The usual name of an installation: its host name, with a port that is not the scheme's."""
    parts = urlsplit(url)
    host = re.sub(r"[^a-z0-9.-]", "-", (parts.hostname or "").lower()).strip("-.") or "greenroom"
    return f"{host}-{parts.port}"[:63] if parts.port else host[:63]


def of_urls(found: Logins, urls: Iterable[str]) -> Login | None:
    """The sign-in whose installation one of these git URLs belongs to, or None."""
    places = {origin_of(url) for url in urls} - {None}
    return next((row for row in found.rows.values() if origins(row.url) & places), None) if places else None


def public(row: Login) -> dict[str, Any]:
    """A sign-in without its token, for output."""
    return {"name": row.name, "url": row.url, "email": row.email}
