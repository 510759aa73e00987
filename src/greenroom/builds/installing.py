"""The part of a build that gives it an environment: found, installed from wheels in nobody's name, or made in the app's own sandbox."""

from __future__ import annotations

import hashlib
from typing import Any

from greenroom.basics.errors import PlatformError
from greenroom.buildpacks import pins, plan
from greenroom.buildpacks.installs import TOOLS
from greenroom.buildpacks.requirements import SEEDS, seeds
from greenroom.builds import environments, specs, tools
from greenroom.builds.part import Failed, Part
from greenroom.builds.rules import Ended


class Installing(Part):
    """The step ``install``."""

    def install(self) -> bool:
        """The environment of this lock: there already, or made by a dyno."""
        key = self._env_key()
        if environments.exists(self.home, key):
            self.say(f"-----> Using the environment of the last build with the same dependencies ({key[:13]})")
            return self.go("compile", env_key=key)
        if not self._has_tool():
            return False
        return self._from_sources() if self._in_sandbox() else self._from_wheels()

    def _has_tool(self) -> bool:
        """Whether pipenv or poetry, if it is one of them, is there; made once for all apps with the same Python."""
        tool, key = self.facts["install"]["manager"], self.tool_key()
        if not key or environments.exists(self.home, key):
            return True
        found = self.watch("tool", lambda name: specs.tool_spec(dyno_id=name, tool=tool, python=self.python, home=self.home))
        if found is None:
            return False
        if found.kind != "ok":
            reason, text = f"install-package-manager::{tool}", f"{tool} {pins.VERSIONS[tool]} has no wheels for Python {self.python.text}."
            raise Failed(Ended("failed", reason, text, "ask for another Python in .python-version"))
        name = self.current("tool")
        environments.adopt(self.home, name, key, {"packages": environments.result(self.home, name).get("packages", {}), "tool": tool})
        return True

    def _in_sandbox(self) -> bool:
        """Whether only the app's own sandbox will do: its tree, its package manager, index or config vars, what is written later, or no wheel.

        A hook and NLTK write to the environment as the app's user, which is possible only where that user owns it.
        """
        install, written = self.facts["install"], self.facts["post_compile"] or self.facts["nltk"]
        built = any(option.startswith("--no-binary") for option in install["options"])
        if install["local"] or install["manager"] in TOOLS or written or built or self._index():
            return True
        return environments.needs_build(self.home, self.build.app_id.hex, self._input_digest())

    def _index(self) -> dict[str, str]:
        """The app's own index and credentials, and what stands on its list: what its installer may see of the config vars."""
        return specs.installer_vars(self.config, self.facts["install"]["manager"], self.listed)

    def _env_key(self) -> str:
        """The environment's name, as far as it can be told before anything is installed; empty: not yet."""
        install, lock = self.facts["install"], self._lock()
        parts = [install["manager"], *sorted(SEEDS.values()), environments.lock_digest(lock) if lock else install["digest"]]
        if not (install["locked"] or lock or install["local"]) or (install["local"] and install["moving"] and "repositories" not in self.facts):
            return ""
        if self._in_sandbox():
            parts += [self.build.app_id.hex, self.tool_key(), hashlib.sha256(repr(sorted(self._index().items())).encode()).hexdigest()]
        if install["tree"]:
            parts.append(self.build.commit)
        parts += self._generation()
        parts += sorted(self.facts.get("repositories", {}).values())
        return plan.environment_key(self.python, *parts)

    def _input_digest(self) -> str:
        """Names the resolution of requirements that are not locked: what is asked for, for which Python, from which index."""
        parts = [self.facts["install"]["digest"], self.python.text, repr(sorted(tools.index_settings().items()))]
        parts += [*sorted(self._index().values()), *([self.build.id.hex] if self.facts["install"]["moving"] else [])]
        return hashlib.sha256("\0".join([*parts, *self._generation()]).encode()).hexdigest()

    def _generation(self) -> list[str]:
        """What keeps a build apart from all before the app's cache was emptied; nothing if that never was."""
        count = self.facts.get("generation", 0)
        return [f"{self.build.app_id.hex}, cache {count}"] if count else []

    def _lock(self) -> str:
        if self.facts["install"]["locked"] or self.facts["install"]["local"]:
            return ""
        return environments.stored_lock(self.home, self.build.app_id.hex, self._input_digest())

    def _job(self, *, no_build: bool) -> dict[str, Any]:
        install = self.facts["install"]
        return {
            "seeds": seeds(self.python.minor) if install["manager"] == "pip" else "",
            "manager": install["manager"], "main": install["main"], "files": self.facts["files"], "hashed": install["locked"],
            "local": install["local"], "lock": self._lock(), "no_build": no_build, "root": self.facts["root"],
            "ignored": self.facts["ignored"], "options": install["options"], "tool": pins.PLACES.get(install["manager"], ""),
            "listed": [name for name in self.listed if name in self.config],
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
                source=self.facts["source"] if self.facts["install"]["local"] else "", index=self._index(), more=self.tool_mounts(),
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
        if install["moving"]:
            self.facts["repositories"] = environments.repositories(result)
        key = self._env_key()
        environments.adopt(
            self.home, name, key,
            {"lock": self._lock() or self.facts["files"], "packages": result.get("packages", {}), "uv": tools.uv_version(), "python": self.python.text},
        )  # fmt: skip
        self._seconds(result)
        return self.go("compile", env_key=key, seconds=self.facts.get("seconds", {}))
