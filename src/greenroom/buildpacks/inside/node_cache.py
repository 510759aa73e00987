"""The node_modules of an app's earlier builds, in the app's own cache.

Each is named by everything that determines its content. It is copied before the app's scripts can change it.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess

APP = "/app"
TOP = "/greenroom/cache/node"
MODULES = APP + "/node_modules"
COPY = "/usr/bin/cp"
PREFIX = "modules-"
FILES = ("package-lock.json", "npm-shrinkwrap.json", "yarn.lock", "pnpm-lock.yaml", ".npmrc", ".yarnrc")
LIFECYCLE = frozenset({"preinstall", "install", "postinstall", "prepublish", "preprepare", "prepare", "postprepare"})
"""Scripts of the app that its package manager runs at an installation: with one of them nothing is restored."""
DECLARED = (
    "dependencies",
    "devDependencies",
    "optionalDependencies",
    "peerDependencies",
    "overrides",
    "resolutions",
    "pnpm",
)
LOCAL = ("file:", "link:", "portal:", "workspace:", ".", "/", "~/")
"""Beginnings of versions that name a folder of the tree."""


def production_variable(manager):
    """(name, value) of the config var that decides about devDependencies; no value if it decides nothing."""
    name = {"npm": "NPM_CONFIG_PRODUCTION", "yarn": "YARN_PRODUCTION", "pnpm": "PNPM_SKIP_PRUNING"}[manager]
    value = os.environ.get(name, "")
    return name, "" if manager == "pnpm" and value != "true" else value


def production(manager):
    """Whether devDependencies are not installed at all."""
    return manager != "pnpm" and production_variable(manager)[1].lower() == "true"


class Cache:
    """The cache of one build. wish: see ``node.Build``."""

    def __init__(self, wish):
        self.wish = wish
        self.top = "%s/%d" % (TOP, wish["generation"])
        self.used = os.environ.get("NODE_MODULES_CACHE", "").lower() != "false"

    def folder(self, *names):
        """A folder of the cache; it may not exist yet."""
        return os.path.join(self.top, *names)

    def variables(self):
        """The folders for downloads, as settings of npm, yarn and pnpm."""
        return {
            "npm_config_cache": self.folder("npm"),
            "YARN_CACHE_FOLDER": self.folder("yarn"),
            "npm_config_store_dir": self.folder("pnpm"),
        }

    def key(self, package, node_env):
        """The name of the node_modules of these files; empty if it does not depend on them alone."""
        if not (self.used and self.wish["lock"]) or package.get("workspaces"):
            return ""
        if LIFECYCLE & set(package.get("scripts") or {}) or os.path.exists(APP + "/pnpm-workspace.yaml"):
            return ""
        declared = {name: package.get(name) for name in DECLARED}
        if any(
            _is_local(version) for table in declared.values() if isinstance(table, dict) for version in table.values()
        ):
            return ""
        parts = [self.wish["version"], self.wish["manager"], json.dumps(self.wish["tool"], sort_keys=True), node_env]
        parts += [platform.machine(), str(production(self.wish["manager"])), json.dumps(declared, sort_keys=True)]
        parts += [_digest(os.path.join(APP, name)) for name in FILES]
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:40]

    def restore(self, key):
        """Copy node_modules from the cache; False if there is none, or if it vanished meanwhile."""
        source = self.folder(PREFIX + key)
        if not os.path.isdir(source):
            return False
        shutil.rmtree(MODULES, ignore_errors=True)
        if _copy(source, MODULES):
            return True
        shutil.rmtree(MODULES, ignore_errors=True)
        return False

    def save(self, key):
        """Copy node_modules into the cache, atomically, and remove those of other files. A failure saves nothing."""
        if not os.path.isdir(MODULES) or os.path.islink(MODULES):
            return
        draft, goal = self.folder("new-" + self.wish["build"]), self.folder(PREFIX + key)
        shutil.rmtree(draft, ignore_errors=True)
        os.makedirs(self.top, exist_ok=True)
        try:
            if _copy(MODULES, draft) and not os.path.isdir(goal):
                os.rename(draft, goal)
        except OSError:
            pass  # another build of the same files was first
        for name in os.listdir(self.top):
            if name.startswith(("new-", PREFIX)) and name != PREFIX + key:
                shutil.rmtree(self.folder(name), ignore_errors=True)


def _copy(source, target):
    done = subprocess.run([COPY, "-a", "--reflink=auto", "--", source, target], capture_output=True)
    return done.returncode == 0


def _is_local(version):
    return isinstance(version, str) and version.startswith(LOCAL)


def _digest(path):
    try:
        with open(path, "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""
