"""The step ``node`` of a build: reads the list of buildpacks and Aptfile, chooses Node.js, and waits for it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from greenroom.basics import clock
from greenroom.buildpacks.drivers import node_hosts
from greenroom.buildpacks.drivers.commit_files import Source
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import aptfile, buildpack_list, node_packages, node_versions, pins
from greenroom.buildpacks.rules.node_packages import Packages
from greenroom.buildpacks.rules.node_versions import Node
from greenroom.builds.drivers import apt_host, node_downloads
from greenroom.builds.steps.part import Part
from greenroom.slugs.queries import NODE_TARGET


class Choosing(Part):
    """The step ``node``, and the choice of the buildpacks before it."""

    def choose_buildpacks(self, source: Source) -> None:
        """Read and print the list of buildpacks."""
        chosen = buildpack_list.choose(self.build.app.buildpacks, source.read("app.json"))
        self.facts["buildpacks"] = list(chosen.names)
        self.say("\n".join(buildpack_list.lines(chosen.names)))
        for warning in chosen.warnings:
            self.warn(warning)

    def tell_unasked(self, source: Source) -> None:
        """Point out files of buildpacks that are not on the list."""
        hooks = [source.read(name) for name in ("bin/pre_compile", "bin/post_compile")]
        for line in buildpack_list.unasked(self.facts["buildpacks"], source.root_names(), hooks):
            self.say(f"       {line}")

    def warn(self, text: str) -> None:
        """Print a framed notice."""
        self.say("\n".join(["", *(f" !     {line}" for line in text.splitlines()), " "]))

    def choose_apt(self, source: Source) -> None:
        """Read Aptfile, if heroku-community/apt is on the list. BuildError if this host has no apt."""
        if buildpack_list.APT not in self.facts["buildpacks"]:
            return
        wanted = aptfile.read(source.read("Aptfile") or b"")
        if not wanted:
            self.warn("Warning: heroku-community/apt is on the list of buildpacks, but Aptfile names no package.")
            return
        if not apt_host.available():
            raise BuildError(
                "apt::not-here",
                "Aptfile cannot be installed: this host has no apt-get, since it is no Debian or Ubuntu.",
                hint="use packages that ship their libraries, and heroku buildpacks:remove heroku-community/apt",
            )
        self.say("-----> Apt app detected")
        self.facts["apt"] = {**asdict(wanted), "host": apt_host.folder(self.home)}

    def choose_node(self, source: Source) -> None:
        """Read package.json and choose its Node.js, if heroku/nodejs is on the list."""
        if buildpack_list.NODE not in self.facts["buildpacks"]:
            return
        names = {name for name in source.root_names()}
        packages = node_packages.read(names, lambda name: _small(source, name))
        choice = node_versions.choose(packages.engines, node_hosts.find(), node_downloads.offered())
        for warning in (*packages.warnings, *([choice.warning] if choice.warning else [])):
            self.warn(warning)
        self.facts["node"] = self._wish(packages, choice.node)

    def _wish(self, packages: Packages, node: Node) -> dict[str, Any]:
        """The job of ``inside/node.py``, as far as it does not depend on the moment."""
        first, second = (self.facts["buildpacks"].index(name) for name in (buildpack_list.NODE, buildpack_list.PYTHON))
        origin = "this host" if node.folder else "Greenroom"
        lines = [
            f"engines.node (package.json):   {packages.engines or 'unspecified'}",
            f"Using Node.js {node.text} of {origin}",
        ]
        return {
            "version": node.text,
            "folder": "" if node.folder else node_downloads.folder_of(node),
            "programs": node.folder or f"{NODE_TARGET}/bin",
            "manager": packages.manager,
            "lock": packages.lock,
            "tool": _tool(packages),
            "order": "before" if first < second else "after",
            "lines": lines,
            "wanted": asdict(node),
        }

    def node_is_here(self) -> bool:
        """Whether the build can go on: it needs no Node.js, or that is on this machine."""
        node = self.facts.get("node")
        return not node or not node["folder"] or node_downloads.exists(self.home, node["folder"])

    def await_node(self) -> bool:
        """Wait for the download of the chosen Node.js. BuildError if it failed."""
        wanted = self.facts["node"]["wanted"]
        node = Node(tuple(wanted["version"]))
        if self.node_is_here():
            return True
        if why := node_downloads.why_not(self.home, node):
            raise self._no_node(node, why)
        if not node_downloads.fetch(self.home, node):
            self._tell_progress()
            return False
        if why := node_downloads.why_not(self.home, node):
            raise self._no_node(node, why)
        return self.node_is_here()

    def _tell_progress(self) -> None:
        """Print a progress line every ten seconds."""
        node = self.facts["node"]
        seconds = int(clock.now().timestamp() - node["since"])
        if seconds >= node["told"] + 10:
            self.say(f"       ... {seconds} s")
            self.go("node", node={**node, "told": seconds})

    def _no_node(self, node: Node, why: str) -> BuildError:
        host = ", ".join(one.text for one in node_hosts.find()) or "none"
        return BuildError(
            "nodejs::not-here",
            self.mask(f"Node.js {node.text} could not be downloaded: {why}. On this host: {host}."),
            hint="push again later, or ask the operator about the package index",
        )


def _small(source: Source, name: str) -> bytes | None:
    """A file of the commit; None for a lock file that is too large to read."""
    try:
        return source.read(name)
    except BuildError:
        if name == "package.json":
            raise
        return None


def _tool(packages: Packages) -> dict[str, str] | None:
    """Name, version and hash of yarn or pnpm; None for npm."""
    if not packages.tool:
        return None
    version, integrity = pins.NPM_TOOLS[packages.tool]
    return {"name": packages.manager, "version": version, "integrity": integrity}
