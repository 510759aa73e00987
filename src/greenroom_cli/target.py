"""Finds the installation and the token of a command: ``--home``, the environment, the sign-ins of ``greenroom login``,
or the files of the home folder.

A token that comes from the environment together with a URL is only sent to that URL.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from greenroom_cli.errors import CliError
from greenroom_cli.origins import LOCAL, default_port, origins

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from greenroom_cli.logins import Login

DEFAULT_HOME = "~/.greenroom"
SEE_LOGINS = "greenroom logins"


@dataclass(frozen=True, kw_only=True)
class Target:
    """The address and credentials of an installation.

    url: the API, without a trailing slash.   token_source: the origin of the token, for messages.
    ca_file: the installation's CA, '' when unknown.   home: its folder when it is on this machine, else None.
    """

    url: str
    token: str = field(repr=False)
    token_source: str
    ca_file: str = ""
    home: Path | None = None
    explicit_home: bool = False
    login: str = ""
    """The name of the sign-in by ``greenroom login`` that it comes from, '' for another source."""

    @property
    def home_flag(self) -> str:
        """`` --home DIR`` for the commands in hints, if the home was given explicitly."""
        import shlex

        return f" --home {shlex.quote(str(self.home))}" if self.home and self.explicit_home else ""

    @property
    def start_hint(self) -> str:
        """The hint for a refused connection."""
        if self.login:
            return f"start Greenroom there with `greenroom up`, or use another installation: {SEE_LOGINS}"
        if self.home is None:
            return "start Greenroom there with `greenroom up`, or correct the URL in the environment"
        return f"greenroom up --detach{self.home_flag}"

    @property
    def look_hint(self) -> str:
        """The hint for any other connection problem."""
        return f"greenroom status{self.home_flag}" if self.home else "check that this is the URL of Greenroom's API"

    @property
    def token_hint(self) -> str:
        """How to get a valid token. `greenroom up` creates the administrator's token if its file is missing."""
        import shlex

        if self.login:
            return f"greenroom login {self.url} --name {self.login}"
        own, flag = self.home and _token_file(self.home), self.home_flag
        if own and self.token_source == str(own):
            return (
                f"rm {shlex.quote(str(own))}; greenroom down{flag}; greenroom up --detach{flag}   (creates a new token)"
            )
        if own and os.access(own, os.R_OK):
            return f'eval "$(greenroom env{flag})"'
        return (
            "ask an administrator for `greenroom accounts:token YOUR-EMAIL`, then set"
            f" {self.token_source.removeprefix('$')}"
        )

    @property
    def git_url(self) -> str:
        """The base URL of git remotes: ``url``, with the host localhost for a local installation."""
        parts = urlsplit(self.url)
        if parts.hostname not in LOCAL:
            return self.url
        return f"{parts.scheme}://localhost:{parts.port or default_port(parts.scheme)}"

    def git_origins(self) -> set[tuple[str, str, int]]:
        """(scheme, host, port) of the git server: the API's port, and the next port with TLS."""
        return origins(self.url)


def home_folder(option: str | None, env: Mapping[str, str]) -> Path:
    """The absolute path of ``--home``, $GREENROOM_HOME or ~/.greenroom."""
    return Path(os.path.abspath(Path(option or env.get("GREENROOM_HOME") or DEFAULT_HOME).expanduser()))


def find(
    home: str | None, env: Mapping[str, str] | None = None, remotes: Callable[[], Iterable[str]] = lambda: ()
) -> Target:
    """The installation of this call: ``--home``, the environment, the sign-in of a git remote, the sign-in in use, the
    default home. CliError when there is none, or no token for it.

    remotes: the URLs of the repository's git remotes; only called if there are sign-ins.
    """
    from greenroom_cli import logins

    env = os.environ if env is None else env
    if not home:
        if env.get("GREENROOM_URL"):
            return _of_url(env, "GREENROOM_URL", "GREENROOM_TOKEN")
        if is_local(env.get("HEROKU_HOST", "")) and env.get("HEROKU_API_KEY"):
            return _of_url(env, "HEROKU_HOST", "HEROKU_API_KEY")
        found = logins.Logins() if env.get("GREENROOM_HOME") else logins.read(env)
        row = found.rows and (logins.of_urls(found, remotes()) or found.rows.get(found.current))
        if row:
            return of_login(row)
    return _of_home(home_folder(home, env), env, explicit=bool(home))


def of_login(row: Login) -> Target:
    """The installation of a sign-in."""
    source = f"the sign-in {row.name} of `greenroom login`"
    return Target(url=row.url, token=row.token, token_source=source, ca_file=row.ca, login=row.name)


def is_local(url: str) -> bool:
    """Whether it is an http(s) URL of this machine, or of a tunnel. A Heroku token must not be sent elsewhere."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return False
    host = parts.hostname or ""
    return parts.scheme in ("http", "https") and (host in LOCAL or host.endswith(".localhost"))


def url_problem(url: str) -> str:
    """The problem of an invalid URL, as a clause; '' for a valid one. Does not connect."""
    try:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            return "which is not an http:// or https:// URL"
        if parts.port == 0:
            return "whose port is not a number from 1 to 65535"
    except ValueError as error:
        return "whose port is not a number from 1 to 65535" if str(error).startswith("Port ") else "which is not a URL"
    try:
        parts.hostname.encode("idna")
    except UnicodeError:
        return "whose host name is invalid"
    return "" if parts.netloc.isprintable() and " " not in parts.netloc else "whose host name is invalid"


def _of_url(env: Mapping[str, str], url_name: str, token_name: str) -> Target:
    url = env[url_name].strip().rstrip("/")
    from greenroom_cli import logins

    problem = url_problem(url)
    if problem:
        raise CliError(f"{url_name} is {url!r}, {problem}.", hint=f"{url_name}=http://localhost:5000")
    token = env.get(token_name, "").strip()
    if not token and (row := logins.read(env).find(url)):
        return of_login(row)
    if not token:
        raise CliError(
            f"{url_name} is set but {token_name} is not.",
            hint=f"export {token_name}=grm_..., or: greenroom login {url}",
        )
    names = ("GREENROOM_CA", "NODE_EXTRA_CA_CERTS", "GIT_SSL_CAINFO")
    ca_file = next((env[name] for name in names if env.get(name)), _own_ca(home_folder(None, env)))
    return Target(url=url, token=token, token_source=f"${token_name}", ca_file=ca_file)


def _of_home(home: Path, env: Mapping[str, str], *, explicit: bool) -> Target:
    flag = f" --home {home}" if explicit else ""
    settings = _installation(home, flag)
    url = f"http://127.0.0.1:{settings.get('api_port', 5000)}"
    token, source = _token_of(home, env, flag)
    return Target(url=url, token=token, token_source=source, ca_file=_own_ca(home), home=home, explicit_home=explicit)


def _own_ca(home: Path) -> str:
    """The home's CA file; '' when it is missing or not readable."""
    path = home / "keys" / "ca.pem"
    return str(path) if os.access(path, os.R_OK) else ""


def _token_of(home: Path, env: Mapping[str, str], flag: str) -> tuple[str, str]:
    """(token, its origin) for the installation in ``home``. CliError when it is missing or not readable."""
    name = "GREENROOM_TOKEN"
    if env.get(name) and not env.get("GREENROOM_URL"):
        return env[name].strip(), f"${name}"
    path = _token_file(home)
    try:
        return path.read_text().strip(), str(path)
    except FileNotFoundError as error:
        raise CliError(f"{home} has no API token yet.", hint=f"greenroom up --detach{flag}") from error
    except PermissionError as error:
        text = f"{path} belongs to another user of this machine."
        hint = (
            "set GREENROOM_TOKEN to your own token; an administrator creates it with: greenroom accounts:token EMAIL"
            " (without an account: accounts:create)"
        )
        raise CliError(text, hint=hint) from error


def _token_file(home: Path) -> Path:
    """The file with the administrator's token of an installation on this machine."""
    return home / "keys" / "admin.token"


def _installation(home: Path, flag: str) -> dict:
    """The content of ``installation.json``. CliError when it is missing or invalid."""
    path = home / "installation.json"
    try:
        settings = json.loads(path.read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise CliError(f"There is no Greenroom in {home}.", hint=f"greenroom up --detach{flag}") from error
    except (OSError, ValueError) as error:
        raise CliError(f"Cannot read {path}: {error}.", hint=f"greenroom doctor{flag}") from error
    if not isinstance(settings, dict) or not isinstance(settings.get("api_port", 5000), int):
        raise CliError(f"{path} is not a valid installation file.", hint=f"greenroom doctor{flag}")
    return settings
