"""The worker's side of one build as a separate process, for tests that kill it: ``python -m tests.builds.builder HOME
BUILD``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import django


def main() -> None:
    """Advance the build until it has ended."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    from greenroom.builds import steps
    from greenroom.builds.models import Build
    from greenroom.engine.local.client import LocalEngine

    home = Path(sys.argv[1])
    engine = LocalEngine(home)
    build = Build.objects.select_related("app").get(pk=sys.argv[2])
    while build.status == "pending":
        steps.advance(build=build, engine=engine, home=home, say=lambda text: None, config={})
        time.sleep(0.01)


if __name__ == "__main__":
    main()
