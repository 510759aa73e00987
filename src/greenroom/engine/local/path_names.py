"""Names of artefacts for the paths that clients before 0.1.0 sent to the supervisor.

A web process or worker of the older code may run beside a newer supervisor until it is started again. To be removed
after 0.1.0.
"""

from __future__ import annotations

import re

_MADE = re.compile(r"(slugs|envs|cache/apps)/([^/]+)\Z")
_ARTEFACTS = (
    (re.compile(r"slugs/([^/]+)/app\Z"), r"slug:\1"),
    (re.compile(r"envs/([^/]+)\Z"), r"env:\1"),
    (re.compile(r"sources/([^/]+)\.tar\Z"), r"source:\1"),
    (re.compile(r"cache/python/([^/]+)\Z"), r"python:\1"),
    (re.compile(r"cache/tools/(.+)\Z"), r"tool:\1"),
    (re.compile(r"cache/scanners/([^/]+)\Z"), r"scanner:\1"),
    (re.compile(r"cache/(wheels|uv)\Z"), r"cache:platform/\1"),
    (re.compile(r"cache/apps/([^/]+)\Z"), r"cache:\1/build"),
    (re.compile(r"(/.+)\Z"), r"host:\1"),
)
_SERVICES = (
    (re.compile(r"run/postgres/\.s\.PGSQL\.[0-9]+\Z"), "service:database"),
    (re.compile(r"run/addons/([^/]+)\.sock\Z"), r"service:\1"),
)
_KINDS = {"slugs": "slug:{}", "envs": "env:{}", "cache/apps": "cache:{}/build"}


def artefact(text: str) -> str:
    """The artefact's name for a path; any other text unchanged, since ``names`` checks it."""
    return _named(text, _ARTEFACTS)


def service(text: str) -> str:
    """The service's name for a path of a socket; any other text unchanged."""
    return _named(text, _SERVICES)


def discarded(folder: str) -> str:
    """The name of the artefact for a folder to discard; any other text unchanged."""
    found = _MADE.match(folder)
    return _KINDS[found[1]].format(found[2]) if found else folder


def _named(text: str, table: tuple[tuple[re.Pattern[str], str], ...]) -> str:
    for pattern, name in table:
        if found := pattern.match(text):
            return found.expand(name)
    return text
