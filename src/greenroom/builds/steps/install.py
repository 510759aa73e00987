"""The installation steps of a build: reuse an environment, install it from pinned wheels without an app, or create it
in the app's own sandbox.
"""

from __future__ import annotations

import hashlib
import json
import logging
from typing import Any

from greenroom.buildpacks.rules import pins, plan
from greenroom.buildpacks.rules.dependency_files import TOOLS
from greenroom.buildpacks.rules.requirements import seeds
from greenroom.builds.drivers import cache_budget, dyno_specs, environments, tools
from greenroom.builds.rules import Ended, shared_packages
from greenroom.builds.steps.part import Failed, Part

logger = logging.getLogger(__name__)


class Installing(Part):
    """The step ``install``."""

    def install(self) -> bool:
        """Find the environment of these requirements, or have a dyno create it."""
        if "private" not in self.facts:
            return self.go("install", private=self._private(), vars=self._vars())
        key = self._env_key()
        if environments.exists(self.home, key):
            self.say(f"-----> Using the environment of the last build with the same dependencies ({key[:13]})")
            return self.go("compile", env_key=key)
        if not self._has_tool():
            return False
        if self.facts["private"]:
            return self._from_sources()
        return self._resolve() if self._lines() is None else self._from_wheels()

    def _has_tool(self) -> bool:
        """Whether pipenv or poetry, if required, is installed. Created once per Python version for all apps."""
        tool, key = self.facts["install"]["manager"], self.tool_key()
        if not key or environments.exists(self.home, key):
            return True
        found = self.watch(
            "manager", lambda name: dyno_specs.tool_spec(dyno_id=name, tool=tool, python=self.python, home=self.home)
        )
        if found is None:
            return False
        if found.kind == "ok" and self._is_sound(
            self.current("manager"), pins.requirements(tool).splitlines(), pins.PLACES[tool]
        ):
            made = {"packages": self._reported("manager"), "tool": tool}
            environments.adopt(self.home, self.engine, self.current("manager"), key, made)
            return True
        if found.kind == "needs-build":
            reason, text = (
                f"install-package-manager::{tool}",
                f"{tool} {pins.VERSIONS[tool]} has no wheels for Python {self.python.text}.",
            )
            raise Failed(Ended("failed", reason, text, "set another Python version in .python-version"))
        self._distrust(found.message, pins.requirements(tool))
        raise Failed(
            Ended(
                "errored",
                "build::platform",
                f"The files of {tool} in the shared cache were changed. It is downloaded again.",
                "push again",
            )
        )

    # -- sharing and names --------------------------------------------------------------------------------------------

    def _private(self) -> bool:
        """Whether the environment belongs to the app alone: it depends on the app's tree, package manager, index or
        config vars, a later step writes to it, or a package has no wheel. Decided once: later changes of config vars
        have no effect.

        A hook and NLTK write to the environment as the app's user, who must own it.
        """
        install, written = self.facts["install"], self.facts["post_compile"] or self.facts["nltk"]
        if install["local"] or install["manager"] in TOOLS or written or self._index():
            return True
        if any(not option.startswith(shared_packages.HARMLESS) for option in install["options"]):
            return True
        if not shared_packages.only_default_index(install.get("indexes", ()), tools.index_settings()):
            return True
        return environments.needs_build(self.home, self.build.app_id.hex, self._input_digest())

    def _index(self) -> dict[str, str]:
        """The config vars that the installer may read: the app's own index and credentials, and the names on
        its list.
        """
        return dyno_specs.installer_vars(self.config, self.facts["install"]["manager"], self.listed)

    def _vars(self) -> str:
        return hashlib.sha256(repr(sorted(self._index().items())).encode()).hexdigest()

    def _env_key(self) -> str:
        """The environment's name; empty if it is not known before the installation.

        The name of a shared environment depends only on its contents; that of a private one begins with the app.
        """
        if not self.facts["private"]:
            lines = self._lines()
            return (
                plan.environment_key(self.python, "shared", self._seeds(), *lines, *self._generation())
                if lines is not None
                else ""
            )
        install, lock = self.facts["install"], self._lock()
        if not (install["locked"] or lock or install["local"]) or (
            install["local"] and install["moving"] and "repositories" not in self.facts
        ):
            return ""
        parts = [
            "app",
            self.build.app_id.hex,
            install["manager"],
            self._seeds(),
            environments.lock_digest(lock) if lock else install["digest"],
        ]
        parts += [self.tool_key(), self.facts["vars"], self.build.commit if install["tree"] else "", *self._apt()]
        return plan.environment_key(
            self.python, *parts, *self._generation(), *sorted(self.facts.get("repositories", {}).values())
        )

    def _seeds(self) -> str:
        return seeds(self.python.minor) if self.facts["install"]["manager"] == "pip" else ""

    def _input_digest(self) -> str:
        """The digest of a resolution of unlocked requirements: the requirements, the Python version and the index."""
        parts = [self.facts["install"]["digest"], self.python.text, repr(sorted(tools.index_settings().items()))]
        parts += [
            self.facts.get("vars") or self._vars(),
            *([self.build.id.hex] if self.facts["install"]["moving"] else []),
        ]
        return hashlib.sha256("\0".join([*parts, *self._generation(), *self._apt()]).encode()).hexdigest()

    def _apt(self) -> list[str]:
        """The packages of Aptfile, with which a package is built from source; empty without an Aptfile."""
        return [json.dumps(self.facts["apt"], sort_keys=True)] if self.facts.get("apt") else []

    def _generation(self) -> list[str]:
        """The cache generation, which separates the build from those before the last purge; empty if there was none."""
        count = self.facts.get("generation", 0)
        return [f"{self.build.app_id.hex}, cache {count}"] if count else []

    def _lock(self) -> str:
        if self.facts["install"]["locked"] or self.facts["install"]["local"]:
            return ""
        return environments.stored_lock(self.home, self.build.app_id.hex, self._input_digest())

    def _lines(self) -> tuple[str, ...] | None:
        """The contents of a shared environment: pinned wheels with hashes. None while unknown."""
        install = self.facts["install"]
        if install["manager"] == "pip" and install["locked"]:
            return shared_packages.pinned(self.facts["files"], install["main"])
        text = environments.stored_lock(self.home, self.build.app_id.hex, self._input_digest())
        return shared_packages.pinned_text(text) if text else None

    # -- dynos ---------------------------------------------------------------------------------------------------------

    def _job(self, *, no_build: bool) -> dict[str, Any]:
        install = self.facts["install"]
        return {
            "seeds": self._seeds(),
            "manager": install["manager"],
            "main": install["main"],
            "files": self.facts["files"],
            "hashed": install["locked"],
            "local": install["local"],
            "lock": self._lock(),
            "no_build": no_build,
            "root": self.facts["root"],
            "ignored": self.facts["ignored"],
            "options": install["options"],
            "tool": pins.PLACES.get(install["manager"], ""),
            "listed": [name for name in self.listed if name in self.config],
            "headed": self.facts.get("headed", False),
        }

    def _resolve(self) -> bool:
        """Resolve the requirements in the app's sandbox, since its files decide how. Requirements that cannot be
        written as plain lines are installed for the app alone.
        """
        if self._is_plain():
            return self._alone()
        found = self.watch(
            "resolve",
            lambda name: dyno_specs.install_spec(
                dyno_id=name,
                app=self.build.app,
                python=self.python,
                home=self.home,
                job={**self._job(no_build=True), "resolve": True},
                index={},
            ),
        )
        if found is None:
            return False
        if found.kind != "ok":
            return self._needs_build() if found.kind == "needs-build" else self._alone()
        text = environments.left_lock(self.engine, self.current("resolve"))
        environments.store_lock(self.home, self.build.app_id.hex, self._input_digest(), text)
        self._seconds(environments.result(self.engine, self.current("resolve")))
        return self.go("install", headed=True, private=shared_packages.pinned_text(text) is None)

    def _is_plain(self) -> bool:
        """Whether there is nothing to resolve, so that a second resolution would not change the lines."""
        return self.facts["install"]["manager"] == "pip" and bool(self.facts["install"]["locked"])

    def _alone(self) -> bool:
        return self.go("install", private=True)

    def _needs_build(self) -> bool:
        self.say("       A package has no wheel and is built from source, in the app's own sandbox.")
        environments.mark_needs_build(self.home, self.build.app_id.hex, self._input_digest())
        return self._alone()

    def _from_wheels(self) -> bool:
        """Install wheels from the shared cache, without an app: runs no package's code and reads no file of the app."""
        lines, key = self._lines() or (), self._env_key()
        lock = "".join(f"{line}\n" for line in lines)
        install = self.facts["install"]
        job = {
            "manager": install["manager"],
            "main": install["main"],
            "lock": lock,
            "seeds": self._seeds(),
            "headed": self.facts.get("headed", False),
        }
        found = self.watch(
            "wheels", lambda name: dyno_specs.shared_spec(dyno_id=name, python=self.python, home=self.home, job=job)
        )
        if found is None:
            return False
        if found.kind == "needs-build":
            return self._needs_build()
        if found.kind == "conflict":
            self.say(f"       {found.message}: the environment is created for this app only.")
            return self._made_alone()
        name = self.current("wheels")
        if found.kind != "ok" or not self._is_sound(name, [*lines, *self._seeds().splitlines()], dyno_specs.ENV):
            self._distrust(found.message, lock)
            self.say(
                "       The shared packages differ from their records; the environment is created for this app only."
            )
            return self._made_alone()
        return self._kept(name, key, {"lock": lock, "shared": True})

    def _made_alone(self) -> bool:
        environments.mark_needs_build(self.home, self.build.app_id.hex, self._input_digest())
        return self._alone()

    def _reported(self, part: str) -> dict[str, Any]:
        found = environments.result(self.engine, self.current(part)).get("packages")
        return found if isinstance(found, dict) else {}

    def _is_sound(self, name: str, lines: list[str], place: str) -> bool:
        """Whether each package's files match those recorded at the first installation of its wheel."""
        result = environments.result(self.engine, name).get("packages", {})
        normal = shared_packages.pinned_text("\n".join(lines)) or ()
        return not environments.strange(
            self.home, shared_packages.file_sets(normal, result, repr(self.python.minor), place)
        )

    def _distrust(self, why: str, lock: str) -> None:
        """Remove these packages, and no others, from the shared cache: a wheel without a complete RECORD, a disk error
        or tampering.
        """
        logger.error(
            "build %s of %s: shared packages were changed: %s",
            self.build.id,
            self.build.app.name,
            why or "another digest",
        )
        cache_budget.drop(self.engine, self.home, shared_packages.names(lock), self.build.id.hex)

    def _from_sources(self) -> bool:
        """Install in the app's sandbox with its own cache, so that code built here reaches no other app."""
        found = self.watch(
            "sources",
            lambda name: dyno_specs.install_spec(
                dyno_id=name,
                app=self.build.app,
                python=self.python,
                home=self.home,
                job={**self._job(no_build=False), "apt": self.apt_job()},
                source=self.source_name() if self.facts["install"]["local"] else "",
                index=self._index(),
                more=(*self.tool_mounts(), *self.apt_mounts(tree=not self.facts["install"]["local"])),
            ),
        )
        if found is None:
            return False
        if found.kind != "ok":
            raise Failed(Ended("failed", "build::failed", "The installation ended without a result.", "push again"))
        return self._installed(self.current("sources"))

    def _installed(self, name: str) -> bool:
        """Store the resolution and the private environment."""
        install = self.facts["install"]
        if not (install["locked"] or install["local"]):
            environments.store_lock(
                self.home, self.build.app_id.hex, self._input_digest(), environments.left_lock(self.engine, name)
            )
        if install["moving"]:
            self.facts["repositories"] = environments.repositories(environments.result(self.engine, name))
        return self._kept(name, self._env_key(), {"lock": self._lock() or self.facts["files"]})

    def _kept(self, name: str, key: str, facts: dict[str, Any]) -> bool:
        result = environments.result(self.engine, name)
        made = {"packages": result.get("packages", {}), "uv": tools.uv_version(), "python": self.python.text}
        environments.adopt(self.home, self.engine, name, key, {**made, **facts})
        self._seconds(result)
        return self.go("compile", env_key=key, seconds=self.facts.get("seconds", {}))
