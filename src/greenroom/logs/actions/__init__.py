"""Adds the platform's lines to an app's log. The engine writes the output of dynos."""

from __future__ import annotations

import logging
import time
from pathlib import Path

from greenroom.apps.models import App
from greenroom.basics import logfile

log = logging.getLogger(__name__)


def say(*, app: App, home: Path, process: str, text: str, source: str = "heroku") -> None:
    """Append a line of the platform: ``heroku[web.1]: ...``, or with source ``app``: ``app[api]: ...``.

    Never fails the caller: the rows record the event, and a full disk must not stop a release.
    """
    try:
        logfile.append(str(home / app.log_folder), [(time.time(), source, process, text)])
    except OSError as error:
        log.warning("writing to the log of %s failed: %s", app.name, error)
