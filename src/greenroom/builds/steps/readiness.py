"""Tells the pusher, between the installation and the build of the tree, what the app lacks to run."""

from __future__ import annotations

from greenroom.addons import queries as addons
from greenroom.buildpacks.drivers.commit_files import Source
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import readiness, secret_key
from greenroom.builds.drivers import environments
from greenroom.builds.steps.part import Part


class Telling(Part):
    """The notices before the step ``compile``."""

    def tell_lacks(self) -> None:
        """Print one line for each thing that the app lacks."""
        source = Source(self.home / self.facts["source"], self.facts["root"])
        try:
            source.leave_out(self.facts["ignored"])
            lines = self._lacks(source)
        finally:
            source.close()
        if lines:
            self.say("\n".join(["", *(f" !     {line}" for line in lines), " "]))

    def _lacks(self, source: Source) -> list[str]:
        def read(name: str) -> bytes | None:
            try:
                return source.read(name)
            except BuildError:  # too large for a settings module
                return None

        key, files = self.facts["env_key"], source.files()
        chosen = self.config.get("DJANGO_SETTINGS_MODULE", "")
        modules = [secret_key.settings_module(read, names, chosen) for names in (files, [])]
        settings, collecting = (readiness.read_settings(read, name) if name else None for name in modules)
        app = readiness.App(
            files=tuple(files),
            process_types=self.facts["process_types"],
            has_procfile="Procfile" in source,
            is_django=environments.has_package(self.home, key, "django"),
            package=lambda name: environments.has_package(self.home, key, name),
            program=lambda name: environments.has_program(self.home, key, name),
            hooked=bool(self.facts["post_compile"]) or bool(self.facts.get("apt")),
            collects=self.config.get("DISABLE_COLLECTSTATIC", "") in ("", "0"),
            name=self.build.app.name,
            keeps_files=bool(addons.mounts(self.build.app, dyno="web")),
        )
        return readiness.lacks(app, settings, collecting)
