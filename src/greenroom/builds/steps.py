"""The steps of one build: each looks at what is there, does one thing or finds that it has to wait, and may be repeated after a crash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from greenroom.basics import clock
from greenroom.basics.errors import AppError, PlatformError
from greenroom.buildpacks import interpreters, plan
from greenroom.buildpacks.failures import BuildError
from greenroom.buildpacks.plan import Plan
from greenroom.buildpacks.readers import read_app_json, read_procfile
from greenroom.buildpacks.requirements import SEEDS, seeds
from greenroom.buildpacks.source import Source
from greenroom.buildpacks.versions import Interpreter
from greenroom.builds import environments, output, specs, tools
from greenroom.builds.models import Build
from greenroom.builds.rules import MAX_LOST, Ended, dyno_id, dyno_ids, ended
from greenroom.engine.contract import DynoSpec, Engine, scratch_folder
from greenroom.git.queries import archive
from greenroom.slugs import store
from greenroom.slugs.actions import record
from greenroom.slugs.store import Stored

Say = Callable[[str], None]
PATIENCE = 0.3
"""How long a step may wait for the copy of a tree: small ones are done within it, and the step needs no second call."""

_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="slug")
_copies: dict[str, Future[store.Stored]] = {}


class Failed(Exception):  # noqa: N818 -- a value that is raised, not an error of ours
    """The build has ended badly. ``ended`` says how."""

    def __init__(self, ended: Ended) -> None:
        super().__init__(ended.message)
        self.ended = ended


@dataclass
class Steps:
    """One build, and what its steps need."""

    build: Build
    engine: Engine
    home: Path
    say: Say
    config: Mapping[str, str]

    @property
    def facts(self) -> dict[str, Any]:
        """What earlier steps found out; JSON in the build's row."""
        return self.build.facts

    @property
    def python(self) -> Interpreter:
        """The interpreter that was chosen."""
        known = self.facts["python"]
        return Interpreter(tuple(known["version"]), known["path"], known["prefix"])

    def take(self) -> bool:
        """Carry out the step of the build's phase. True: go on with the next one; False: nothing to do before the next call."""
        table = {"prepare": self.prepare, "hook": self.hook, "install": self.install, "compile": self.compile, "store": self.store}
        return table[self.build.phase]()

    def go(self, phase: str, **facts: Any) -> bool:
        """Write down what was found and which step is next."""
        self.build.facts = {**self.facts, **facts}
        self.build.facts.pop("trouble", None)
        self.build.phase = phase
        self.build.save(update_fields=["facts", "phase", "updated_at"])
        return True

    # -- prepare: the commit's files, the plan ---------------------------------------------------------------------------

    def prepare(self) -> bool:
        """Read the commit and decide what to do with it."""
        tar = f"sources/{self.build.commit}.tar"
        path = self.home / tar
        if not path.exists():
            path.parent.mkdir(mode=0o755, exist_ok=True)
            archive(self.build.app, self.home, self.build.commit, path)
        whole = Source(path)
        settings = plan.settings_of(whole)
        whole.close()
        self.say("-----> Building on the Greenroom-1 stack\n-----> Using buildpack: heroku/python")
        return self._planned(tar, settings["root"], settings)

    def _planned(self, tar: str, root: str, settings: dict[str, Any]) -> bool:
        source = Source(self.home / tar, root)
        try:
            made = plan.make(source, settings=settings, interpreters=interpreters.find(), cached=self._last_python())
        finally:
            source.close()
        hooked = "hooked" in self.facts
        if not hooked:
            self._announce(made)
        phase = "hook" if made.pre_compile and not hooked else "install"
        return self.go(
            phase,
            source=tar,
            root=root,
            settings=settings,
            python=asdict(made.python),
            process_types=made.process_types,
            app_json=made.app_json,
            ignored=[] if hooked else list(made.ignored),
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

    # -- dynos ----------------------------------------------------------------------------------------------------------

    def watch(self, part: str, order: Callable[[str], DynoSpec]) -> Ended | None:
        """Start the part's dyno unless it was started, pass its output on; how it ended, or None while it runs."""
        name = dyno_id(self.build.id.hex, part, self.facts.get("lost", 0))
        state = self.engine.describe(name) or self.engine.start(order(name))
        over = state.phase in ("exited", "lost")
        self._pass_on(name, over)
        if not over:
            return None
        verdict = ended(
            phase=state.phase, exit_code=state.exit_code, reason=state.reason, detail=state.detail,
            result=environments.result(self.home, name), memory_mb=specs.MEMORY_MB, minutes=specs.SECONDS / 60,
        )  # fmt: skip
        if verdict.kind == "lost" and self.facts.get("lost", 0) < MAX_LOST:
            self.go(self.build.phase, lost=self.facts.get("lost", 0) + 1)
            return None
        if verdict.kind in ("failed", "errored", "lost"):
            raise Failed(verdict)
        return verdict

    def _pass_on(self, name: str, over: bool) -> None:
        seen = self.facts.get("seen", {})
        text, offset = output.new_lines(self.home, name, seen.get(name, 0), over)
        if offset != seen.get(name, 0):
            if text:
                self.say(text)
            self.go(self.build.phase, seen={**seen, name: offset})

    def current(self, part: str) -> str:
        """The engine's id of the part's dyno."""
        return dyno_id(self.build.id.hex, part, self.facts.get("lost", 0))

    def hook(self) -> bool:
        """bin/pre_compile may change the dependency files: it runs first, and its tree is what gets planned and built."""

        def order(name: str) -> DynoSpec:
            job = {"root": self.facts["root"], "ignored": self.facts["ignored"], "phase": "pre", "writable": False}
            return self._compile_spec(name, job, env="")

        if self.watch("pre", order) is None:
            return False
        tar = f"sources/{self.build.id.hex}.tar"
        made = self.home / scratch_folder(self.current("pre"), "out") / "source.tar"
        if not (self.home / tar).exists():
            store.keep_file(made, self.home / tar)
        self.facts["hooked"] = True
        return self._planned(tar, "", self.facts["settings"])

    # -- install: the environment ---------------------------------------------------------------------------------------

    def install(self) -> bool:
        """The environment of this lock: there already, or made by a dyno."""
        key = self._env_key()
        if environments.exists(self.home, key):
            self.say(f"-----> Using the environment of the last build with the same dependencies ({key[:13]})")
            return self.go("compile", env_key=key)
        return self._from_sources() if self._in_sandbox() else self._from_wheels()

    def _in_sandbox(self) -> bool:
        """Whether only the app's own sandbox will do: its tree, its private index, or a package without a wheel."""
        if self.facts["install"]["local"] or specs.private_index(self.config):
            return True
        return environments.needs_build(self.home, self.build.app_id.hex, self._input_digest())

    def _env_key(self) -> str:
        """The environment's name, as far as it can be told before anything is installed; empty: not yet."""
        install, lock = self.facts["install"], self._lock()
        parts = [install["manager"], *sorted(SEEDS.values()), environments.lock_digest(lock) if lock else install["digest"]]
        if not (install["locked"] or lock or install["local"]):
            return ""
        if self._in_sandbox():
            parts += [self.build.app_id.hex, hashlib.sha256(self.config.get("PIP_EXTRA_INDEX_URL", "").encode()).hexdigest()]
        if install["tree"]:
            parts.append(self.build.commit)
        return plan.environment_key(self.python, *parts)

    def _input_digest(self) -> str:
        """Names the resolution of requirements that are not locked: what is asked for, for which Python, from which index."""
        parts = [self.facts["install"]["digest"], self.python.text, repr(sorted(tools.index_settings().items()))]
        parts += sorted(specs.private_index(self.config).values())
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()

    def _lock(self) -> str:
        if self.facts["install"]["locked"] or self.facts["install"]["local"]:
            return ""
        return environments.stored_lock(self.home, self.build.app_id.hex, self._input_digest())

    def _job(self, *, no_build: bool) -> dict[str, Any]:
        install = self.facts["install"]
        known = self._lock() or (self.facts["files"][install["main"]] if install["locked"] else "")
        return {
            "seeds": seeds(self.python.minor, known) if install["manager"] == "pip" else "",
            "manager": install["manager"], "main": install["main"], "files": self.facts["files"], "hashed": install["locked"],
            "local": install["local"], "lock": self._lock(), "no_build": no_build, "root": self.facts["root"],
        }  # fmt: skip

    def _from_wheels(self) -> bool:
        """In nobody's name: wheels from the shared cache, no code of any package is run."""
        found = self.watch(
            "install",
            lambda name: specs.install_spec(
                dyno_id=name, app=None, python=self.python, home=self.home, job=self._job(no_build=True), index={}
            ),
        )
        if found is None:
            return False
        if found.kind == "needs-build":
            self.say("       A package has no wheel and is built from its sources, in the app's own sandbox.")
            environments.mark_needs_build(self.home, self.build.app_id.hex, self._input_digest())
            return True
        return self._installed(self.current("install"))

    def _from_sources(self) -> bool:
        """In the app's name, with a cache of its own: what is built here can reach no other app."""
        found = self.watch(
            "sources",
            lambda name: specs.install_spec(
                dyno_id=name, app=self.build.app, python=self.python, home=self.home, job=self._job(no_build=False),
                source=self.facts["source"] if self.facts["install"]["local"] else "", index=specs.private_index(self.config),
            ),  # fmt: skip
        )
        return False if found is None else self._installed(self.current("sources"))

    def _installed(self, name: str) -> bool:
        """Keep the resolution and the environment."""
        install = self.facts["install"]
        if not (install["locked"] or install["local"]):
            text = (environments.scratch_file(self.home, name, "lock.txt") or b"").decode("utf-8", "replace")
            if not text:
                raise PlatformError("The installer left no resolved requirements.", hint="push again")
            environments.store_lock(self.home, self.build.app_id.hex, self._input_digest(), text)
        result = environments.result(self.home, name)
        key = self._env_key()
        environments.adopt(
            self.home, name, key,
            {"lock": self._lock() or self.facts["files"], "packages": result.get("packages", {}), "uv": tools.uv_version(), "python": self.python.text},
        )  # fmt: skip
        self._seconds(result)
        return self.go("compile", env_key=key, seconds=self.facts.get("seconds", {}))

    def _seconds(self, result: dict[str, Any]) -> None:
        measured = result.get("seconds")
        if isinstance(measured, dict):
            numbers = {str(key)[:40]: value for key, value in list(measured.items())[:20] if isinstance(value, int | float)}
            self.facts["seconds"] = {**self.facts.get("seconds", {}), **numbers}

    # -- compile and store ----------------------------------------------------------------------------------------------

    def _compile_spec(self, name: str, job: dict[str, Any], env: str) -> DynoSpec:
        return specs.compile_spec(
            dyno_id=name, app=self.build.app, commit=self.build.commit, python=self.python, home=self.home, job=job,
            source=self.facts["source"], env=env, config=self.config, writable=job["writable"],
        )  # fmt: skip

    def _writable(self) -> bool:
        """Whether something will write to the environment: a hook, or the download of NLTK's corpora."""
        nltk = self.facts["nltk"] and environments.has_package(self.home, self.facts["env_key"], "nltk")
        return bool(self.facts["post_compile"] or nltk)

    def compile(self) -> bool:
        """Unpack, collectstatic, hooks, bytecode: in the app's sandbox."""
        key = self.facts["env_key"]

        def order(name: str) -> DynoSpec:
            job = {"root": self.facts["root"], "ignored": self.facts["ignored"], "phase": "all", "writable": self._writable()}
            return self._compile_spec(name, job, env=f"envs/{key}")

        if self.watch("compile", order) is None:
            return False
        self._seconds(environments.result(self.home, self.current("compile")))
        layer = ""
        if self._writable():
            layer = environments.adopt_layer(self.home, self.current("compile"), key, self.build.app_id.hex)
        return self.go("store", seconds=self.facts.get("seconds", {}), layers=[layer] if layer else [])

    def store(self) -> bool:
        """Copy the tree into the store and record the slug."""
        stored = self._stored()
        if stored is None:
            return False
        key = self.facts["env_key"]
        types = read_procfile(stored.texts["Procfile"]) if "Procfile" in stored.texts else {}
        app_json = read_app_json(stored.texts["app.json"]) if "app.json" in stored.texts else {}
        slug = record(
            app=self.build.app, stored=stored, env_key=key, commit=self.build.commit, process_types=types, app_json=app_json,
            settings=self.facts["settings"], is_django=environments.has_package(self.home, key, "django") or "django/__init__.py" in stored.files,
            migrations_digest=migrations_digest(stored.files, key), manifest=self._manifest(),
        )  # fmt: skip
        self._conclude(types, stored.size)
        self.build.slug = slug
        self.build.status = "succeeded"
        self.build.phase = "done"
        self.build.finished_at = clock.now()
        self.build.save()
        return False

    def _stored(self) -> Stored | None:
        """The copy of the tree, made in the background when it is large; None while it is not done."""
        key = self.build.id.hex
        if key not in _copies:
            tree = self.home / scratch_folder(self.current("compile"), "app")
            _copies[key] = _pool.submit(store.keep, tree, home=self.home, env_key="+".join([self.facts["env_key"], *self.facts["layers"]]))
        try:
            stored = _copies[key].result(timeout=PATIENCE)
        except StillRunning:
            return None
        except AppError as error:
            _copies.pop(key, None)
            raise BuildError("slug::refused", error.message, hint=error.hint) from error
        except Exception:
            _copies.pop(key, None)
            raise
        _copies.pop(key, None)
        return stored

    def _manifest(self) -> dict[str, Any]:
        return {
            "interpreter": self.facts["python"],
            "python_version": self.python.text,
            "package_manager": self.facts["install"]["manager"],
            "tools": {"uv": tools.uv_version()},
            "layers": self.facts["layers"],
            "root": self.facts["root"],
            "seconds": self.facts.get("seconds", {}),
        }

    def _conclude(self, types: dict[str, str], size: int) -> None:
        listed = ", ".join(types) if types else "(none)"
        self.say(f"-----> Discovering process types\n       Procfile declares types -> {listed}\n-----> Compressing...\n       Done: {size / 1e6:.1f}M")

    def forget(self) -> None:
        """Let the engine drop what is left of the build's dynos."""
        for name in dyno_ids(self.build.id.hex, self.facts.get("lost", 0)):
            self.engine.forget(name)
        (self.home / "sources" / f"{self.build.id.hex}.tar").unlink(missing_ok=True)


def migrations_digest(files: Mapping[str, tuple[str, str, int]], env_key: str) -> str:
    """Changes when a migration of the tree, or the environment with its packages' migrations, changes."""
    total = hashlib.sha256(env_key.encode() + b"\0")
    for path in sorted(files):
        parts = path.split("/")
        if len(parts) >= 2 and parts[-2] == "migrations" and path.endswith(".py"):
            total.update(f"{path}\0{files[path][1]}\0".encode())
    return total.hexdigest()
