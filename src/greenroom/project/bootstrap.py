"""``greenroom up`` runs this before web and worker: it migrates the control plane's schema and creates the first
administrator.

An embedded installation migrates automatically; with an external PostgreSQL the operator must run the migrations.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path

import django
from django.core.management import call_command

from greenroom.basics.errors import GreenroomError, PlatformError


def main() -> int:
    """Returns 0 if the control plane may start, else 1 with one line on stderr."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    try:
        django.setup()
        from django.conf import settings

        _schema(settings.INSTALLATION, settings.HOME)
        _administrator(settings.HOME)
    except GreenroomError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _schema(installation: dict, home: Path) -> None:
    from django.db import connection
    from django.db.migrations.executor import MigrationExecutor

    executor = MigrationExecutor(connection)
    plan = executor.migration_plan(executor.loader.graph.leaf_nodes())
    if not plan:
        return
    fresh = not executor.loader.applied_migrations
    if installation["postgres"] == "embedded" or fresh:
        call_command("migrate", verbosity=0, interactive=False)
        return
    names = ", ".join(f"{migration.app_label}.{migration.name}" for migration, _ in plan)
    raise PlatformError(
        f"{len(plan)} migrations of Greenroom are pending: {names}.",
        hint=(
            'create a backup (pg_dump "$DATABASE_URL"), then, with the DATABASE_URL and SECRET_KEY of greenroom up: '
            f"GREENROOM_HOME={shlex.quote(str(home))} greenroom-admin migrate; then greenroom up"
        ),
    )


def _administrator(home: Path) -> None:
    """Create the first account. Writes its password to ``keys/admin.password``, its token to ``keys/admin.token``."""
    from greenroom.accounts import actions
    from greenroom.accounts.models import Account
    from greenroom.accounts.rules import FIRST, PLATFORM
    from greenroom.basics import ids

    keys = home / "keys"
    actions.follow_renames()
    account = Account.objects.filter(is_admin=True, is_active=True).order_by("created_at").first()
    if account is None:
        password = ids.new_secret(12)
        account = actions.create_account(
            actor=PLATFORM, email=FIRST, name="Administrator", password=password, is_admin=True
        )
        _write(keys / "admin.password", password)
    if not (keys / "admin.token").exists():
        _, plain = actions.create_token(actor=PLATFORM, account=account, description="created by greenroom up")
        _write(keys / "admin.token", plain)


def _write(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "w") as stream:
        stream.write(text + "\n")


if __name__ == "__main__":
    sys.exit(main())
