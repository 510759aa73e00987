"""Commands to sign in to installations: ``login``, ``logout``, ``logins`` and ``logins:use``.

Password and token are read from the terminal, from stdin or from a file, never from an argument.
"""

from __future__ import annotations

import base64
import socket
import sys
from typing import Any

import click

from greenroom_cli import logins, output
from greenroom_cli.context import Context, command
from greenroom_cli.errors import ApiError, CliError, UnreachableError
from greenroom_cli.logins import Login
from greenroom_cli.origins import LOCAL, origin_of
from greenroom_cli.target import Target, of_login, url_problem

SECONDS = 30 * 24 * 3600
"""Validity of a token by password, as of `heroku login`."""
WAIT = 660
"""Seconds to wait for the browser; the server waits for ten minutes."""
MOST_BYTES = 100_000


@command("login", example="greenroom login https://staging.example.org", app=False, home=False)
@click.argument("url")
@click.option("--name", default="", metavar="NAME", help="A name for this installation (default: its host name).")
@click.option("--email", default="", metavar="EMAIL", help="Your e-mail address (default: ask).")
@click.option("--browser", is_flag=True, help="Sign in on a page in the browser instead of typing the password here.")
@click.option("--token-file", metavar="FILE", help="Use the API token in this file; - reads it from stdin.")
@click.option("--ca", "ca_file", metavar="FILE", help="The CA certificate of the installation (keys/ca.pem there).")
def login(
    cx: Context, url: str, name: str, email: str, browser: bool, token_file: str | None, ca_file: str | None
) -> int | None:
    """Sign in to an installation, and use it from now on.

    Asks for e-mail address and password, and stores a token that is valid for 30 days in ~/.config/greenroom, readable
    by you alone. In a repository with a git remote of another installation that you are signed in to, commands use
    that one.
    """
    url = _checked(url)
    name = name or _usual_name(url)
    if not logins.NAME.match(name):
        raise CliError(f"{name[:80]!r} is not a name: lower-case letters, digits, dots and dashes.", code=2)
    before, text = logins.read().rows.get(name), _ca_text(ca_file)
    target = Target(url=url, token="", token_source="", ca_file=ca_file or (before.ca if before else ""))
    token, own = _token(target, email, browser, token_file)
    row = _account(target, token)
    kept = Login(name=name, url=url, email=row["email"], token=token, own=own, ca=before.ca if before else "")
    logins.keep(kept, text)
    if before is not None and before.own and before.token != token and before.url == url:
        _revoke(before)
    output.say(f"Signed in to {url} as {output.clean(row['email'])}")
    output.hint(f"this installation is named {name}; sign out with: greenroom logout {name}")
    return None


def _account(target: Target, token: str) -> dict[str, Any]:
    """The account of the token. CliError if the installation does not accept it."""
    try:
        found: dict[str, Any] = _client(target, token).get("/account")
    except ApiError as error:
        if error.status != 401:
            raise
        raise CliError(
            f"{target.url} does not accept this token: it is unknown, revoked or expired.",
            hint="ask an administrator for: greenroom accounts:token EMAIL",
        ) from error
    return found


def _checked(url: str) -> str:
    """The API's URL. CliError for an invalid one, and for one that would send the password in clear text."""
    text = (url if "://" in url else f"{_scheme(url)}://{url}").strip().rstrip("/")
    problem = url_problem(text)
    if problem:
        raise CliError(f"The URL is {text!r}, {problem}.", hint="greenroom login https://staging.example.org", code=2)
    scheme, host, port = origin_of(text) or ("", "", 0)
    if scheme == "http" and host not in LOCAL and not host.endswith(".localhost"):
        raise CliError(
            f"{text} would send your password in clear text.",
            hint=f"use https (greenroom login https://{host}:PORT --ca ca.pem), or a tunnel: ssh -L"
            f" {port}:localhost:{port} {host}",
            code=2,
        )
    return text


def _scheme(place: str) -> str:
    """The scheme of a URL that was typed without one."""
    host = place.strip().partition("/")[0].rpartition(":")[0] or place.strip().partition("/")[0]
    return "http" if host.strip("[]") in LOCAL else "https"


def _usual_name(url: str) -> str:
    """The name of a sign-in to the same URL, else one made from the URL."""
    known = logins.read().find(url)
    return known.name if known else logins.name_of(url)


def _ca_text(path: str | None) -> str:
    if not path:
        return ""
    try:
        with open(path, "rb") as stream:
            text = stream.read(MOST_BYTES).decode("ascii", "replace")
    except OSError as error:
        raise CliError(f"Cannot read {path}: {error.strerror}.", code=2) from error
    if "-----BEGIN CERTIFICATE-----" not in text or "PRIVATE KEY" in text:
        raise CliError(f"{path} is not a file of CA certificates.", hint="use keys/ca.pem of the installation", code=2)
    return text


def _client(target: Target, token: str) -> Any:
    from dataclasses import replace

    from greenroom_cli.client import Client

    return Client(replace(target, token=token))


def _token(target: Target, email: str, browser: bool, token_file: str | None) -> tuple[str, bool]:
    """(token, whether this command created it)."""
    if token_file is not None and browser:
        raise CliError("--browser and --token-file exclude each other.", code=2)
    if token_file is not None:
        return _given(token_file), False
    return (_by_browser(target) if browser else _by_password(target, email)), True


def _given(path: str) -> str:
    try:
        if path == "-":
            data = sys.stdin.buffer.read(MOST_BYTES)
        else:
            with open(path, "rb") as stream:
                data = stream.read(MOST_BYTES)
    except OSError as error:
        raise CliError(f"Cannot read {path}: {error.strerror}.", code=2) from error
    text = data.decode("ascii", "replace").strip()
    if not text.startswith("grm_") or not text.isascii() or len(text.split()) != 1:
        raise CliError(f"{path} does not contain an API token: one line that starts with grm_.", code=2)
    return text


def _by_password(target: Target, email: str) -> str:
    import getpass

    if not sys.stdin.isatty():
        raise CliError(
            "No terminal to ask for the password.", hint="use --token-file FILE, --token-file - or --browser", code=2
        )
    if not email:
        print("E-mail: ", end="", file=sys.stderr, flush=True)
        email = sys.stdin.readline().strip()
    password = getpass.getpass("Password: ")
    basic = base64.b64encode(f"{email}:{password}".encode()).decode()
    body = {"description": f"greenroom login on {socket.gethostname()}", "scope": ["global"], "expires_in": SECONDS}
    try:
        answer = _client(target, "").send(
            "POST", "/oauth/authorizations", body, headers={"Authorization": f"Basic {basic}"}
        )
    except ApiError as error:
        if error.status != 401:
            raise
        raise CliError(
            f"No active account at {target.url} has this e-mail address and password.",
            hint="an administrator creates a token for you: greenroom accounts:token EMAIL; then use --token-file, and"
            " set a password: greenroom accounts:password",
        ) from error
    return str(answer.data["access_token"]["token"])


def _by_browser(target: Target) -> str:
    client = _client(target, "")
    begun = client.post("/auth", {"description": f"greenroom login on {socket.gethostname()}"})
    page = f"{target.url}{begun['browser_url']}"
    output.note(f"Open this page to sign in:\n\n  {page}\n")
    _show(page)
    with output.progress("Waiting for the browser"):
        answer = client.send(
            "GET", begun["cli_url"], headers={"Authorization": f"Bearer {begun['token']}"}, seconds=WAIT
        )
    return str(answer.data["access_token"])


def _show(page: str) -> None:
    """Open the page in a graphical browser, if there is one."""
    import os

    if os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY") or sys.platform == "darwin":
        import webbrowser

        webbrowser.open(page)


def _revoke(row: Login) -> bool:
    """Revoke the token of a sign-in. False if the installation does not answer."""
    try:
        _client(of_login(row), row.token).delete("/oauth/authorizations/~")
    except UnreachableError:
        return False
    except ApiError as error:
        return error.status in (401, 404)
    return True


@command("logout", example="greenroom logout staging.example.org", app=False, home=False)
@click.argument("name", required=False, default="")
def logout(cx: Context, name: str) -> int | None:
    """Sign out of an installation: revoke the token of `greenroom login`, and forget it.

    NAME is its name or URL (default: the installation in use). A token that you gave with --token-file stays valid.
    """
    found = logins.read()
    row = found.find(name or found.current)
    if row is None:
        what = f"You are not signed in to {name}." if name else "You are not signed in to any installation."
        raise CliError(what, hint="greenroom logins")
    revoked = row.own and _revoke(row)
    logins.drop(row.name)
    output.say(f"Signed out of {row.url}")
    if row.own and not revoked:
        output.warn(f"{row.url} did not answer: the token of this sign-in is valid for at most 30 days.")
        output.hint("an administrator revokes it with: greenroom tokens:revoke --all --account EMAIL")
    elif not row.own:
        output.hint("your token stays valid; revoke it with: greenroom tokens; greenroom tokens:revoke ID")
    return None


@command("logins", example="greenroom logins", app=False, json=True, home=False)
def list_logins(cx: Context) -> int | None:
    """List the installations that you are signed in to.

    The one with the star is used where no git remote names another one. $GREENROOM_URL and $GREENROOM_HOME come first.
    """
    found = logins.read()
    rows = [found.rows[name] for name in sorted(found.rows)]
    if cx.as_json:
        shown = {"file": str(logins.file()), "current": found.current or None}
        output.print_json({**shown, "logins": [logins.public(row) for row in rows]})
        return None
    output.heading("Logins")
    output.table(
        [["*" if row.name == found.current else "", row.name, row.url, output.clean(row.email)] for row in rows],
        header=("", "Name", "URL", "E-mail") if rows else (),
    )
    if not rows:
        output.hint("greenroom login URL")
    return None


@command("logins:use", example="greenroom logins:use staging.example.org", app=False, home=False)
@click.argument("name")
def use(cx: Context, name: str) -> int | None:
    """Use another installation that you are signed in to. NAME is its name or URL."""
    row = logins.read().find(name)
    if row is None:
        raise CliError(f"You are not signed in to {name}.", hint="greenroom logins")
    logins.use(row.name)
    output.say(f"Using {row.url} as {output.clean(row.email)}")
    return None
