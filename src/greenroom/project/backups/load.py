"""``greenroom restore`` runs this as the control plane's user, while only PostgreSQL and the engine's program run: it
loads a verified set into an empty installation.

Reads its task as JSON from stdin; progress goes to stderr, the result to stdout.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import django

from greenroom.basics.errors import GreenroomError, PlatformError, UserError
from greenroom.project.backups import archives, manifest
from greenroom.project.backups.manifest import failure

TREES = ("slugs", "envs", "pythons", "tools")


def main() -> int:
    """Returns 0 with ``{"apps"}`` on stdout, else 1 with ``failure``."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    os.umask(0o022)
    django.setup()
    task = json.load(sys.stdin)
    try:
        print(json.dumps(run(manifest.read(Path(task["folder"])))))
    except (GreenroomError, OSError) as error:
        print(failure(error))
        return 1
    return 0


def say(text: str) -> None:
    """One line of progress."""
    print(f"-----> {text}", file=sys.stderr, flush=True)


def run(it: manifest.Set) -> dict[str, Any]:
    """Load everything: the control database first, because it names the rest. GreenroomError, OSError."""
    from django.conf import settings

    home = settings.HOME
    _control(it)
    trees = [name for name in it.files if name.partition("/")[0] in TREES]
    for name in trees:
        archives.unpack(it.folder / name, home)
    say(f"code: {len(trees)} slugs, environments and interpreters")
    _repositories(it, home)
    _addons(it, home)
    _settle(it)
    return {"apps": len(it.data["apps"])}


def _control(it: manifest.Set) -> None:
    """Load the control database, and migrate it if the set is of an older version."""
    from django.core.management import call_command
    from django.db import connection
    from django.db.migrations.loader import MigrationLoader

    from greenroom.project.backups import copying

    if connection.introspection.table_names():
        name = connection.settings_dict["NAME"]
        raise UserError(f"The database {name} is not empty.", hint="restore into a new home, with an empty database")
    known = {".".join(key) for key in MigrationLoader(None, ignore_no_migrations=True).disk_migrations}
    unknown = [name for name in it.data["migrations"] if name not in known]
    if unknown:
        raise UserError(
            f"The set was made by a newer version of Greenroom ({it.data['greenroom']}): this one does not know its"
            f" migration {unknown[-1]}.",
            hint="restore it with that version or a newer one",
        )
    copying.load_control(it.folder / copying.CONTROL)
    call_command("migrate", verbosity=0, interactive=False)
    say(f"control database: {len(it.data['apps'])} apps")


def _repositories(it: manifest.Set, home: Path) -> None:
    from greenroom.apps.models import App
    from greenroom.git import actions
    from greenroom.git.drivers import bundles

    apps = list(App.objects.order_by("number"))
    for app in apps:
        repo = actions.create_repository(app=app, home=home)
        bundle, files = f"repos/{app.pk.hex}.bundle", f"repos/{app.pk.hex}.files.tar.gz"
        if bundle in it.files:
            bundles.load(repo, it.folder / bundle)
        if files in it.files:
            archives.unpack(it.folder / files, home)
    say(f"repositories: {len(apps)}")


def _addons(it: manifest.Set, home: Path) -> None:
    from greenroom.accounts.rules import PLATFORM
    from greenroom.addons import registry
    from greenroom.deliveries.actions.addon_lifecycle import readdress
    from greenroom.project.backups import contents

    count = 0
    for addon in contents.provisioned():
        prefix = f"addons/{addon.pk.hex}/"
        backups = registry.kind(addon.kind).backups
        for name in [name for name in it.files if name.startswith(prefix)] if backups else ():
            assert backups
            try:
                backups.load(addon=addon, part=name.removeprefix(prefix), home=home, source=it.folder / name)
            except GreenroomError as error:
                raise PlatformError(f"The data of {addon.name} ({addon.app.name}): {error.message}") from error
            count += 1
        readdress(actor=PLATFORM, addon=addon, home=home)
    say(f"data of add-ons: {count}")


def _settle(it: manifest.Set) -> None:
    """End what cannot continue here, and record the restore."""
    from django.db import transaction

    from greenroom.accounts.actions import audit
    from greenroom.accounts.rules import PLATFORM
    from greenroom.addons.actions.interrupted import end_interrupted

    ended = end_interrupted()
    with transaction.atomic():
        detail = {"backup": it.data["created_at"], "apps": len(it.data["apps"]), "interrupted": ended}
        audit(actor=PLATFORM, action="backup.restore", detail=detail)


if __name__ == "__main__":
    sys.exit(main())
