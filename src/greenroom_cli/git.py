"""Calls to git: the app of the repository's remotes, remotes with a credential helper, and commit SHAs.

The API token is never written to the git configuration.
"""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from greenroom_cli.errors import CliError

if TYPE_CHECKING:
    from greenroom_cli.target import Target

REMOTE = "greenroom"
SHA = re.compile(r"[0-9a-f]{7,40}\Z", re.IGNORECASE)
APP_PATH = re.compile(r"/([a-z0-9][a-z0-9-]*)(\.git)?/?\Z")


class Remote(NamedTuple):
    """A fetch remote of the repository."""

    name: str
    url: str


def git(*arguments: str, stdin: str = "") -> tuple[int, str]:
    """(exit code, stdout) of git in the current folder; 127 when git is not installed, 124 on timeout."""
    import subprocess

    try:
        done = subprocess.run(["git", *arguments], input=stdin, capture_output=True, text=True, check=False, timeout=30)
    except FileNotFoundError:
        return 127, ""
    except subprocess.TimeoutExpired:
        return 124, ""
    return done.returncode, done.stdout


def in_checkout() -> bool:
    """Whether the current folder is in a git work tree."""
    return git("rev-parse", "--is-inside-work-tree")[1].strip() == "true"


def remotes() -> list[Remote]:
    """The remotes of the repository, as git resolves them."""
    code, text = git("remote", "-v")
    rows = (line.removesuffix(" (fetch)").split("\t", 1) for line in text.splitlines() if line.endswith(" (fetch)"))
    return [Remote(row[0], row[1]) for row in rows if len(row) == 2] if code == 0 else []


def app_of_url(url: str, target: Target) -> str:
    """The app of a remote URL on this installation, or ''."""
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError:
        return ""
    if (parts.scheme, parts.hostname or "", port) not in target.git_origins():
        return ""
    match = APP_PATH.match(parts.path)
    return match[1] if match else ""


def app_of_checkout(target: Target, remote: str = "") -> str:
    """The app of the repository's remotes, or of the remote with that name; '' for none. CliError for several apps."""
    rows = remotes()
    if remote:
        found = next((row for row in rows if row.name == remote), None)
        name = app_of_url(found.url, target) if found else ""
        if not name:
            what = f"points to {found.url}, not to {target.git_url}" if found else "does not exist"
            raise CliError(f"The git remote {remote!r} {what}.", hint="git remote -v", code=2)
        return name
    apps = {row.name: name for row in rows if (name := app_of_url(row.url, target))}
    if REMOTE in apps:
        return apps[REMOTE]
    if len(set(apps.values())) > 1:
        shown = ", ".join(f"{app} ({name})" for name, app in apps.items())
        raise CliError(f"The git remotes point to several apps: {shown}.", hint="add -a APP or -r REMOTE", code=2)
    return next(iter(apps.values()), "")


def url_of(app: str, target: Target) -> str:
    """The git URL of the app."""
    return f"{target.git_url}/{app}.git"


def program() -> str:
    """The absolute path of this command: git calls it from any folder and with any PATH."""
    own = Path(sys.argv[0])
    if own.name == "greenroom" and own.exists():
        return str(own.absolute())
    import shutil

    beside = Path(sys.executable).parent / "greenroom"
    return str(beside) if beside.exists() else (shutil.which("greenroom") or "greenroom")


def use_helper(target: Target) -> None:
    """Configure this command as git's credential helper for the installation's URL.

    The empty value in front resets the helpers of the user's own configuration, which could store the token in
    plaintext.
    """
    key = f"credential.{target.git_url}.helper"
    helper = [program(), "git:credentials"]
    if target.home is not None:
        helper += ["--home", str(target.home)]
    git("config", "--local", "--unset-all", key)
    git("config", "--local", "--add", key, "")
    git("config", "--local", "--add", key, "!" + shlex.join(helper))


def add_remote(app: str, target: Target, name: str = REMOTE) -> str:
    """Add the remote ``name`` of the app and the credential helper. Returns '', or the URL of an existing remote that
    points elsewhere, which stays unchanged.
    """
    wanted = url_of(app, target)
    existing = next((row for row in remotes() if row.name == name), None)
    if existing and existing.url != wanted and app_of_url(existing.url, target) != app:
        return existing.url
    if existing is None:
        git("remote", "add", name, wanted)
    use_helper(target)
    return ""


def move_remotes(target: Target, old: str, new: str) -> list[str]:
    """Update the remotes of app ``old`` to app ``new``; returns the names of the remotes."""
    moved = [row.name for row in remotes() if app_of_url(row.url, target) == old]
    for name in moved:
        git("remote", "set-url", name, url_of(new, target))
    return moved


def drop_remotes(target: Target, app: str) -> list[str]:
    """Remove the remotes of the app; returns their names."""
    dropped = [row.name for row in remotes() if app_of_url(row.url, target) == app]
    for name in dropped:
        git("remote", "remove", name)
    return dropped


def commit(text: str) -> str:
    """The commit SHA of ``text`` (a SHA, a SHA prefix or a revision; '' for HEAD). An unknown SHA is returned as typed.

    CliError when it is none of these.
    """
    code, found = git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{text or 'HEAD'}^{{commit}}")
    if code == 0 and SHA.match(found.strip()):
        return found.strip()
    if text and SHA.match(text):
        return text.lower()
    if not text:
        raise CliError(
            "No commit is specified, and this folder is not a git repository with a commit.", hint="add the SHA", code=2
        )
    raise CliError(
        f"{text[:80]!r} is neither a revision of this repository nor 7 to 40 digits of a commit SHA.",
        hint="git log --oneline",
        code=2,
    )
