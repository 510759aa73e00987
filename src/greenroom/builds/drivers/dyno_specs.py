"""The dyno specs of a build: the install dyno (no tenant's code) and the app's own build dynos, with their mounts and
environment.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from greenroom.addons import queries as addons
from greenroom.addons.rules.access import BUILD
from greenroom.apps.models import App
from greenroom.apps.queries import allowed_targets
from greenroom.buildpacks.rules import pins
from greenroom.buildpacks.rules.dyno_environment import ENV_PLACE, build_env
from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.builds.drivers import tools
from greenroom.builds.rules import SHORTEST, visible_config
from greenroom.engine import names
from greenroom.engine.contract import PLATFORM, DynoSpec, Kind, Limits, Mount, interpreter_mount

ENV = ENV_PLACE
SOURCE = "/greenroom/source.tar"
TREE = "/greenroom/tree"
CACHE = "/greenroom/cache"
OUT = "/greenroom/out"
SECONDS = 15 * 60.0
MEMORY_MB = 2048
PIDS = 1024
PLATFORM_UID = 0
SHARED_CACHE = names.cache(PLATFORM, "wheels")
"""The wheels shared by all apps. Only dynos of ``shared_spec`` write to it, and only the janitor's
empty it; no other dyno has access.
"""
LIMITS = Limits(memory_mb=MEMORY_MB, pids=PIDS, timeout=SECONDS, grace=5.0)
INSTALLER_ENV = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/tmp",  # noqa: S108 -- inside the dyno
    "LANG": "C.UTF-8",
    "UV_SYSTEM_CERTS": "1",
    "UV_CONCURRENT_DOWNLOADS": "16",
    "UV_HTTP_CONNECT_TIMEOUT": "30",
    "UV_HTTP_RETRIES": "5",
}
"""uv opens 50 connections and waits 10 s for each; a dyno's egress opens 8 at a time."""
CREDENTIAL_VARS = {
    "poetry": re.compile(r"POETRY_HTTP_BASIC_[A-Z0-9_]+_(?:USERNAME|PASSWORD)\Z"),
    "uv": re.compile(r"UV_INDEX_[A-Z0-9_]+_(?:USERNAME|PASSWORD)\Z"),
}
"""Config vars with which an installer authenticates to an index of the lock file. Heroku passes none of them."""


def command(python: Interpreter, script: str) -> tuple[str, ...]:
    """The argv of a dyno-side script under the bare interpreter: isolated, without site, so that no package can add
    code.
    """
    return (python.path, "-I", "-S", f"{tools.SCRIPTS}/{script}.py")


def private_index(config: Mapping[str, str]) -> dict[str, str]:
    """uv's settings for the app's own package index; empty without one."""
    value = config.get("PIP_EXTRA_INDEX_URL", "").strip()
    return {"UV_INDEX": " ".join(value.split()), "PIP_EXTRA_INDEX_URL": value} if value else {}


def installer_vars(config: Mapping[str, str], manager: str, listed: Collection[str] = ()) -> dict[str, str]:
    """The config vars that an installer may read: the private index of pip and pipenv, index credentials of poetry and
    uv, and the names on the app's list (``listed``).
    """
    found = private_index(config) if manager in ("pip", "uv", "pipenv") else {}
    wanted = CREDENTIAL_VARS.get(manager)
    found |= {key: value for key, value in config.items() if wanted and wanted.match(key)}
    return found | {
        key: value for key, value in visible_config.values(config, listed, manager).items() if key not in found
    }


def passwords(config: Mapping[str, str]) -> tuple[str, ...]:
    """The passwords among the config vars that installers may read, to be masked everywhere."""
    wanted = (
        key for key in config if key.endswith("_PASSWORD") and any(rule.match(key) for rule in CREDENTIAL_VARS.values())
    )
    return tuple(config[key] for key in wanted if len(config[key]) >= SHORTEST)


def mirror() -> dict[str, str]:
    """pipenv's setting that replaces the public index by the operator's."""
    index = tools.index_settings().get("UV_DEFAULT_INDEX", "")
    return {"PIPENV_PYPI_MIRROR": index} if index else {}


def tool_mount(tool: str, key: str) -> Mount:
    """The mount of pipenv's or poetry's environment, at its path in build dynos."""
    return Mount(target=pins.PLACES[tool], source=names.environment(key))


def app_cache_mount(app: App) -> Mount:
    """The mount of the app's own cache."""
    return Mount(target=CACHE, source=names.cache(app.id.hex, "build"), mode="rw")


def tool_spec(*, dyno_id: str, tool: str, python: Interpreter, home: Path) -> DynoSpec:
    """The dyno spec that installs pipenv or poetry itself from wheels, without an app."""
    job = {
        "manager": "pip",
        "main": f"{tool}.txt",
        "lock": pins.requirements(tool),
        "title": f"Installing {tool} {pins.VERSIONS[tool]}",
        "reason": f"install-package-manager::{tool}",
        "target": pins.PLACES[tool],
    }
    return shared_spec(dyno_id=dyno_id, python=python, home=home, job=job, target=pins.PLACES[tool])


def shared_spec(
    *, dyno_id: str, python: Interpreter, home: Path, job: Mapping[str, Any], target: str = ENV
) -> DynoSpec:
    """The dyno spec that creates an environment for all apps, in its scratch folder ``env``, mounted at ``target``.

    Only this dyno may write to the shared cache. Its only input from an app is ``job["lock"]``, lines that
    ``shared_packages.pinned`` has checked: no file, no config var, no environment. The platform's key seals its
    bytecode.
    """
    whole = {
        **job,
        "shared": True,
        "no_build": True,
        "local": False,
        "hashed": True,
        "files": {},
        "root": "",
        "seal": tools.seal(home),
    }
    mounts = (
        Mount(target=target, source="scratch:env", mode="rw"),
        Mount(target=CACHE, source=SHARED_CACHE, mode="rw"),
    )
    return _installer(dyno_id=dyno_id, app=None, python=python, home=home, job=whole, mounts=mounts, index={})


def install_spec(
    *,
    dyno_id: str,
    app: App,
    python: Interpreter,
    home: Path,
    job: Mapping[str, Any],
    source: str = "",
    tree: str = "",
    index: Mapping[str, str],
    lower: tuple[str, ...] = (),
    more: tuple[Mount, ...] = (),
) -> DynoSpec:
    """The dyno spec that resolves requirements or creates an environment in the app's own sandbox, with the app's own
    cache.

    source: name of the commit's tar, if its files are needed; tree: name of a slug instead. lower: names of the layers
    of an environment that it extends (its additions are ``env``).
    """
    files = (Mount(target=SOURCE, source=source),) if source else (Mount(target=TREE, source=tree),) if tree else ()
    mounts = (
        *((Mount(target="/app", source="scratch:app", mode="rw"), *files) if files else ()),
        Mount(target=ENV, mode="overlay", lower=lower, upper="scratch:env")
        if lower
        else Mount(target=ENV, source="scratch:env", mode="rw"),
        *more,
        app_cache_mount(app),
    )
    return _installer(
        dyno_id=dyno_id, app=app, python=python, home=home, job={**job, "shared": False}, mounts=mounts, index=index
    )


def _installer(
    *,
    dyno_id: str,
    app: App | None,
    python: Interpreter,
    home: Path,
    job: Mapping[str, Any],
    mounts: tuple[Mount, ...],
    index: Mapping[str, str],
) -> DynoSpec:
    certificates, settings = tools.certificate_mounts(home)
    kind: Kind = "build" if app else "install"
    return DynoSpec(
        id=dyno_id,
        kind=kind,
        owner=app.id.hex if app else PLATFORM,
        uid=app.number if app else PLATFORM_UID,
        process=f"{kind}.1",
        command=command(python, "install"),
        env={**INSTALLER_ENV, **tools.index_settings(), **mirror(), **settings, **index},
        mounts=(
            *mounts,
            Mount(target=OUT, source="scratch:out", mode="rw"),
            tools.script_mount(home),
            tools.uv_mount(home),
            *certificates,
            *interpreter_mount(python.prefix),
        ),
        cwd="/",
        limits=LIMITS,
        output=True,
        stdin=json.dumps({**job, "python": python.path}).encode(),
    )


def compile_spec(
    *,
    dyno_id: str,
    app: App,
    commit: str,
    python: Interpreter,
    home: Path,
    job: Mapping[str, Any],
    source: str,
    env: str,
    config: Mapping[str, str],
    request_id: str = "",
    writable: bool = False,
    parts: Collection[str] = (),
    more: tuple[Mount, ...] = (),
) -> DynoSpec:
    """The dyno spec that turns the commit's tar into the slug's tree, in its scratch folder ``app``. It has the config
    vars, as on Heroku, except for database credentials: a build may read the live data but cannot change it.

    env: name of the environment, empty for none. writable: keep changes to it in the scratch folder ``env``.
    """
    config = addons.environment(config, app=app, home=home, access=BUILD)
    seen = build_env(config=config, commit=commit, request_id=request_id, parts=parts)
    job = {**job, "names": sorted(key for key, value in config.items() if seen.get(key) == value)}
    cache = (app_cache_mount(app),) if any(job.get(key) for key in ("hooks", "node", "apt")) else ()
    return DynoSpec(
        id=dyno_id,
        kind="build",
        owner=app.id.hex,
        uid=app.number,
        process="build.1",
        command=command(python, "build"),
        env=seen,
        mounts=(*_app_mounts(env, writable), *more, *cache, *_job_mounts(source, python, home)),
        allowed=allowed_targets(app),
        forwards=addons.forwards(app),
        limits=LIMITS,
        output=True,
        stdin=json.dumps(job).encode(),
    )


def _job_mounts(source: str, python: Interpreter, home: Path) -> tuple[Mount, ...]:
    """Mounts of the commit, the output folder, the script and its interpreter."""
    return (
        Mount(target=SOURCE, source=source),
        Mount(target=OUT, source="scratch:out", mode="rw"),
        tools.script_mount(home),
        *interpreter_mount(python.prefix),
    )


def _app_mounts(env: str, writable: bool) -> tuple[Mount, ...]:
    """Mounts of the app's folder, and of its environment if there is one."""
    tree = Mount(target="/app", source="scratch:app", mode="rw")
    if not env:
        return (tree,)
    if writable:
        return tree, Mount(target=ENV, mode="overlay", lower=(env,), upper="scratch:env")
    return tree, Mount(target=ENV, source=env)
