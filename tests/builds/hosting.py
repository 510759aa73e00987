"""A home with a running local engine, an app with a repository, and helpers to build its commits. The pinned tools make
the lock files.
"""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from uv import find_uv_bin

from greenroom.buildpacks.drivers import interpreters
from greenroom.buildpacks.rules import pins
from greenroom.builds import actions, steps
from greenroom.builds.drivers.test_environments import TestOverlay, prepare_test_overlay
from greenroom.builds.models import Build
from greenroom.engine.contract import DynoSpec, Limits
from greenroom.engine.local.client import LocalEngine
from greenroom.engine.local.supervisor import find_bwrap
from tests import homes
from tests.checks.dyno_side import write
from tests.engine.machine import IS_ROOT, ORDINARY, SOURCE
from tests.engine.machine import PYTHON as PLAIN_PYTHON

PYTHON = "{}.{}".format(*interpreters.find()[-1].minor)
BASE = {".python-version": f"{PYTHON}\n", "Procfile": "web: python -m http.server $PORT\n", "app.py": "import six\n"}
SIX, ADDED = "six==1.16.0", "iniconfig==2.0.0"


class Machine:
    """A home with its supervisor, for a module or for a test that breaks it. ordinary: run it as an ordinary user."""

    def __init__(self, *, ordinary: bool = False) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="greenroom-builds-", dir="/tmp"))
        self.home.chmod(0o755)
        (self.home / "keys").mkdir(mode=0o700)
        (self.home / "keys" / "master.key").write_text(base64.b64encode(os.urandom(32)).decode())
        for name in ("slugs", "envs", "cache", "sources", "run", "logs"):
            (self.home / name).mkdir(mode=0o755)
        self.log = (self.home / "supervisor.log").open("wb")
        argv = [sys.executable, "-m", "greenroom.engine.local.supervisor", "--home", str(self.home)]
        env = None
        if ordinary and IS_ROOT:
            subprocess.run(["chown", "-R", f"{ORDINARY}:{ORDINARY}", str(self.home)], check=True)
            drop = ["setpriv", "--reuid", str(ORDINARY), "--regid", str(ORDINARY), "--clear-groups"]
            argv = [*drop, PLAIN_PYTHON, *argv[1:], "--bwrap", find_bwrap()]
            env = {"PYTHONPATH": str(SOURCE), "PATH": "/usr/bin:/bin"}
        self.supervisor = subprocess.Popen(argv, stdout=self.log, stderr=self.log, env=env)
        self.engine = LocalEngine(self.home)
        self.engine.about()

    def close(self) -> None:
        for state in self.engine.list():
            self.engine.forget(state.id)
        self.supervisor.kill()
        self.supervisor.wait(10)
        self.log.close()
        shutil.rmtree(self.home, ignore_errors=True)


@dataclass
class Workshop:
    """One app on a machine: makes commits from files, builds them and inspects the results."""

    app: object
    machine: Machine
    config: dict[str, str] = field(default_factory=dict)
    said: list[str] = field(default_factory=list)

    @property
    def home(self) -> Path:
        return self.machine.home

    @property
    def text(self) -> str:
        return "\n".join(self.said)

    def commit(self, files: dict[str, str]) -> str:
        """A commit with exactly these files. Files that begin with ``#!`` are executable."""
        work, bare = self.home / "work" / self.app.id.hex, self.home / self.app.repo_folder
        git = ["git", "-c", "user.name=Alice", "-c", "user.email=alice@example.com", "-C", str(work)]
        if not bare.exists():
            work.mkdir(parents=True)
            subprocess.run([*git, "init", "-q", "-b", "master"], check=True)
            subprocess.run(["git", "init", "-q", "--bare", str(bare)], check=True)
        for path in work.iterdir():
            if path.name != ".git":
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        write(work, files)
        for words in (
            ["add", "-A", "-f"],
            ["commit", "-qm", "work", "--allow-empty"],
            ["push", "-q", "-f", str(bare), "HEAD:master"],
        ):
            subprocess.run([*git, *words], check=True)
        return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()

    def start(self, files: dict[str, str] | None = None, commit: str = "") -> Build:
        return actions.start(app=self.app, commit=commit or self.commit(files or {}), account=None)

    def step(self, build: Build) -> Build:
        return steps.advance(
            build=build, engine=self.machine.engine, home=self.home, say=self.said.append, config=self.config
        )

    def finish(self, build: Build, seconds: float = 120) -> Build:
        end = time.monotonic() + seconds
        while build.status == "pending":
            assert time.monotonic() < end, (
                f"{build.phase} {build.facts.get('trouble')}\n{self.text}\n{self.machine.engine.list()}"
            )
            self.step(build)
            time.sleep(0.05)
        return build

    def build(self, files: dict[str, str] | None = None, commit: str = "") -> Build:
        """Build the files, or the commit again, until the build ends."""
        self.said.clear()
        return self.finish(self.start(files, commit))

    def built(self, files: dict[str, str] | None = None, commit: str = "") -> Build:
        """The same, but the build must succeed."""
        build = self.build(files, commit)
        assert build.status == "succeeded", f"{build.failure_reason}: {build.failure_message}\n{self.text}"
        return build

    def versions(self, build: Build) -> dict[str, str]:
        """name -> version of the packages in the slug's environment."""
        site = next((self.home / build.slug.env_folder / "lib").glob("python3.*/site-packages"))
        return {
            name.lower(): version for name, version in (path.stem.rsplit("-", 1) for path in site.glob("*.dist-info"))
        }

    def packages(self, build: Build) -> set[str]:
        """Names of the packages in the slug's environment."""
        return set(self.versions(build))


def overlay(workshop: Workshop, build: Build, seconds: float = 120) -> TestOverlay:
    """Wait for the environment of the build's tests, ready or failed."""
    end = time.monotonic() + seconds
    while True:
        asked = {
            "slug": build.slug,
            "engine": workshop.machine.engine,
            "home": workshop.home,
            "config": workshop.config,
        }
        found = prepare_test_overlay(**asked, say=workshop.said.append)
        if found.status != "pending":
            return found
        assert time.monotonic() < end, workshop.machine.engine.list()
        time.sleep(0.1)


def printed(workshop: Workshop, seen: tuple, *command: str, env: dict[str, str] | None = None) -> str:
    """The output of a command in a dyno with these mounts."""
    name = f"look-{time.time():.6f}"
    paths = {"PATH": "/app/.heroku/python/bin:/usr/bin:/bin", **(env or {})}
    spec = DynoSpec(
        id=name,
        kind="run",
        owner=workshop.app.id.hex,
        uid=workshop.app.number,
        process="run.1",
        command=command,
        env=paths,
        mounts=seen,
        output=True,
        limits=Limits(memory_mb=512),
    )
    engine = workshop.machine.engine
    engine.start(spec)
    while (state := engine.describe(name)) and state.phase not in ("exited", "lost"):
        time.sleep(0.05)
    text = engine.output(name, 0, limit=10_000_000).data.decode()
    assert state.exit_code == 0, text
    return text


@lru_cache
def index() -> str:
    """The package index that uv uses here; the lock files of pipenv and poetry name it as their source."""
    argv = [find_uv_bin(), "pip", "compile", "--quiet", "--no-header", "--no-annotate", "--emit-index-url", "-"]
    text = subprocess.run(argv, input=SIX, capture_output=True, text=True, check=True).stdout
    return next(line.split()[1] for line in text.splitlines() if line.startswith(("--index-url", "--default-index")))


@lru_cache
def _tool(name: str) -> Path:
    folder = homes.folder(f"greenroom-{name}-")
    uv, env = find_uv_bin(), folder / "env"
    (folder / "pins.txt").write_text(pins.requirements(name))
    subprocess.run([uv, "venv", "--quiet", str(env)], check=True)
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(env), "-r", str(folder / "pins.txt")], check=True)
    return env / "bin" / "python"


def _lock(tool: str, name: str, text: str) -> dict[str, str]:
    """The project file and its lock, generated by the tool itself."""
    folder = homes.folder("greenroom-lock-")
    (folder / name).write_text(text)
    env = {key: value for key, value in os.environ.items() if key not in ("VIRTUAL_ENV", "PIPENV_ACTIVE")}
    env |= {
        "PIPENV_NOSPIN": "1",
        "WORKON_HOME": str(folder),
        "POETRY_VIRTUALENVS_IN_PROJECT": "true",
        "PIPENV_VERBOSITY": "-1",
    }
    done = subprocess.run(
        [str(_tool(tool)), "-m", tool, "lock"], cwd=folder, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    lock = next(path for path in (folder / "Pipfile.lock", folder / "poetry.lock") if path.exists())
    return {name: text, lock.name: lock.read_text()}


@lru_cache
def pipenv_files(*packages: str, dev: str = "") -> dict[str, str]:
    """A Pipfile with these packages and its lock."""
    lines = "\n".join(f'{name} = "=={version}"' for name, version in (line.split("==") for line in packages))
    more = "\n".join(f'{name} = "=={version}"' for name, version in (line.split("==") for line in dev.split()))
    text = (
        f'[[source]]\nname = "main"\nurl = "{index()}"\nverify_ssl ='
        f" true\n\n[packages]\n{lines}\n\n[dev-packages]\n{more}\n"
    )
    return _lock("pipenv", "Pipfile", text)


@lru_cache
def poetry_files(*packages: str, dev: str = "", more: str = "") -> dict[str, str]:
    """A pyproject.toml with these packages and an explicit source, and its lock."""
    groups = f"[dependency-groups]\ndev = {dev.split()!r}\n" if dev else ""
    text = (
        '[project]\nname = "shop"\nversion = "0.1"\nrequires-python = ">=3.10"\ndependencies ='
        f' {list(packages)!r}\n{groups}[tool.poetry]\npackage-mode = false\n[[tool.poetry.source]]\nname = "main"\nurl'
        f' = "{index()}"\npriority = "primary"\n{more}'
    )
    return _lock("poetry", "pyproject.toml", text)


@lru_cache
def uv_files(*packages: str) -> dict[str, str]:
    """A pyproject.toml with these packages, and uv.lock."""
    folder = homes.folder("greenroom-lock-")
    text = f'[project]\nname = "shop"\nversion = "0.1"\nrequires-python = ">=3.10"\ndependencies = {list(packages)!r}\n'
    (folder / "pyproject.toml").write_text(text)
    subprocess.run([find_uv_bin(), "lock", "--quiet", "--directory", str(folder)], check=True)
    return {"pyproject.toml": text, "uv.lock": (folder / "uv.lock").read_text()}


def uv_project(files: dict[str, str]) -> dict[str, str]:
    """The files, one of which is pyproject.toml, and the uv.lock that uv generates from them."""
    folder = homes.folder("greenroom-lock-")
    write(folder, files)
    subprocess.run([find_uv_bin(), "lock", "--quiet", "--directory", str(folder)], check=True)
    return {**files, "uv.lock": (folder / "uv.lock").read_text()}


def pip_files(*packages: str) -> dict[str, str]:
    """A requirements.txt."""
    return {"requirements.txt": "".join(f"{line}\n" for line in packages)}


FILES = {"pip": pip_files, "uv": uv_files, "pipenv": pipenv_files, "poetry": poetry_files}
"""package manager -> function that makes the files for some packages."""
COMMENTED = {"pip": "requirements.txt", "uv": "uv.lock", "pipenv": "Pipfile", "poetry": "poetry.lock"}
"""package manager -> one of its files that may contain a comment."""
