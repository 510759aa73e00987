"""Runs one rehearsal in this process, from the database copy to the report. The worker calls it in its own thread.

The output of an interrupted rehearsal is discarded: the next attempt drops its copy and dynos and restarts.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from greenroom.addons import queries as addons
from greenroom.addons.contract import Copy
from greenroom.addons.models import Addon
from greenroom.addons.rules.access import APP, role_for
from greenroom.app_migrations import queries
from greenroom.app_migrations.drivers import recorder
from greenroom.app_migrations.drivers.probes import parts_of
from greenroom.app_migrations.drivers.script_dynos import errand
from greenroom.app_migrations.models import Rehearsal
from greenroom.app_migrations.rules import rehearsal as rules
from greenroom.app_migrations.rules.rehearsal_environment import isolated
from greenroom.apps.models import App
from greenroom.apps.queries import hostnames
from greenroom.basics.errors import PlatformError
from greenroom.buildpacks.rules.dyno_environment import command_argv, runtime_env
from greenroom.checks.builtin import environment
from greenroom.checks.builtin.results import left_json, why_ended
from greenroom.dynos.queries import dyno_specs
from greenroom.engine.contract import DynoSpec, DynoState, Engine
from greenroom.releases.models import Release
from greenroom.slugs.queries import buildpack_parts

BUDGET = 900.0
"""Timeout of the whole rehearsal, in seconds."""
PATIENCE = 30.0
TESTS_SECONDS = 60.0
"""Timeout of each test run, in seconds: a release may be waiting. The result of a longer run is unknown."""
LOOK = 0.1
PREFIX = "rehearse-"
COPYING = "copying the database"
BARE = "_bare"
"""Part of the file names of schema dumps of the copy."""
LIMITS = (
    "there was no traffic: waits for long queries were not measured",
    "the copy was new and in the cache: a large table may take longer",
    "the code had no network and no services other than the copy",
)
"""Limits of a rehearsal; part of each report."""


class BusyError(Exception):
    """The live database is being migrated or replaced, and a dump would block it. Nothing was done; retry later."""


def prefix_of(rehearsal: Rehearsal) -> str:
    """Prefix of the names of its dynos."""
    return f"{PREFIX}{rehearsal.pk.hex[:16]}-"


def busy(app: App) -> bool:
    """Whether a user is migrating the app's database, or it is being replaced.

    Both sides write first and check second: a migration writes its row and then waits for a copy (``let_copy_finish``);
    a rehearsal writes its copy step and then calls this function. One of the two sees the other.
    """
    return queries.open_runs().filter(app=app, exit_code=None).exists() or addons.replacing(app) is not None


class Run:
    """One attempt. Propagates the errors that prevent a result; call ``clean`` before and afterwards in any case.

    note: stores the current step.
    """

    def __init__(
        self, rehearsal: Rehearsal, addon: Addon, engine: Engine, home: Path, note: Callable[[str], None]
    ) -> None:
        self.rehearsal, self.addon, self.engine, self.home, self.note = rehearsal, addon, engine, home, note
        self.framework = queries.framework(rehearsal.release)
        self.schema = addons.schema_of(addon)
        self.copies = self.schema.copies
        self.until = time.monotonic() + BUDGET
        self.cells: dict[str, dict[str, Any]] = {}
        self.tests: dict[str, dict[str, Any]] = {"old_old": {}, "old_new": {}}
        self.folder = home / "run" / "rehearsals"
        self.clone: Copy

    def whole(self) -> dict[str, Any]:
        """The report: all steps in order."""
        began = time.monotonic()
        self.note(COPYING)
        if busy(self.rehearsal.app):
            raise BusyError
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.clone = self.copies.make(
            addon=self.addon, name=self.rehearsal.clone, folder=self.folder, deadline=self._left()
        )
        self.note("the copy is complete")
        if not self.clone.tables:
            return self._report({"status": "ok"}, {}, began)
        self._cell("old_old", "the old code on the old schema", self.rehearsal.previous)
        before = self._keep_schema()
        self._cell("new_old", "the new code on the old schema", self.rehearsal.release)
        forward = self._record("running the migrations", {"job": "forward"})
        if forward.get("status") == "error":
            raise PlatformError(f"The migrations could not be rehearsed: {str(forward.get('detail'))[:1000]}")
        reverse: dict[str, Any] = {}
        if forward.get("status") == "ok":
            self._cell("new_new", "the new code on the new schema", self.rehearsal.release)
            self._cell("old_new", "the old code on the new schema", self.rehearsal.previous)
            self._test(before)
            names = [str(one.get("name")) for one in forward.get("migrations") or () if isinstance(one, dict)]
            job = {
                "job": "reverse",
                "plan": names,
                "gone": forward.get("gone") or [],
                "added": forward.get("added") or [],
            }
            reverse = self._record("reversing the migrations", job).get("reverse") or {}
        return self._report(forward, reverse, began)

    def clean(self) -> None:
        """Remove its dynos and its copy. Idempotent; also cleans up after a killed process."""
        for state in self.engine.list():
            if state.id.startswith(prefix_of(self.rehearsal)):
                self.engine.forget(state.id)
        self.copies.drop(name=self.rehearsal.clone)
        for pattern in (f"{self.rehearsal.clone}.dump*", f"{self.rehearsal.clone}{BARE}-*.dump*"):
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)

    def _report(self, forward: dict[str, Any], reverse: dict[str, Any], began: float) -> dict[str, Any]:
        found = [rules.measured(one) for one in (forward.get("migrations") or ())[:500]]
        cells = rules.with_tests(rules.compare(self.cells), self.tests["old_old"], self.tests["old_new"])
        undone = {key: reverse[key] for key in ("done", "detail", "seconds", "differences") if key in reverse}
        return {
            "status": forward.get("status"),
            "detail": str(forward.get("detail") or "")[:2000],
            "plan": rules.plan_digest(map(asdict, found)),
            "migrations": [asdict(one) for one in found],
            "cells": cells,
            "reverse": undone,
            "limits": list(LIMITS),
            "bytes": self.clone.bytes,
            "tables": self.clone.tables,
            "seconds": {
                "dump": self.clone.dump_seconds,
                "load": self.clone.load_seconds,
                "whole": round(time.monotonic() - began, 2),
            },
        }

    def _left(self) -> float:
        left = self.until - time.monotonic()
        if left <= 1:
            raise PlatformError(
                f"The rehearsal took longer than {BUDGET / 60:.0f} minutes.",
                hint="rehearse the migrations in smaller steps",
            )
        return left

    def _cell(self, name: str, step: str, release: Release | None) -> None:
        """Try one release on the copy's present schema. Without a release there is no comparison."""
        if release is None or release.slug is None:
            self.cells[name] = {"state": "skipped", "detail": "there is no earlier release"}
            return
        self.note(f"trying {step}")
        settings = release.slug.settings
        names = hostnames(self.rehearsal.app)
        web, smoke = release.slug.process_types.get("web"), settings.get("smoke") or ""
        job = {
            "web": list(command_argv(web)) if web else [],
            "smoke": list(command_argv(smoke)) if smoke else [],
            "port": dyno_specs.PORT,
            "path": settings.get("health_path") or "/",
            "host": names[0],
            "known": names[1:],
            "patience": min(PATIENCE, self._left()),
        }
        lesser = role_for("web", settings.get("policy") or {}) == APP
        order = self._order(release, name, recorder.cell_script(job), lesser=lesser)
        order = replace(order, env={**order.env, "PORT": str(dyno_specs.PORT)})
        state = self._through(order)
        found = left_json(self.engine, order.id, "cell.json") or {}
        self.engine.forget(order.id)
        self.cells[name] = rules.cell(found, why_ended(state))

    def _keep_schema(self) -> Path | None:
        """Dump the schema before the migrations, for the old code's tests; None if no tests run."""
        release = self.rehearsal.previous
        if not rules.wants_tests(release.slug.settings if release and release.slug else None):
            return None
        target = self.folder / f"{self.rehearsal.clone}{BARE}-before.dump"
        self.copies.keep_schema(clone=self.clone, target=target, deadline=self._left())
        return target

    def _test(self, before: Path | None) -> None:
        """Run the old code's tests on an empty copy of the new schema and, if they fail, of the old schema.

        They replace the smoke command as the write test if greenroom.toml has none.
        """
        if before is None or self.cells["old_new"].get("state") != "ok":
            return
        after = self.folder / f"{self.rehearsal.clone}{BARE}-after.dump"
        self.copies.keep_schema(clone=self.clone, target=after, deadline=self._left())
        self.note("running the old code's tests on the new schema")
        self.tests["old_new"] = self._tests_on("old-new-tests", after)
        if self.tests["old_new"].get("state") == "fails":
            self.note("running the old code's tests on the old schema")
            self.tests["old_old"] = self._tests_on("old-old-tests", before)

    def _tests_on(self, part: str, schema: Path) -> dict[str, Any]:
        """The result of the old code's tests: {state: ok, fails or unknown, detail}."""
        release = self.rehearsal.previous
        assert release is not None
        assert release.slug is not None
        url = self.copies.make_bare(clone=self.clone, source=schema, deadline=self._left())
        job = {
            "command": environment.scripts(release.slug.app_json)[1],
            "database": url.rpartition("/")[2],
            "seconds": min(TESTS_SECONDS, self._left()),
        }
        order = self._order(release, part, recorder.tests_script(self.framework, job))
        config = environment.of_tests(
            app_json=release.slug.app_json,
            is_django=release.slug.is_django,
            addons={addons.service_of(self.addon).variable: url},
            marks={"CI": "true"},
            settings=environment.seen(release.app, self.home),
            folder=self.home / release.slug.folder,
        )
        memory_mb, parts = order.limits.quota_mb or order.limits.memory_mb, buildpack_parts(release.slug)
        env = runtime_env(config=config, process="test.1", memory_mb=memory_mb, parts=parts)
        state = self._through(replace(order, env=env))
        found = left_json(self.engine, order.id, "tests.json") or {
            "state": "unknown",
            "detail": why_ended(state),
        }
        self.engine.forget(order.id)
        return {key: found.get(key) for key in ("state", "detail")}

    def _record(self, step: str, job: dict[str, Any]) -> dict[str, Any]:
        self.note(step)
        order = self._order(
            self.rehearsal.release, job["job"], recorder.script(self.framework, {**job, "budget": self._left()})
        )
        found = recorder.answer(engine=self.engine, state=self._through(order))
        self.engine.forget(order.id)
        return found

    def _order(self, release: Release, part: str, script: bytes, *, lesser: bool = False) -> DynoSpec:
        """The spec of a dyno of the release that runs the script on the copy, without network or other services.

        lesser: with the privileges of the app's processes.
        """
        name = f"{prefix_of(self.rehearsal)}{self.rehearsal.attempts}-{part.replace('_', '-')}"
        order = errand(
            release=release,
            name=name,
            kind="rehearsal",
            ordinal=1,
            parts=parts_of(script),
            home=self.home,
            capacity=self.engine.capacity(),
            seconds=self._left(),
        )
        live = self.schema.urls(self.addon, self.home)
        env = isolated(order.env, live=live, clone=self.clone.app_url if lesser else self.clone.url)
        return replace(order, env=env, egress=False)

    def _through(self, order: DynoSpec) -> DynoState:
        """Start it and wait for its end; the engine enforces the timeout. PlatformError if the engine has lost it and
        does not learn in time whether it still runs.
        """
        state: DynoState | None = self.engine.start(order)
        while state is not None and not state.ended:
            if state.phase == "lost" and time.monotonic() > self.until:
                raise PlatformError("A dyno of the rehearsal was lost and may still run.", hint="rehearse again")
            time.sleep(LOOK)
            state = self.engine.describe(order.id)
        if state is None:
            raise PlatformError("A dyno of the rehearsal was removed while it ran.", hint="rehearse again")
        return state
