"""A separate process for test_rehearsal_kills: runs one rehearsal with slow dynos until it is killed."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path


def main() -> None:
    """argv: the rehearsal's id, the home. Prints ``ready`` when the work begins."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    import django

    django.setup()
    from django.conf import settings

    settings.INSTALLATION = {**settings.INSTALLATION, "postgres": "external"}
    from greenroom.app_migrations.actions import rehearsals
    from greenroom.app_migrations.models import Rehearsal
    from greenroom.engine.memory import MemoryEngine
    from tests.app_migrations.test_rehearsals import FORWARD, REVERSE, Tenant

    tenant = Tenant(Path(sys.argv[2]), {"forward": FORWARD, "reverse": REVERSE})

    def slow(spec):
        time.sleep(0.2)
        return tenant(spec)

    print("ready", flush=True)
    rehearsals.advance(
        rehearsal=Rehearsal.objects.get(pk=sys.argv[1]), engine=MemoryEngine(slow), home=Path(sys.argv[2])
    )


if __name__ == "__main__":
    main()
