"""Decides which buildpacks build an app, and in which order. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

PYTHON, NODE, APT = "heroku/python", "heroku/nodejs", "heroku-community/apt"
KNOWN = (APT, NODE, PYTHON)
URLS = {
    PYTHON: re.compile(
        r"(urn:buildpack:)?heroku/python\Z|https://(www\.)?github\.com/heroku/heroku-buildpack-python(\.git)?(#.*)?\Z"
        r"|https://.*/heroku/python\.tgz\Z"
    ),
    NODE: re.compile(
        r"(urn:buildpack:)?heroku/nodejs\Z|https://(www\.)?github\.com/heroku/heroku-buildpack-nodejs(\.git)?(#.*)?\Z"
        r"|https://.*/heroku/nodejs\.tgz\Z"
    ),
    APT: re.compile(
        r"(urn:buildpack:)?heroku-community/apt\Z|https://.*/heroku-community/apt\.tgz\Z"
        r"|https://(www\.)?github\.com/heroku/heroku-buildpack-apt(\.git)?(#.*)?\Z"
    ),
}
INSTEAD = (
    f"supported are {', '.join(KNOWN)}; replace other buildpacks by bin/pre_compile and bin/post_compile"
    " (docs/reference/app-files.md)."
)
LARGEST = 1_000_000
SIGNS = (
    (NODE, "package.json", re.compile(rb"\b(?:npm|npx|yarn|pnpm|node)\b")),
    (APT, "Aptfile", re.compile(rb"\b(?:apt|apt-get|dpkg|Aptfile)\b")),
)
"""(buildpack, the file that it builds, programs in a hook that builds the file itself)."""


@dataclass(frozen=True)
class Chosen:
    """The buildpacks in order, and warnings about those that are left out."""

    names: tuple[str, ...]
    warnings: tuple[str, ...] = ()


def known(url: str) -> str:
    """The name of a buildpack by its name or URL; empty if Greenroom does not have it."""
    return next((name for name, pattern in URLS.items() if pattern.match(url)), "")


def problem(urls: Sequence[str]) -> str:
    """Why an app cannot have this list; empty if it can."""
    unknown = [url for url in urls if not known(url)]
    if unknown:
        return f"The buildpack {unknown[0][:200]} cannot be used."
    names = [known(url) for url in urls]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        return f"{twice[0]} must be given exactly once."
    if names and PYTHON not in names:
        return f"{PYTHON} must be one of the buildpacks: Greenroom runs Python apps."
    return ""


def choose(own: Sequence[str] | None, app_json: bytes | None) -> Chosen:
    """The app's own list, else that of app.json, else heroku/python.

    own: None if nobody has chosen, empty after ``buildpacks:clear``. A faulty app.json counts as none: the plan
    reports it.
    """
    if own:
        return Chosen(tuple(own))
    urls = list(_declared(app_json))
    names = tuple(dict.fromkeys(name for url in urls if (name := known(url))))
    warnings = [
        f"Warning: app.json lists the buildpack {url[:200]}, which Greenroom does not have.\nInstead: {INSTEAD}"
        for url in urls
        if not known(url)
    ]
    if names and PYTHON not in names:
        names = (*names, PYTHON)
    return Chosen(names or (PYTHON,), tuple(warnings))


def _declared(app_json: bytes | None) -> Iterable[str]:
    """The URLs in ``buildpacks`` of app.json."""
    if not app_json or len(app_json) > LARGEST:
        return
    try:
        value: Any = json.loads(app_json)
    except (ValueError, RecursionError):
        return
    entries = value.get("buildpacks") if isinstance(value, dict) else None
    for entry in entries if isinstance(entries, list) else ():
        url = entry.get("url") if isinstance(entry, dict) else entry
        if isinstance(url, str) and url.strip():
            yield url.strip()


def lines(names: Sequence[str]) -> list[str]:
    """The list for the pusher, in Heroku's format."""
    if len(names) == 1:
        return [f"-----> Using buildpack: {names[0]}"]
    return ["-----> Using buildpacks:", *(f"       {index}. {name}" for index, name in enumerate(names, 1))]


def unasked(names: Sequence[str], root_names: Iterable[str], hooks: Iterable[bytes | None]) -> list[str]:
    """Lines about a package.json or an Aptfile that nothing builds; none about what a hook builds.

    hooks: the contents of bin/pre_compile and bin/post_compile.
    """
    there, scripts = set(root_names), [hook for hook in hooks if hook]
    return [
        f"{file} is there, but only {' and '.join(names)} builds: heroku buildpacks:add --index 1 {buildpack}"
        for buildpack, file, programs in SIGNS
        if buildpack not in names and file in there and not any(programs.search(script) for script in scripts)
    ]
