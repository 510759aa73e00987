"""``greenroom-admin``: Django's management commands for the control plane itself, mostly ``migrate`` of a server
installation.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from django.core.management import execute_from_command_line

from greenroom.basics.errors import PlatformError
from greenroom.project.installation import read_installation


def main() -> None:
    """Run a management command with the control plane's settings."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    try:
        os.environ.update(variables(os.environ))
        execute_from_command_line(sys.argv)
    except PlatformError as error:
        sys.exit(f"greenroom-admin: {error}")


def variables(env: Mapping[str, str]) -> dict[str, str]:
    """What the settings need and the environment lacks, from the installation's home as ``greenroom up`` takes it.
    PlatformError.
    """
    home = Path(env.get("GREENROOM_HOME") or Path.home() / ".greenroom").absolute()
    if not (home / "installation.json").exists():
        raise PlatformError(
            f"There is no installation in {home}.",
            hint="GREENROOM_HOME=DIR greenroom-admin migrate names another; greenroom up makes one",
        )
    found = {"GREENROOM_HOME": str(home)}
    if not env.get("SECRET_KEY"):
        found["SECRET_KEY"] = _key(home, "secret.key")
    if env.get("DATABASE_URL"):
        return found
    installation = read_installation(home)
    if installation["postgres"] != "embedded":
        text = f"DATABASE_URL is not set, and the installation in {home} keeps its data in an external PostgreSQL."
        raise PlatformError(text, hint="export DATABASE_URL=... as for greenroom up, then the same command again")
    password = quote(_key(home, "platform.password"), safe="")
    return found | {"DATABASE_URL": f"postgres://greenroom:{password}@127.0.0.1:{installation['pg_port']}/greenroom"}


def _key(home: Path, name: str) -> str:
    path = home / "keys" / name
    try:
        return path.read_text().strip()
    except OSError as error:
        raise PlatformError(
            f"{path} cannot be read: {error.strerror}.", hint="run it as the user who runs greenroom up"
        ) from error
