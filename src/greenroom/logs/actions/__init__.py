"""Adds the platform's own lines to an app's log; what dynos print is written by the engine."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from greenroom.apps.models import App
from greenroom.basics import logfile

log = logging.getLogger(__name__)


def say(*, app: App, home: Path, process: str, text: str, source: str = "heroku") -> None:
    """One line of the platform: ``heroku[web.1]: ...``, or with source ``app``: ``app[api]: ...``.

    Never fails its caller: what happened is in the rows, and a full disk must not stop a release.
    """
    try:
        logfile.append(str(home / app.log_folder), [(time.time(), source, process, text)])
    except OSError as error:
        log.warning("writing to the log of %s failed: %s", app.name, error)
