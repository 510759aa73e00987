"""The steps of one build. Each inspects the current state, takes one action or waits, and may be repeated after a
crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.db import DatabaseError, DataError

from greenroom.addons import queries as addons
from greenroom.basics import clock
from greenroom.basics.errors import PlatformError
from greenroom.basics.text import printable
from greenroom.buildpacks.drivers import interpreters
from greenroom.buildpacks.drivers.commit_files import Source
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import plan
from greenroom.buildpacks.rules.plan import Plan
from greenroom.buildpacks.rules.python_versions import OLDEST, Interpreter, NotHereError
from greenroom.builds.actions import note_trouble
from greenroom.builds.drivers import python_downloads
from greenroom.builds.drivers.test_environments import TestOverlay, prepare_test_overlay
from greenroom.builds.models import Build
from greenroom.builds.queries import generation
from greenroom.builds.rules import visible_config
from greenroom.builds.steps.install import Installing
from greenroom.builds.steps.node import Choosing
from greenroom.builds.steps.part import Failed
from greenroom.builds.steps.readiness import Telling
from greenroom.builds.steps.sources import Gathering
from greenroom.builds.steps.store import Storing
from greenroom.engine.contract import DynoSpec, Engine
from greenroom.slugs.drivers import store

__all__ = ["Failed", "Steps", "TestOverlay", "advance", "prepare_test_overlay"]
logger = logging.getLogger(__name__)
PATIENCE = 120.0
"""Seconds to retry after platform errors (an engine that restarts, a full disk) before a build counts as errored."""


class Steps(Gathering, Choosing, Installing, Telling, Storing):
    """One build from its commit to its slug."""

    def take(self) -> bool:
        """Execute the step of the current phase. True: continue with the next one; False: wait for the next call."""
        table = {
            "prepare": self.prepare,
            "tree": self.tree,
            "node": self.node,
            "hook": self.hook,
            "python": self.fetch,
            "install": self.install,
            "compile": self.told_compile,
            "store": self.store,
        }
        return table[self.build.phase]()

    def told_compile(self) -> bool:
        """Say once what the app lacks, then build its tree."""
        if not self.facts.get("told"):
            self.tell_lacks()
            return self.go("compile", told=True)
        return self.compile()

    # -- the plan ------------------------------------------------------------------------------------------------------

    def plan_from(self, tar: str) -> bool:
        """Plan the build of a tar below the home."""
        whole = Source(self.home / tar)
        settings = plan.settings_of(whole)
        whole.close()
        return self._begun(tar, settings)

    def _begun(self, tar: str, settings: dict[str, Any]) -> bool:
        """Choose the buildpacks and Node.js; if that must be downloaded, wait for it."""
        self.facts["generation"] = generation(self.build.app)
        self.facts["listed"] = list(visible_config.names(self.build.app.settings))
        source = Source(self.home / tar, settings["root"])
        try:
            self.choose_buildpacks(source)
            left_out = plan.begin(source)
            self.say("-----> Python app detected")
            self.tell_unasked(source)
            self.choose_apt(source)
            self.choose_node(source)
            if self.node_is_here():
                return self._hook_or_plan(source, tar, settings, left_out)
        finally:
            source.close()
        node = self.facts["node"]
        self.say(f"-----> Installing Node.js {node['version']}, which is missing on this host")
        node = {**node, "since": clock.now().timestamp(), "told": 0}
        return self.go("node", source=tar, root=settings["root"], settings=settings, ignored=list(left_out), node=node)

    def node(self) -> bool:
        """Wait for Node.js, then plan the build."""
        if not self.await_node():
            return False
        source = Source(self.home / self.facts["source"], self.facts["root"])
        try:
            source.leave_out(self.facts["ignored"])
            settings, left_out = self.facts["settings"], tuple(self.facts["ignored"])
            return self._hook_or_plan(source, self.facts["source"], settings, left_out)
        finally:
            source.close()

    def _hook_or_plan(self, source: Source, tar: str, settings: dict[str, Any], left_out: tuple[str, ...]) -> bool:
        """With bin/pre_compile, run the hook first, under any Python; the plan uses the tree that it leaves."""
        if not plan.has_pre_compile(source):
            return self._plan(source, tar, settings["root"], settings, left_out)
        return self.go(
            "hook",
            source=tar,
            root=settings["root"],
            settings=settings,
            python=asdict(self._any_python()),
            ignored=list(left_out),
            install={},
            hooked=True,
        )

    def _any_python(self) -> Interpreter:
        found = [it for it in interpreters.find(home=self.home) if it.minor >= OLDEST]
        if not found:
            raise PlatformError("This host has no suitable Python.", hint="greenroom doctor")
        return found[-1]

    def _plan(self, source: Source, tar: str, root: str, settings: dict[str, Any], left_out: tuple[str, ...]) -> bool:
        """Plan the build and choose its Python. Downloads a missing version first, if possible."""
        try:
            made = plan.make(
                source,
                settings=settings,
                interpreters=interpreters.find(home=self.home),
                cached=self._last_python(),
                attached=addons.attached_to(self.build.app),
            )
        except NotHereError as error:
            if self._worth_fetching(error.wanted):
                return self._to_fetch(error.wanted, True, tar, root, settings, left_out)
            raise self._not_had(error) from error
        if made.better and self._worth_fetching(made.better):
            return self._to_fetch(made.better, False, tar, root, settings, left_out)
        self._announce(made)
        return self.go(
            "install",
            source=tar,
            root=root,
            settings=settings,
            python=asdict(made.python),
            process_types=made.process_types,
            app_json=made.app_json,
            ignored=list(left_out),
            post_compile=made.post_compile,
            nltk=made.nltk,
            secret_key=plan.needed_secret(source, self.config.get("DJANGO_SETTINGS_MODULE", "")),
            install={key: value for key, value in asdict(made.install).items() if key != "files"},
            files=made.install.files,
        )

    def _worth_fetching(self, version: str) -> bool:
        tried = (self.facts.get("fetch") or {}).get("version")
        return python_downloads.allowed() and tried != version and not python_downloads.why_not(self.home, version)

    def _to_fetch(
        self, version: str, eager: bool, tar: str, root: str, settings: dict[str, Any], left_out: tuple[str, ...]
    ) -> bool:
        self.say(f"-----> Installing Python {version}, which is missing on this host")
        asked = {"version": version, "eager": eager, "since": clock.now().timestamp(), "told": 0}
        return self.go("python", source=tar, root=root, settings=settings, ignored=list(left_out), fetch=asked)

    def fetch(self) -> bool:
        """Wait for uv to download a Python that the host lacks, then plan the build with or without it."""
        asked = self.facts["fetch"]
        if not python_downloads.fetch(self.home, asked["version"], eager=asked["eager"]):
            self._still(asked)
            return False
        why = python_downloads.why_not(self.home, asked["version"])
        if why:
            self.say(self.mask("\n".join(f"       {line}" for line in f"The installation failed: {why}".splitlines())))
        source = Source(self.home / self.facts["source"], self.facts["root"])
        try:
            source.leave_out(self.facts["ignored"])
            return self._plan(
                source, self.facts["source"], self.facts["root"], self.facts["settings"], tuple(self.facts["ignored"])
            )
        finally:
            source.close()

    def _still(self, asked: dict[str, Any]) -> None:
        """Print a progress line every ten seconds."""
        seconds = int(clock.now().timestamp() - asked["since"])
        if seconds >= asked["told"] + 10:
            self.say(f"       ... {seconds} s")
            self.go("python", fetch={**asked, "told": seconds})

    def _not_had(self, error: NotHereError) -> BuildError:
        """The error for a missing Python, with the reason of the failed download."""
        why = python_downloads.why_not(self.home, error.wanted) or (
            ""
            if python_downloads.allowed()
            else f"the operator has switched downloads off ({python_downloads.SETTING})"
        )
        if not why:
            return error
        return BuildError(error.reason, self.mask(f"{error.message}\nThe download failed: {why}."), hint=error.hint)

    def _announce(self, made: Plan) -> None:
        for line in made.lines:
            self.say(f"-----> {line}")
        for warning in made.warnings:
            self.say("\n".join(["", *(f" !     {line}" for line in warning.splitlines()), " "]))

    def _last_python(self) -> tuple[int, int] | None:
        """(3, N) of the app's last successful build, for an app that names no version."""
        last = Build.objects.filter(app_id=self.build.app_id, status="succeeded").order_by("-created_at").first()
        known = (last.facts.get("python") or {}).get("version") if last else None
        return (known[0], known[1]) if known else None

    def hook(self) -> bool:
        """Run bin/pre_compile, which may write the dependency files: the plan and the build use its tree."""

        def order(name: str) -> DynoSpec:
            job = {"root": self.facts["root"], "ignored": self.facts["ignored"], "phase": "pre", "writable": False}
            return self._compile_spec(name, job, env="", hooks=True)

        if self.watch("pre", order) is None:
            return False
        if self.node_job("pre"):
            self.facts["node_done"] = True
        tar = f"sources/{self.build.id.hex}.tar"
        if not (self.home / tar).exists():
            with self.engine.tree(self.current("pre"), "out") as left:
                if left is None:
                    raise PlatformError("The tree from bin/pre_compile was not found.", hint="push again")
                store.keep_file(left / "source.tar", self.home / tar)
        source = Source(self.home / tar)
        try:
            return self._plan(source, tar, "", self.facts["settings"], ())
        finally:
            source.close()


def advance(
    *, build: Build, engine: Engine, home: Path, say: Callable[[str], None], config: Mapping[str, str] | None = None
) -> Build:
    """Advance the build as far as possible without waiting. Call it again until ``status`` is not pending.

    say:    takes lines for the pusher. A crash may repeat lines, but never loses any.
    config: the app's config vars in clear text; hooks and collectstatic have them all, installers those that
    ``visible_config`` allows.
    """
    steps = Steps(build=build, engine=engine, home=home, say=say, config=config or {})
    try:
        while build.status == "pending" and steps.take():
            pass
    except BuildError as error:
        _end(steps, "failed", error.reason, error.message, error.hint)
    except Failed as failure:
        status = failure.ended.kind if failure.ended.kind in ("failed", "cancelled") else "errored"
        _end(steps, status, failure.ended.reason, failure.ended.message, failure.ended.hint)
    except (PlatformError, OSError) as error:
        _trouble(steps, error)
    except DataError:  # a value that no row can hold: a retry would fail again
        logger.exception("build %s of %s", build.id, build.app.name)
        build.refresh_from_db()
        _end(steps, "errored", "build::platform", *_own_fault(build))
    except DatabaseError:
        raise
    except Exception:
        logger.exception("build %s of %s", build.id, build.app.name)
        _end(steps, "errored", "build::platform", *_own_fault(build))
    else:
        if build.status != "pending":
            steps.forget()
    return build


def _own_fault(build: Build) -> tuple[str, str]:
    """The message and hint of an internal error."""
    text = "Internal error of Greenroom during this build. See Greenroom's log."
    return text, f"report this to the operator: build {build.id}"


def _end(steps: Steps, status: str, reason: str, message: str, hint: str) -> None:
    steps.conclude(
        status=status,
        failure_reason=_plain(reason)[:80],
        failure_message=_plain(steps.mask(message)),
        failure_hint=_plain(hint),
    )
    steps.forget()


def _plain(text: str) -> str:
    """Make the text valid for a row and printable on a terminal, since build output may contain anything."""
    return printable(text.replace("\0", "\u2400"), instead="?")


def _trouble(steps: Steps, error: PlatformError | OSError) -> None:
    """Retry after a platform error; fail the build after PATIENCE seconds."""
    build, now = steps.build, clock.now().timestamp()
    since = build.facts.get("trouble", now)
    logger.warning("build %s of %s: %s", build.id, build.app.name, error)
    if now - since > PATIENCE:
        message = (
            error.message
            if isinstance(error, PlatformError)
            else f"The platform's disk or engine failed: {error.strerror}."
        )
        _end(steps, "errored", "build::platform", message, getattr(error, "hint", "") or "greenroom doctor")
        return
    if "trouble" in build.facts:
        return
    note_trouble(build=build, since=since)
