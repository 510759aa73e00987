"""The steps of one build: each looks at what is there, does one thing or finds that it has to wait, and may be repeated after a crash."""

from __future__ import annotations

import os
from dataclasses import asdict
from typing import Any

from greenroom.basics.errors import PlatformError
from greenroom.buildpacks import interpreters, plan
from greenroom.buildpacks.plan import Plan
from greenroom.buildpacks.source import Source
from greenroom.buildpacks.versions import OLDEST, Interpreter
from greenroom.builds import visible
from greenroom.builds.installing import Installing
from greenroom.builds.models import Build
from greenroom.builds.part import Failed
from greenroom.builds.queries import generation
from greenroom.builds.storing import Storing
from greenroom.engine.contract import DynoSpec, scratch_folder
from greenroom.git.queries import archive
from greenroom.slugs import store

__all__ = ["Failed", "Steps"]


class Steps(Installing, Storing):
    """One build from its commit to its slug."""

    def take(self) -> bool:
        """Carry out the step of the build's phase. True: go on with the next one; False: nothing to do before the next call."""
        table = {"prepare": self.prepare, "hook": self.hook, "install": self.install, "compile": self.compile, "store": self.store}
        return table[self.build.phase]()

    # -- prepare: the commit's files, the plan ---------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Read the commit and decide what to do with it."""
        tar = f"sources/{self.build.commit}.tar"
        path = self.home / tar
        if not path.exists():
            path.parent.mkdir(mode=0o755, exist_ok=True)
            archive(self.build.app, self.home, self.build.commit, path)
        else:
            os.utime(path)  # so that nobody takes it for one that was left behind
        whole = Source(path)
        settings = plan.settings_of(whole)
        whole.close()
        self.say("-----> Building on the Greenroom-1 stack\n-----> Using buildpack: heroku/python")
        return self._begun(tar, settings)

    def _begun(self, tar: str, settings: dict[str, Any]) -> bool:
        """With bin/pre_compile nothing is decided yet: it runs first, under any Python, and what it leaves is planned."""
        self.facts["generation"] = generation(self.build.app)
        self.facts["listed"] = list(visible.names(self.build.app.settings))
        source = Source(self.home / tar, settings["root"])
        try:
            left_out = plan.begin(source)
            self.say("-----> Python app detected")
            if not plan.has_pre_compile(source):
                return self._plan(source, tar, settings["root"], settings, left_out)
        finally:
            source.close()
        return self.go(
            "hook", source=tar, root=settings["root"], settings=settings, python=asdict(self._any_python()), ignored=list(left_out), install={}, hooked=True
        )  # fmt: skip

    def _any_python(self) -> Interpreter:
        found = [it for it in interpreters.find() if it.minor >= OLDEST]
        if not found:
            raise PlatformError("This host has no Python that can build.", hint="greenroom doctor")
        return found[-1]

    def _plan(self, source: Source, tar: str, root: str, settings: dict[str, Any], left_out: tuple[str, ...]) -> bool:
        made = plan.make(source, settings=settings, interpreters=interpreters.find(), cached=self._last_python())
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
            install={key: value for key, value in asdict(made.install).items() if key != "files"},
            files=made.install.files,
        )

    def _announce(self, made: Plan) -> None:
        for line in made.lines:
            self.say(f"-----> {line}")
        for warning in made.warnings:
            self.say("\n".join(["", *(f" !     {line}" for line in warning.splitlines()), " "]))

    def _last_python(self) -> tuple[int, int] | None:
        """3.N of the app's last good build, for an app that names no version."""
        last = Build.objects.filter(app_id=self.build.app_id, status="succeeded").order_by("-created_at").first()
        known = (last.facts.get("python") or {}).get("version") if last else None
        return (known[0], known[1]) if known else None

    def hook(self) -> bool:
        """bin/pre_compile may write the dependency files: its tree is what gets planned and built."""

        def order(name: str) -> DynoSpec:
            job = {"root": self.facts["root"], "ignored": self.facts["ignored"], "phase": "pre", "writable": False}
            return self._compile_spec(name, job, env="", hooks=True)

        if self.watch("pre", order) is None:
            return False
        tar = f"sources/{self.build.id.hex}.tar"
        made = self.home / scratch_folder(self.current("pre"), "out") / "source.tar"
        if not (self.home / tar).exists():
            store.keep_file(made, self.home / tar)
        source = Source(self.home / tar)
        try:
            return self._plan(source, tar, "", self.facts["settings"], ())
        finally:
            source.close()
