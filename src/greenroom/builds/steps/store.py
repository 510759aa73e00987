"""The slug steps of a build: runs hooks and collectstatic in the app's sandbox, then stores the tree and its row."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import TimeoutError as StillRunning
from typing import Any

from greenroom.basics.errors import AppError, PlatformError
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import pins
from greenroom.buildpacks.rules.app_files import read_app_json, read_procfile
from greenroom.buildpacks.rules.dependency_files import TOOLS
from greenroom.builds.drivers import environments, tools
from greenroom.builds.rules import too_heavy
from greenroom.builds.steps.part import Part
from greenroom.engine import names
from greenroom.engine.contract import DynoSpec
from greenroom.git.queries import tree_hash
from greenroom.slugs.actions import record
from greenroom.slugs.drivers import store
from greenroom.slugs.drivers.store import Stored

PATIENCE = 0.3
"""Seconds that a step may wait for the copy of a tree, so that a small one needs no second call."""

_pool = ThreadPoolExecutor(max_workers=2, thread_name_prefix="slug")
_copies: dict[str, Future[store.Stored]] = {}


class Storing(Part):
    """The steps ``compile`` and ``store``."""

    def _writable(self) -> bool:
        """Whether a step will write to the environment: a hook, or the download of NLTK's corpora."""
        nltk = self.facts["nltk"] and environments.has_package(self.home, self.facts["env_key"], "nltk")
        return bool(self.facts["post_compile"] or nltk)

    def compile(self) -> bool:
        """Unpack, run hooks and collectstatic and compile bytecode, in the app's sandbox."""
        key = self.facts["env_key"]

        def order(name: str) -> DynoSpec:
            job = {
                "root": self.facts["root"],
                "ignored": self.facts["ignored"],
                "phase": "all",
                "writable": self._writable(),
            }
            return self._compile_spec(
                name,
                job,
                env=names.environment(key),
                hooks=bool(self.facts["post_compile"] or self.facts.get("hooked")),
            )

        if self.watch("compile", order) is None:
            return False
        self._seconds(environments.result(self.engine, self.current("compile")))
        layer = ""
        if self._writable():
            layer = environments.adopt_layer(
                self.home, self.engine, self.current("compile"), key, self.build.app_id.hex
            )
        return self.go("store", seconds=self.facts.get("seconds", {}), layers=[layer] if layer else [])

    def store(self) -> bool:
        """Copy the tree into the store and record the slug."""
        stored = self._stored()
        if stored is None:
            return False
        key = self.facts["env_key"]
        types = read_procfile(stored.texts["Procfile"]) if "Procfile" in stored.texts else {}
        app_json = read_app_json(stored.texts["app.json"]) if "app.json" in stored.texts else {}
        manifest = self._manifest()
        slug = record(
            app=self.build.app,
            stored=stored,
            env_key=key,
            commit=self.build.commit,
            process_types=types,
            app_json=app_json,
            settings=self.facts["settings"],
            is_django=environments.has_package(self.home, key, "django") or "django/__init__.py" in stored.files,
            migrations_digest=migrations_digest(stored.files, key),
            manifest=manifest,
        )
        self._tell(types, stored.size, manifest)
        self.conclude(slug=slug, status="succeeded")
        return False

    def _stored(self) -> Stored | None:
        """The copy of the tree, made in the background if it is large; None while it is in progress."""
        key = self.build.id.hex
        if key not in _copies:
            env_key = "+".join([self.facts["env_key"], *self.facts["layers"]])
            manifest = {**self._lasting(), "packages": self._packages()}
            _copies[key] = _pool.submit(self._keep, env_key, manifest)
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

    def _keep(self, env_key: str, manifest: dict[str, Any]) -> Stored:
        with self.engine.tree(self.current("compile"), "app") as tree:
            if tree is None:
                raise PlatformError("The built tree was not found.", hint="push again")
            return store.keep(tree, home=self.home, env_key=env_key, manifest=manifest)

    def _manifest(self) -> dict[str, Any]:
        packages = self._packages()
        sizes = {name: [entry["version"], entry["size"]] for name, entry in packages.items()}
        return {
            **self._lasting(),
            "secret_key": self.facts.get("secret_key", "SECRET_KEY"),
            "tree": tree_hash(self.build.app, self.home, self.build.commit),
            "seconds": self.facts.get("seconds", {}),
            "package_sizes": sizes,
            "env_size": sum(size for _, size in sizes.values()),
        }

    def _lasting(self) -> dict[str, Any]:
        """The part of the manifest that does not depend on the commit: interpreter, tools and layers."""
        manager = self.facts["install"]["manager"]
        return {
            "interpreter": self.facts["python"],
            "python_version": self.python.text,
            "package_manager": manager,
            "tools": {"uv": tools.uv_version(), **{name: pins.VERSIONS[name] for name in TOOLS if name == manager}},
            "tool_key": self.tool_key(),
            "layers": self.facts["layers"],
            "root": self.facts["root"],
            **self._others(),
        }

    def _others(self) -> dict[str, Any]:
        """Node.js and the Debian packages of the slug, as far as other buildpacks have built it."""
        node, apt = self.facts.get("node"), self.facts.get("apt")
        found: dict[str, Any] = {"node": {"version": node["version"], "tool": node["folder"]}} if node else {}
        return found | ({"apt": [*apt["packages"], *apt["debs"]]} if apt else {})

    def _packages(self) -> dict[str, dict[str, Any]]:
        install = self.facts["install"]
        return environments.packages(self.home, self.facts["env_key"], install["manager"], install["main"])

    def _tell(self, types: dict[str, str], size: int, manifest: dict[str, Any]) -> None:
        listed, env_size = ", ".join(types) if types else "(none)", manifest["env_size"]
        self.say(f"-----> Discovering process types\n       Procfile declares types -> {listed}\n-----> Compressing...")
        self.say(f"       Done: {size / 1e6:.1f}M, and {env_size / 1e6:.1f}M of packages")
        heavy = too_heavy(size, manifest["package_sizes"])
        if heavy:
            self.say("\n".join(["", *(f" !     {line}" for line in heavy), " "]))


TELLING = re.compile(
    r"migrat|versions|alembic|setting|conf|environment|production|staging|local|base|common|routers?\.py|apps\.py",
    re.IGNORECASE,
)
"""Words in the path of a Python file that may contain a migration or configure apps, migration modules or databases."""
NUMBERED = re.compile(r"(\d{3,}|[0-9a-f]{8,})_\w+\.py")
"""File names of Django's and Alembic's migrations, in any folder."""


def migrations_digest(files: Mapping[str, tuple[str, str, int]], env_key: str) -> str:
    """A digest of everything that determines the code's migrations: their files, the settings, the environment with its
    packages.

    Prefers false changes to missed ones: while it is the same, the database is not queried. Files beside manage.py,
    wsgi.py or asgi.py count as settings.
    """
    total = hashlib.sha256(env_key.encode() + b"\0")
    projects = {
        path.rpartition("/")[0] for path in files if path.rpartition("/")[2] in ("manage.py", "wsgi.py", "asgi.py")
    }
    for path in sorted(files):
        folder, _, name = path.rpartition("/")
        if name.endswith((".py", ".ini")) and (folder in projects or TELLING.search(path) or NUMBERED.fullmatch(name)):
            total.update(f"{path}\0{files[path][1]}\0".encode())
    return total.hexdigest()
