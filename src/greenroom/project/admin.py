"""``greenroom-admin``: Django's management commands for the control plane, such as ``migrate``."""

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
    """The missing environment variables of the settings, read from the installation's home like ``greenroom up`` does.
    Raises PlatformError.
    """
    home = Path(env.get("GREENROOM_HOME") or Path.home() / ".greenroom").absolute()
    if not (home / "installation.json").exists():
        raise PlatformError(
            f"No installation found in {home}.",
            hint="set GREENROOM_HOME=DIR to use another one, or create one with greenroom up",
        )
    found = {"GREENROOM_HOME": str(home)}
    if not env.get("SECRET_KEY"):
        found["SECRET_KEY"] = _key(home, "secret.key")
    if env.get("DATABASE_URL"):
        return found
    installation = read_installation(home)
    if installation["postgres"] != "embedded":
        text = f"DATABASE_URL is not set, and the installation in {home} uses an external PostgreSQL."
        raise PlatformError(text, hint="export DATABASE_URL=... as for greenroom up, then run the command again")
    password = quote(_key(home, "platform.password"), safe="")
    return found | {"DATABASE_URL": f"postgres://greenroom:{password}@127.0.0.1:{installation['pg_port']}/greenroom"}


def _key(home: Path, name: str) -> str:
    path = home / "keys" / name
    try:
        return path.read_text().strip()
    except OSError as error:
        raise PlatformError(
            f"Cannot read {path}: {error.strerror}.", hint="run the command as the user who runs greenroom up"
        ) from error
