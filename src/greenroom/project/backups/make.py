"""``greenroom backup`` runs this as the control plane's user: makes one set, verifies it and removes old ones.

Reads its task as JSON from stdin, because it contains a passphrase; progress goes to stderr, the result to stdout.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import django

from greenroom.basics import postgres_programs, processes
from greenroom.basics.errors import GreenroomError, PlatformError
from greenroom.project.backups import archives, manifest, sealed
from greenroom.project.backups.manifest import failure

PASSES = 4
SEALED = ("keys", "caddy")


def main() -> int:
    """Returns 0 with ``{"path", "bytes", "seconds", "removed"}`` on stdout, else 1 with ``failure``."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "greenroom.project.settings")
    os.umask(0o077)
    django.setup()
    task = json.load(sys.stdin)
    try:
        print(json.dumps(run(task)))
    except (GreenroomError, OSError) as error:
        _audit("fail", {"reason": str(getattr(error, "message", error))[:300]})
        print(failure(error))
        return 1
    return 0


def say(text: str) -> None:
    """One line of progress."""
    print(f"-----> {text}", file=sys.stderr, flush=True)


def run(task: dict[str, Any]) -> dict[str, Any]:
    """Make, verify and rename the set; then apply the retention. GreenroomError, OSError."""
    from django.conf import settings

    started, target = time.monotonic(), Path(task["target"])
    for left in target.glob(f"*{manifest.PART}"):  # of a backup that was killed; the host's lock lets only one run
        shutil.rmtree(left, ignore_errors=True)
    older = manifest.sets(target)
    name = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    draft = target / (name + manifest.PART)
    draft.mkdir(mode=0o700)
    try:
        it = _fill(settings.HOME, draft, _newest(older), task["passphrase"])
        manifest.verify(it, say)
        _check_dumps(it)
        _flush(draft)
        draft.rename(target / name)
    except BaseException:
        shutil.rmtree(draft, ignore_errors=True)
        raise
    removed = retain(target, keep=int(task["keep"]))
    path = str(target / name)
    _audit("create", {"path": path, "bytes": it.bytes, "apps": len(it.data["apps"])})
    seconds = round(time.monotonic() - started, 1)
    return {"path": path, "bytes": it.bytes, "seconds": seconds, "apps": len(it.data["apps"]), "removed": removed}


def _newest(older: list[Path]) -> manifest.Set | None:
    try:
        return manifest.read(older[-1]) if older else None
    except GreenroomError:
        return None


def _fill(home: Path, draft: Path, earlier: manifest.Set | None, passphrase: str) -> manifest.Set:
    """Dump the control database, then copy what it refers to; again from the dump, if something vanished meanwhile."""
    from greenroom.project.backups import copying

    copier = copying.Pass(home, draft, earlier, say)
    for number in range(1, PASSES + 1):
        found = copying.dump_listed(draft / copying.CONTROL, home)
        say(f"control database: {(draft / copying.CONTROL).stat().st_size / 1e6:.1f} MB, {len(found.apps)} apps")
        try:
            copier.copy(found)
            break
        except copying.VanishedError as error:
            if number == PASSES:
                raise PlatformError(
                    f"Data was removed during each of {PASSES} attempts to copy it, last: {error}.",
                    hint="run the backup again",
                ) from error
            say(f"starting again, because something was removed meanwhile: {error}")
    _drop_unnamed(draft, copier.wanted)
    paths = sorted(str(path.relative_to(draft)) for path in draft.rglob("*") if path.is_file())
    data = {
        "format": manifest.FORMAT,
        "greenroom": importlib.metadata.version("greenroom"),
        "created_at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "migrations": found.migrations,
        "server_major": found.server_major,
        "apps": found.apps,
        "settings": json.loads((home / "installation.json").read_text()),
        "files": {path: manifest.facts(draft / path) for path in paths},
    }
    content = archives.pack_keys(home, SEALED)
    (draft / manifest.KEYS).write_bytes(sealed.seal(content, passphrase=passphrase, bound_to=manifest.bound(data)))
    manifest.write(draft, {**data, "keys": manifest.facts(draft / manifest.KEYS)})
    return manifest.read(draft)


def _drop_unnamed(draft: Path, wanted: set[str]) -> None:
    """Remove files of an earlier pass whose app or slug has gone."""
    for path in [path for path in draft.rglob("*") if path.is_file()]:
        if str(path.relative_to(draft)) not in wanted:
            path.unlink()


def _check_dumps(it: manifest.Set) -> None:
    """Let pg_restore read the table of contents of each dump. PlatformError."""
    folder = postgres_programs.folder("pg_restore")
    for path in it.files:
        with (it.folder / path).open("rb") as file:
            dump = file.read(5) == b"PGDMP"
        if dump and folder:
            argv = [str(folder / "pg_restore"), "--list", "--file=/dev/null", str(it.folder / path)]
            result = processes.run(argv, timeout=600, env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"}, limit=20_000)
            if result.code or result.timed_out:
                raise manifest.damaged(it.folder / path, result.err.decode(errors="replace").strip()[:200])


def _flush(draft: Path) -> None:
    """Flush the set to the disk before its rename."""
    from greenroom.basics import atomic

    for path in sorted(draft.rglob("*")):
        atomic.sync_path(path)
    atomic.sync_path(draft)


def retain(target: Path, *, keep: int) -> list[str]:
    """Remove all but the newest ``keep`` sets; returns the names of the removed ones."""
    old = manifest.sets(target)[: -max(1, keep)]
    for path in old:
        gone = path.with_name(path.name + ".gone" + manifest.PART)
        path.rename(gone)  # a set is whole or not there
        shutil.rmtree(gone, ignore_errors=True)
    return [path.name for path in old]


def _audit(end: str, detail: dict[str, Any]) -> None:
    """Add the outcome to the audit log, if the database answers."""
    import contextlib

    from django.db import Error, transaction

    from greenroom.accounts.actions import audit
    from greenroom.accounts.rules import PLATFORM

    with contextlib.suppress(Error, GreenroomError, OSError), transaction.atomic():
        audit(actor=PLATFORM, action=f"backup.{end}", detail=detail)


if __name__ == "__main__":
    sys.exit(main())
