"""Small apps with package.json, and their lock files, made by the host's npm and the pinned yarn and pnpm."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest

from greenroom.buildpacks.rules import pins
from tests import homes
from tests.builds.hosting import BASE, SIX, pip_files

HERE = shutil.which("npm") is not None
NEEDED = {"is-odd": "3.0.1"}
DEV = {"is-string": "1.0.7"}
BUILD_JS = (
    "require('is-string'); const odd = require('is-odd')(3);\n"
    "require('fs').mkdirSync('static', {recursive: true});\n"
    "require('fs').writeFileSync('static/app.js', `odd ${odd} ${process.env.PUBLIC_WORD}`);\n"
)
PYTHON_APP = {**BASE, **pip_files(SIX), "build.js": BUILD_JS}
skip_without_npm = pytest.mark.skipif(not HERE, reason="npm is not here: THE NODE.JS BUILDPACK IS NOT TESTED")


def package(**more: Any) -> dict[str, Any]:
    """A package.json with one dependency, one devDependency and a build script."""
    base = {"name": "shop", "version": "1.0.0", "private": True, "engines": {"node": ">=18"}}
    return {**base, "scripts": {"build": "node build.js"}, "dependencies": NEEDED, "devDependencies": DEV, **more}


def lock(manager: str, tree: dict[str, str]) -> dict[str, str]:
    """The tree with the lock file that the package manager makes from it."""
    name = {"npm": "package-lock.json", "yarn": "yarn.lock"}.get(manager, "pnpm-lock.yaml")
    return {**tree, name: _lock(manager, name, json.dumps(tree))}


@lru_cache
def _lock(manager: str, name: str, tree: str) -> str:
    folder = homes.folder("greenroom-npm-")
    for path, text in json.loads(tree).items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    npm = ["npm", "install", "--package-lock-only", "--ignore-scripts", "--no-audit", "--no-fund"]
    words = {
        "npm": npm,
        "yarn": [str(_tool("yarn")), "install", "--ignore-scripts", "--non-interactive"],
    }.get(manager) or [str(_tool(manager)), "install", "--lockfile-only", "--ignore-scripts"]
    env = {**os.environ, "YARN_CACHE_FOLDER": str(folder / "cache"), "YARN_REGISTRY": _registry(), "CI": ""}
    done = subprocess.run(words, cwd=folder, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return (folder / name).read_text()


@lru_cache
def _registry() -> str:
    """The registry that npm uses here; yarn has another default."""
    done = subprocess.run(["npm", "config", "get", "registry"], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@lru_cache
def _tool(key: str) -> Path:
    folder = homes.folder(f"greenroom-{key}-")
    name = key.partition("-")[0]
    argv = ["npm", "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"{name}@{pins.NPM_TOOLS[key][0]}"]
    subprocess.run(argv, check=True, capture_output=True)
    return folder / "node_modules" / ".bin" / name


def app(manager: str = "npm", more: dict[str, str] | None = None, **described: Any) -> dict[str, str]:
    """The files of an app with package.json and its lock file. described: keys of package.json."""
    tree = {**PYTHON_APP, **(more or {}), "package.json": json.dumps(package(**described))}
    return lock(manager, tree)
