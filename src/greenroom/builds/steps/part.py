"""State and helpers of all build steps: the row, the engine, starting and watching dynos."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from greenroom.buildpacks.rules import pins, plan
from greenroom.buildpacks.rules.dependency_files import TOOLS
from greenroom.buildpacks.rules.dyno_environment import APT, APT_TREE, NODE, apt_folders
from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.builds.actions import conclude, note_step
from greenroom.builds.drivers import apt_host, dyno_output, dyno_specs, environments, leftovers, node_downloads, tools
from greenroom.builds.models import Build
from greenroom.builds.rules import (
    MAX_LOST,
    Ended,
    dyno_id,
    dyno_ids,
    ended,
    masked,
    masked_result,
    secret_words,
    visible_config,
)
from greenroom.engine import names
from greenroom.engine.contract import DynoSpec, Engine, Mount

Say = Callable[[str], None]
CLOSED = "-----> Egress is closed: hooks and scripts reach only the allowed targets (greenroom egress -a {})"


class Failed(Exception):  # noqa: N818 -- a value that is raised, not an error of ours
    """Ends the build without success, with the result ``ended``."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.message)
        self.ended = ended


@dataclass
class Part:
    """One build, with the dependencies of its steps."""

    build: Build
    engine: Engine
    home: Path
    say: Say
    config: Mapping[str, str]

    @property
    def facts(self) -> dict[str, Any]:
        """The facts of earlier steps; JSON in the build's row."""
        return self.build.facts

    @property
    def python(self) -> Interpreter:
        """The chosen interpreter."""
        known = self.facts["python"]
        return Interpreter(tuple(known["version"]), known["path"], known["prefix"])

    def go(self, phase: str, **facts: Any) -> bool:
        """Save facts and the next phase."""
        note_step(build=self.build, phase=phase, facts=facts)
        return True

    # -- dynos ---------------------------------------------------------------------------------------------------------

    def watch(self, part: str, order: Callable[[str], DynoSpec]) -> Ended | None:
        """Start the part's dyno unless it was started, and print its output. Returns its end, or None while it runs."""
        name = dyno_id(self.build.id.hex, part, self.facts.get("lost", 0))
        state = self.engine.describe(name)
        if state is None:
            if not Build.objects.filter(pk=self.build.pk, status="pending").exists():
                raise Failed(Ended("cancelled"))
            spec = order(name)
            if spec.allowed is not None:
                self.say(CLOSED.format(self.build.app.name))
            state = self.engine.start(spec)
        over = state.ended
        self._pass_on(name, over)
        if not over:
            return None
        verdict = ended(
            phase=state.phase,
            exit_code=state.exit_code,
            reason=state.reason,
            detail=state.detail,
            result=masked_result(environments.result(self.engine, name), self.mask),
            memory_mb=dyno_specs.MEMORY_MB,
            minutes=dyno_specs.SECONDS / 60,
        )
        if verdict.kind == "lost" and self.facts.get("lost", 0) < MAX_LOST:
            self.go(self.build.phase, lost=self.facts.get("lost", 0) + 1)
            return None
        if verdict.kind in ("failed", "errored", "lost"):
            raise Failed(verdict)
        return verdict

    def _pass_on(self, name: str, over: bool) -> None:
        """Print the dyno's new output: a part of it, or the whole rest if ``over``."""
        while True:
            seen = self.facts.get("seen", {})
            others = sum(min(place, dyno_output.MOST) for dyno, place in seen.items() if dyno != name)
            most = max(dyno_output.MOST - others, dyno_output.CHUNK)
            text, offset = dyno_output.new_lines(self.engine, name, seen.get(name, 0), over, most, self.mask)
            if offset == seen.get(name, 0):
                return
            if text:
                self.say(text)
            self.go(self.build.phase, seen={**seen, name: offset})
            if not over:
                return

    @property
    def listed(self) -> tuple[str, ...]:
        """Names of config vars that installers may read, as of the start of the build."""
        return tuple(self.facts.get("listed", ()))

    def mask(self, text: str) -> str:
        """Mask credentials and secrets in all text for users, see ``visible_config.hidden``."""
        known = (
            *visible_config.hidden(self.config, self.listed),
            *dyno_specs.passwords(self.config),
            *secret_words([*tools.index_settings().values(), *tools.npm_settings().values()]),
            *tools.npm_secrets(),
        )
        return masked(text, known)

    def current(self, part: str) -> str:
        """The engine id of the part's dyno."""
        return dyno_id(self.build.id.hex, part, self.facts.get("lost", 0))

    def _compile_spec(self, name: str, job: dict[str, Any], env: str, *, hooks: bool) -> DynoSpec:
        job["node"], job["apt"] = self.node_job(job["phase"]), self.apt_job()
        if hooks:
            job["hooks"] = {"build": self.build.id.hex, "generation": self.facts.get("generation", 0)}
        return dyno_specs.compile_spec(
            dyno_id=name,
            app=self.build.app,
            commit=self.build.commit,
            python=self.python,
            home=self.home,
            job=job,
            source=self.source_name(),
            env=env,
            config=self.config,
            request_id=str(self.build.id),
            writable=job["writable"],
            parts=self.parts,
            more=(*(self.tool_mounts(run_time=True) if env else ()), *self.node_mounts(), *self.apt_mounts()),
        )

    def node_job(self, phase: str) -> dict[str, Any] | None:
        """The job of heroku/nodejs for the dyno of this phase (pre, all); None if it has none."""
        node = self.facts.get("node")
        if not node or (phase == "pre" and node["order"] != "before") or self.facts.get("node_done"):
            return None
        settings = tools.npm_settings() | ({"NODE_EXTRA_CA_CERTS": tools.CERTIFICATES} if self._certificates() else {})
        more = {"generation": self.facts.get("generation", 0), "build": self.build.id.hex, "settings": settings}
        return {**node, **more, "listed": [name for name in self.listed if name in self.config]}

    @property
    def parts(self) -> frozenset[str]:
        """The parts of the app beside Python: NODE, APT."""
        return frozenset(name for name in (NODE, APT) if self.facts.get(name))

    def apt_job(self) -> dict[str, Any] | None:
        """The job of heroku-community/apt for a dyno; None if the app has no Aptfile."""
        apt = self.facts.get("apt")
        if not apt:
            return None
        variables = apt_folders() | {"PATH": f"{APT_TREE}/usr/bin"}
        more = {"generation": self.facts.get("generation", 0), "build": self.build.id.hex, "variables": variables}
        return {**apt, **more}

    def apt_mounts(self, *, tree: bool = False) -> tuple[Mount, ...]:
        """The mount of the host's package sources. tree: and a folder for the packages, for a dyno without /app."""
        apt = self.facts.get("apt")
        if not apt:
            return ()
        own = (Mount(target=APT_TREE, source=names.scratch("apt"), mode="rw"),) if tree else ()
        return (*own, apt_host.mount(apt["host"]))

    def node_mounts(self) -> tuple[Mount, ...]:
        """The mounts of heroku/nodejs: a downloaded Node.js, and the operator's certificates."""
        node = self.facts.get("node")
        if not node:
            return ()
        return (*((node_downloads.mount(node["folder"]),) if node["folder"] else ()), *self._certificates())

    def _certificates(self) -> tuple[Mount, ...]:
        return tools.certificate_mounts(self.home)[0]

    def source_name(self) -> str:
        """The engine's name of the tar that the build reads."""
        return names.source(PurePath(self.facts["source"]).stem)

    def tool_key(self) -> str:
        """The key of the package manager's environment; empty for pip and uv, which need none."""
        manager = self.facts["install"]["manager"]
        return plan.environment_key(self.python, "tool", manager, pins.digest(manager)) if manager in TOOLS else ""

    def tool_mounts(self, *, run_time: bool = False) -> tuple[Mount, ...]:
        """The mounts of pipenv or poetry for an installation; at run time only pipenv, which stays with the app."""
        manager, key = self.facts["install"]["manager"], self.tool_key()
        return (dyno_specs.tool_mount(manager, key),) if key and not (run_time and manager != "pipenv") else ()

    def _seconds(self, result: dict[str, Any]) -> None:
        measured = result.get("seconds")
        if isinstance(measured, dict):
            numbers = {
                str(key)[:40]: value for key, value in list(measured.items())[:20] if isinstance(value, int | float)
            }
            self.facts["seconds"] = {**self.facts.get("seconds", {}), **numbers}

    def conclude(self, **columns: Any) -> bool:
        """Record the end of the build, unless it has already ended."""
        return conclude(build=self.build, **columns)

    def forget(self) -> None:
        """Forget the build's dynos, and remove sources that no other build uses."""
        for name in dyno_ids(self.build.id.hex, self.facts.get("lost", 0)):
            self.engine.forget(name)
        leftovers.remove_sources(self.build, self.home)
