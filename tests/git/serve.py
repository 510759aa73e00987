"""Git over HTTP in a separate process, for tests that kill it or measure its memory: ``python -m tests.git.serve HOME
PORT``.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import django


def main() -> None:
    """Serve until killed; a pusher reads one line and then waits for the file ``HOME/go-on``."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"
    django.setup()
    import asyncio

    from tests.git.conftest import Server

    async def follow(push):
        yield f"-----> Push {push.seq} is on its way"
        while not (home / "go-on").exists():
            await asyncio.sleep(0.02)

    home = Path(sys.argv[1])
    server = Server(home)
    server.port = int(sys.argv[2])
    server.follow = follow
    server.start()
    server.thread.join()


if __name__ == "__main__":
    main()
