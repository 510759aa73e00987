"""Commands that run once in a release: ``release:`` of the Procfile, ``scripts.postdeploy`` of app.json; and reasons to
skip one. Pure.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SEPARATORS = re.compile(r"[;&|()<>]+\Z")
LOOKS_ONLY = frozenset({"--check", "--plan", "--help", "--sql"})
"""Options with which ``migrate``, or Alembic's ``upgrade``, changes nothing."""


@dataclass(frozen=True)
class ReleaseCommand:
    """One command. kind: ``release`` or ``postdeploy``; origin: its file.

    skipped: the reason not to run it, or empty; hint: the remedy.
    """

    kind: str
    text: str
    origin: str
    skipped: str = ""
    hint: str = ""


def migrates(command: str) -> bool:
    """Whether a shell command contains ``migrate``, or ``alembic`` and ``upgrade``, as separate words, without a
    read-only option.

    A script that migrates is not detected: this check is advice, not a barrier.
    """
    for words in _simple_commands(command):
        names = {word.rpartition("/")[2] for word in words}
        if ("migrate" in names or ("alembic" in names and names & {"upgrade", "downgrade"})) and not LOOKS_ONLY & set(
            words
        ):
            return True
        if any(" " in word and word != command and migrates(word) for word in words):
            return True
    return False


def _simple_commands(command: str) -> list[list[str]]:
    """The words of each command of a shell line; split at spaces if a quote is open."""
    try:
        lexer = shlex.shlex(command, posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        words = list(lexer)
    except ValueError:
        words = command.split()
    found: list[list[str]] = [[]]
    for word in words:
        if SEPARATORS.match(word):
            found.append([])
        else:
            found[-1].append(word)
    return found


def release_commands(
    *, process_types: Mapping[str, str], app_json: Mapping[str, Any], policy: Mapping[str, Any], first: bool
) -> tuple[ReleaseCommand, ...]:
    """The commands of a release with this code, in order; a skipped one has a reason.

    first: the app was never deployed. Only then is there a postdeploy script, after the release command and the
    roll-out.
    """
    wanted = [("release", process_types.get("release", ""), "Procfile")]
    if first:
        wanted.append(
            ("postdeploy", (app_json.get("scripts") or {}).get("postdeploy", ""), "app.json, scripts.postdeploy")
        )
    return tuple(_judged(kind, text.strip(), origin, policy) for kind, text, origin in wanted if text.strip())


def _judged(kind: str, text: str, origin: str, policy: Mapping[str, Any]) -> ReleaseCommand:
    if not migrates(text) or policy.get("migrate_in_release") is True:
        return ReleaseCommand(kind, text, origin)
    return ReleaseCommand(
        kind,
        text,
        origin,
        skipped=(
            f"{origin} runs `{text[:200]}`, which migrates the database. On Greenroom a user does this, after the"
            " release."
        ),
        hint="remove it; or, to run it at each release: [policy] migrate_in_release = true in greenroom.toml",
    )


def schema_notes(app: str, process_types: Mapping[str, str], policy: Mapping[str, Any]) -> list[str]:
    """Notes in the push output about processes that change the database's schema: allowed, or refused."""
    if policy.get("schema_changes") == "any":
        return [
            '       [policy] schema_changes = "any": web, worker and release dynos may change the schema of the'
            " database"
        ]
    lines = [
        f" !     Procfile, {name}: `{text[:200]}` migrates. The database allows this only to a user's command;"
        " without pending migrations it is harmless."
        for name, text in process_types.items()
        if name != "release" and migrates(text)
    ]
    return (
        [*lines, f" !     hint: remove it; after the release: greenroom run -a {app} python manage.py migrate"]
        if lines
        else []
    )


def first_formation(process_types: Mapping[str, str], app_json: Mapping[str, Any]) -> dict[str, int]:
    """Number of dynos of each process type after an app's first deployment: from app.json, else one ``web`` and no
    others.

    Types that are not in the Procfile are omitted, and so is ``release``, which is not a process.
    """
    given = {name: entry.get("quantity", 1) for name, entry in (app_json.get("formation") or {}).items()}
    return {name: given.get(name, 1 if name == "web" else 0) for name in process_types if name != "release"}
