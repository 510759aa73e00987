"""The package managers that are programs of their own: their versions, as Heroku has them, and everything they need,
with hashes.

Made by ``uv pip compile --universal --generate-hashes --no-emit-index-url --no-header --no-annotate --python-version
3.10``.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from pathlib import Path

VERSIONS = {"pipenv": "2026.7.1", "poetry": "2.4.1"}
PLACES = {"pipenv": "/app/.heroku/python/pipenv", "poetry": "/greenroom/poetry"}
"""Where dynos see each tool: pipenv stays with the app, since a Procfile may call it; poetry serves builds alone, as on
Heroku.
"""


@lru_cache
def requirements(tool: str) -> str:
    """The requirements file of a tool: every version and hash fixed."""
    return (Path(__file__).parent / f"{tool}.txt").read_text()


def digest(tool: str) -> str:
    """Names what ``requirements`` gives."""
    return hashlib.sha256(requirements(tool).encode()).hexdigest()
