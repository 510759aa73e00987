"""A separate process for test_kills: takes a snapshot and restores another one, in a loop, until it is killed."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def main() -> None:
    """argv: the add-on's id, the snapshot's id, the home. Prints ``ready`` when the work begins."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from greenroom.accounts.rules import PLATFORM
    from greenroom.addons.models import Addon, Snapshot
    from greenroom.addons.postgres.actions import restores, snapshots

    addon, snapshot, home = Addon.objects.get(pk=sys.argv[1]), Snapshot.objects.get(pk=sys.argv[2]), Path(sys.argv[3])
    print("ready", flush=True)
    while True:
        restores.conclude(restore=restores.restore(actor=PLATFORM, addon=addon, snapshot=snapshot, home=home))
        snapshots.capture(actor=PLATFORM, addon=addon, home=home, kind="manual")


if __name__ == "__main__":
    main()
