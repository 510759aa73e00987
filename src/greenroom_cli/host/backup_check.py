"""The check of ``doctor`` for backups: whether the last one succeeded, its age, and where its passphrase is."""

from __future__ import annotations

import time
from pathlib import Path

from greenroom.basics import backup_record
from greenroom.basics.backup_record import Outcome


def look(home: Path) -> tuple[str, str, str]:
    """(level, text, remedy) of the home's backups."""
    record = backup_record.read(home)
    if record.last is None:
        text = f"none yet; if {home}/keys/master.key is lost, so are all config vars"
        return "warn", text, f"greenroom backup --home {home} (docs/howto/back-up.md)"
    if record.last.state in ("failed", "interrupted"):
        good = record.succeeded
        since = f"; the last good one is {_age(good)} old" if good else "; there is no good one"
        return "fail", f"{record.last.state}: {record.last.error[:300]}{since}", f"greenroom backup --home {home}"
    good = record.succeeded
    if good is None:
        return "ok", "the first one is running", ""
    text = f"{_age(good)} old, {good.bytes / 1e6:.1f} MB, {good.path}"
    if not Path(good.path).exists():
        return "fail", f"{text}: the set is gone", f"greenroom backup --home {home}"
    if time.time() - good.ended > backup_record.STALE:
        return "warn", text, f"greenroom backup --home {home}, each night by a timer (docs/howto/back-up.md)"
    if good.origin == "generated":
        remedy = f"copy it elsewhere, then: greenroom backup --home {home} --passphrase-file COPY"
        return "warn", f"{text}; its passphrase is only in {home}/keys/backup.passphrase", remedy
    return "ok", text, ""


def _age(good: Outcome) -> str:
    hours = (time.time() - good.ended) / 3600
    return f"{hours / 24:.1f} days" if hours >= 48 else f"{hours:.1f} hours"
