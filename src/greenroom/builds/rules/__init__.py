"""Interprets the end of a build's dyno, and names the dynos of a build. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from greenroom.addons.rules.services import creating

FAILED = 10
NEEDS_BUILD = 20
DOUBT = 21
CONFLICT = 22
PARTS = ("pre", "manager", "resolve", "wheels", "sources", "compile", "tool", "install")
"""Parts of the names of a build's dynos. Earlier versions used the last two; their results are no longer accepted."""
CREDENTIALS = re.compile(r"(?<=://)[^\s/@'\"<>]+(?=@)")
"""The credentials in a URL: a user with a password or a token, before the host."""
SETTING = re.compile(r"greenroom config:set ([A-Z][A-Z0-9_]*)=\.\.\.\Z")
SHORTEST = 4
"""Minimum characters of a secret: masking shorter ones would hide half the output."""
HEAVY = 500_000_000
"""Bytes of tree and packages above which a build warns; Heroku refuses such a slug."""
MAX_LOST = 2
"""Maximum restarts of a lost dyno (its host restarted)."""


@dataclass(frozen=True)
class Ended:
    """The result of a build's dyno: ok, needs-build (a package has no wheel), doubt (shared files have changed),
    conflict (packages share files, or list some without a hash, so that they cannot be verified), failed (the app's
    fault), lost, or errored.
    """

    kind: str
    reason: str = ""
    message: str = ""
    hint: str = ""


def dyno_id(build_hex: str, part: str, attempt: int) -> str:
    """The engine id of one part of a build: constant, but different for each attempt."""
    return f"build-{build_hex}-{part}" + (f"-{attempt}" if attempt else "")


def dyno_ids(build_hex: str, attempts: int) -> list[str]:
    """All dyno ids that a build may have used."""
    return [dyno_id(build_hex, part, attempt) for part in PARTS for attempt in range(attempts + 1)]


def ended(
    *,
    phase: str,
    exit_code: int | None,
    reason: str,
    detail: str,
    result: dict[str, Any],
    memory_mb: int,
    minutes: float,
) -> Ended:
    """Interpret the end of a dyno. result: output of its script, which the app's code may have written."""
    if phase == "lost":
        return Ended("lost", "build::lost", "The build's process was lost.", "push again")
    return (
        _out_of_room(exit_code, reason, result, memory_mb)
        or _ended_by_engine(reason, detail, minutes)
        or _ended_by_itself(exit_code, detail, result)
    )


def _out_of_room(exit_code: int | None, reason: str, result: dict[str, Any], memory_mb: int) -> Ended | None:
    hint = "reduce the memory use of the last step above"
    if reason == "oom":
        return Ended("failed", "build::memory", f"The build needed more than {memory_mb} MB of memory.", hint)
    if reason == "disk":
        return Ended("errored", "build::disk", "The machine's disk is full.", "greenroom doctor")
    if exit_code == FAILED and result.get("reason") == "build::memory":
        what = f"{_text(result, 'message', 200)}, probably because it needed more than {memory_mb} MB of memory."
        return Ended("failed", "build::memory", what, hint)
    return None


def _ended_by_engine(reason: str, detail: str, minutes: float) -> Ended | None:
    if reason in ("timeout", "silence"):
        message = f"The build took longer than {minutes:.0f} minutes and was stopped."
        return Ended("failed", "build::timeout", message, "see the last step above")
    if reason == "start":
        message = f"The build could not be started: {detail or 'no reason was given'}."
        return Ended("errored", "build::start", message, "greenroom doctor")
    return None


def _ended_by_itself(exit_code: int | None, detail: str, result: dict[str, Any]) -> Ended:
    if exit_code == 0 and result.get("ok") is True:
        return Ended("ok")
    if exit_code == NEEDS_BUILD:
        return Ended("needs-build")
    if exit_code in (DOUBT, CONFLICT):
        return Ended("doubt" if exit_code == DOUBT else "conflict", message=_text(result, "message", 500))
    if exit_code == FAILED and result.get("ok") is False:
        reason = _text(result, "reason", 80) or "build::failed"
        return Ended("failed", reason, _text(result, "message", 4000), _hint(_text(result, "hint", 500)))
    ending = f"exit code {exit_code}" + (f" ({detail})" if detail else "")
    return Ended(
        "errored",
        "build::crashed",
        f"The build's process ended without a result: {ending}.",
        "push again; if it fails again: greenroom doctor",
    )


def _hint(text: str) -> str:
    """A hint to set a config var names the add-on that sets it, if there is one."""
    match = SETTING.match(text)
    made = creating(match[1]) if match else ""
    return f"{made}, or {text}" if made else text


def _text(result: dict[str, Any], key: str, limit: int) -> str:
    value = result.get(key)
    return value.replace("\0", "")[:limit] if isinstance(value, str) else ""


def secret_words(values: Iterable[str]) -> tuple[str, ...]:
    """The passwords and tokens in URLs of package indexes, as written and decoded, the longest first."""
    words: set[str] = set()
    for value in values:
        for found in CREDENTIALS.findall(value):
            words |= {found, *found.split(":", 1)[-1:]}
    words |= {unquote(word) for word in words}
    return tuple(sorted((word for word in words if len(word) >= SHORTEST), key=len, reverse=True))


def masked(text: str, words: Iterable[str] = ()) -> str:
    """Mask credentials in the text: those of any URL, and each of ``words``, even inside a longer word."""
    text = CREDENTIALS.sub("***", text)
    for word in sorted(words, key=len, reverse=True):
        text = text.replace(word, "***")
    return text


def masked_result(result: dict[str, Any], mask: Callable[[str], str]) -> dict[str, Any]:
    """Mask the texts of a dyno's result. Call it before ``ended`` truncates them, so that no partial secret remains."""
    return {
        key: mask(value) if key in ("message", "hint") and isinstance(value, str) else value
        for key, value in result.items()
    }


def too_heavy(size: int, packages: Mapping[str, Sequence[Any]]) -> list[str]:
    """Warning lines for a heavy slug: the tree (``size`` bytes) with its packages (name -> [version, bytes]). Names the
    largest ones.
    """
    total = size + sum(entry[1] for entry in packages.values())
    if total <= HEAVY:
        return []
    largest = sorted(packages.items(), key=lambda item: -item[1][1])[:5]
    listed = ", ".join(f"{name} {entry[0]} ({entry[1] / 1e6:.0f}M)" for name, entry in largest)
    return [
        f"Warning: the slug is {total / 1e6:.0f}M large, of which {size / 1e6:.0f}M are the app's own files.",
        f"The largest packages: {listed}.",
        "Exclude files that a running app does not need with .slugignore, and remove test tools from the requirements.",
    ]
