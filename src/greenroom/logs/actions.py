"""Adds the platform's own lines to an app's log."""

from __future__ import annotations

import time
from pathlib import Path

from greenroom.apps.models import App
from greenroom.basics import logfile


def say(*, app: App, home: Path, process: str, text: str, source: str = "heroku") -> None:
    """One line from the platform: ``heroku[web.1]: ...`` or, with source ``app``, ``app[api]: ...``. Never fails its caller."""
    folder = home / app.log_folder
    try:
        folder.mkdir(mode=0o2770, parents=True, exist_ok=True)
        logfile.append(str(folder), [(time.time(), source, process, text)])
    except OSError:
        return
