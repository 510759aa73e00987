"""Chooses the PostgreSQL of a new home: the embedded one, or one of the host that has more of the usual extensions."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

from greenroom.basics import postgres_programs

USUAL = (
    "btree_gin",
    "btree_gist",
    "citext",
    "hstore",
    "pg_trgm",
    "pgcrypto",
    "postgis",
    "unaccent",
    "uuid-ossp",
    "vector",
)
"""Extensions that Django projects on Heroku use."""
PACKAGES = {"postgis": "postgresql-{major}-postgis-3", "vector": "postgresql-{major}-pgvector"}
"""Debian's packages of the extensions that are not in ``postgresql-contrib``."""
HOST = Path("/usr/lib/postgresql")
"""Where Debian and Ubuntu install PostgreSQL: ``15/bin``."""
OLDEST = 15
CHOICE = "GREENROOM_POSTGRES_BIN"


def extensions(bins: Path) -> frozenset[str]:
    """The names of all extensions of the server with these programs."""
    folders = [bins.parent / "share" / "extension", bins.parent / "share" / "postgresql" / "extension"]
    folders.append(Path("/usr/share/postgresql") / bins.parent.name / "extension")
    config = bins / "pg_config"
    if os.access(config, os.X_OK):
        said = subprocess.run([str(config), "--sharedir"], capture_output=True, text=True, timeout=10, check=False)
        folders.insert(0, Path(said.stdout.strip() or "/nonexistent") / "extension")
    return next((names for folder in folders if (names := _controls(folder))), frozenset())


def _controls(folder: Path) -> frozenset[str]:
    return frozenset(path.stem for path in folder.glob("*.control") if "--" not in path.stem)


def missing(bins: Path) -> list[str]:
    """The usual extensions that the server lacks."""
    return sorted(set(USUAL) - extensions(bins))


def on_host() -> list[Path]:
    """The ``bin`` folders of the host's own servers that Greenroom can use, newest first."""
    found = [path for path in HOST.glob("*/bin") if re.fullmatch(r"\d+", path.parent.name)]
    usable = [path for path in found if int(path.parent.name) >= OLDEST and _is_complete(path)]
    return sorted(usable, key=lambda path: int(path.parent.name), reverse=True)


def _is_complete(bins: Path) -> bool:
    return all(os.access(bins / name, os.X_OK) for name in ("initdb", "postgres", "pg_dump", "pg_restore"))


def best() -> str:
    """The ``bin`` folder for a new home; empty for the embedded server. The embedded one wins a draw."""
    embedded = postgres_programs.embedded("postgres")
    counts = [(len(USUAL) - len(missing(path)), path) for path in on_host()]
    own = len(USUAL) - len(missing(embedded)) if embedded else -1
    most = max(counts, key=lambda row: row[0], default=(-1, Path()))
    return str(most[1]) if most[0] > own else ""


def use(folder: str) -> None:
    """Make this process and its children use these programs, unless the caller's environment names others."""
    if folder:
        os.environ.setdefault(CHOICE, folder)


def remedy(lacking: list[str], bins: Path, *, home_exists: bool) -> str:
    """The commands that get the missing extensions."""
    if bins.parent.parent == HOST:
        major = bins.parent.name
        packages = [PACKAGES[name].format(major=major) for name in lacking if name in PACKAGES]
        return f"apt-get install {' '.join(packages or ['postgresql-contrib'])}"
    if home_exists:
        return (
            "a home keeps the major version of its PostgreSQL: see 'Extensions' in docs/howto/operate.md;"
            " for a new home: apt-get install postgresql postgresql-contrib"
        )
    return "apt-get install postgresql postgresql-contrib, before the first `greenroom up` of the home"
