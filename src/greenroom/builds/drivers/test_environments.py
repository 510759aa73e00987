"""The environment for an app's tests: the slug's own environment with an overlay of the test requirements, itself
unchanged.

Stateless: the requirements, the contents of ``envs/`` and the state of one dyno determine each step.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from greenroom.basics.errors import GreenroomError
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules import pins
from greenroom.buildpacks.rules.dependency_files import install_of
from greenroom.buildpacks.rules.package_managers import Manager
from greenroom.buildpacks.rules.python_versions import Interpreter
from greenroom.buildpacks.rules.requirements import read_requirements
from greenroom.builds.drivers import dyno_output, dyno_specs, environments
from greenroom.builds.rules import Ended, ended, masked, masked_result, secret_words, visible_config
from greenroom.engine.contract import Engine, Mount
from greenroom.engine.errors import EngineAwayError
from greenroom.slugs.drivers import store
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import ENV_TARGET, env_identity, env_layers, interpreter_mounts

FILE = "requirements-test.txt"
LINES = 40
"""Number of output lines to print of a failed installation."""


@dataclass(frozen=True)
class TestOverlay:
    """The mounts of a test dyno. status: pending (call again), ready, failed (``message`` has the reason)."""

    __test__ = False

    status: Literal["pending", "ready", "failed"]
    mounts: tuple[Mount, ...] = ()
    message: str = ""


@dataclass(frozen=True)
class _Wish:
    """The test requirements in addition to the slug's environment."""

    job: dict[str, Any]
    digest: str
    config: Mapping[str, str] = field(default_factory=dict)
    listed: tuple[str, ...] = ()

    @property
    def index(self) -> dict[str, str]:
        """The app's own index and credentials, as far as its installer may read them."""
        return dyno_specs.installer_vars(self.config, self.job["manager"], self.listed)

    def mask(self, text: str) -> str:
        """Mask credentials and secrets in the text."""
        return masked(
            text,
            (
                *visible_config.hidden(self.config, self.listed),
                *dyno_specs.passwords(self.config),
                *secret_words(self.index.values()),
            ),
        )


def prepare_test_overlay(
    *, slug: Slug, engine: Engine, home: Path, say: Callable[[str], None], config: Mapping[str, str] | None = None
) -> TestOverlay:
    """Take one step towards the environment for the slug's tests. Never waits; call again while ``pending``.

    Installs requirements-test.txt (pip), the default dependency groups (uv), ``--dev`` (pipenv) or all groups (poetry)
    on top of the slug's environment, always in the app's own sandbox and with its own cache: the lower layers may
    contain code of the app.
    Without test requirements the overlay is ready at once: the slug's own environment, to which test-setup may write in
    memory.
    config: the app's config vars, for the credentials of its own package index.
    """
    try:
        wish = _wish(slug, home)
    except BuildError as error:
        return TestOverlay("failed", message=error.message)
    if wish is None:
        return TestOverlay("ready", _mounts(slug, ()))
    wish = replace(wish, config=config or {}, listed=visible_config.names(slug.app.settings))
    wish.job["listed"] = [name for name in wish.listed if name in wish.config]
    key = _key(slug, wish)
    if environments.exists(home, key):
        return TestOverlay("ready", _mounts(slug, (key,)))
    try:
        return _install(slug, wish, key, engine, home, say)
    except EngineAwayError:
        return TestOverlay("pending")
    except (GreenroomError, OSError) as error:
        return TestOverlay("failed", message=str(error))


def _mounts(slug: Slug, extra: tuple[str, ...]) -> tuple[Mount, ...]:
    return (
        Mount(target="/app", mode="overlay", lower=(slug.artefact,)),
        Mount(target=ENV_TARGET, mode="overlay", lower=env_layers(slug, *extra)),
        *interpreter_mounts(slug),
    )


def _wish(slug: Slug, home: Path) -> _Wish | None:
    manager = slug.manifest.get("package_manager", "pip")
    tree = home / slug.folder
    if manager == "pip":
        return _requirements(slug, tree)
    main = {"uv": "uv.lock", "pipenv": "Pipfile.lock", "poetry": "poetry.lock"}[manager]
    if store.read_file(tree, main) is None:
        return None
    found = install_of(SlugFiles(tree), Manager(manager, main))
    text = hashlib.sha256("\0".join(found.files.values()).encode()).hexdigest()
    job = {
        "manager": manager,
        "main": main,
        "files": found.files,
        "hashed": True,
        "local": found.local,
        "groups": True,
        "tool": pins.PLACES.get(manager, ""),
    }
    return _Wish(job, text + (slug.digest if found.local else ""))


def _requirements(slug: Slug, tree: Path) -> _Wish | None:
    if store.read_file(tree, FILE) is None:
        return None
    found = read_requirements(lambda path: store.read_file(tree, path), FILE)
    local = bool(found.local) or found.links
    job = {
        "manager": "pip",
        "main": FILE,
        "files": found.files,
        "hashed": found.hashed,
        "local": local,
        "options": found.options,
    }
    return _Wish(job, found.digest + (slug.digest if local else ""))


class SlugFiles:
    """The files of a slug, with the interface of ``install_of``."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree

    def read(self, name: str) -> bytes | None:
        """A file's bytes; None if it does not exist."""
        return store.read_file(self.tree, name)


def _key(slug: Slug, wish: _Wish) -> str:
    """The name of the layer, from the slug's environment, the app, the lower layers and the requirements."""
    whole = "\0".join(["overlay", slug.app_id.hex, env_identity(slug), wish.digest])
    return f"{slug.env_key}-{hashlib.sha256(whole.encode()).hexdigest()[:40]}"


def _install(slug: Slug, wish: _Wish, key: str, engine: Engine, home: Path, say: Callable[[str], None]) -> TestOverlay:
    verdict = _watch(slug, wish, key, engine, home, say)
    if verdict is None:
        return TestOverlay("pending")
    if verdict.kind == "ok":
        environments.adopt(home, engine, _dyno(key), key, {"files": wish.job["files"]})
        engine.forget(_dyno(key))
        return TestOverlay("ready", _mounts(slug, (key,)))
    say("\n".join(dyno_output.tail(engine, _dyno(key), wish.mask).splitlines()[-LINES:]))
    engine.forget(_dyno(key))
    return TestOverlay("failed", message=wish.mask(verdict.message or "The installation ended without a result."))


def _tool(slug: Slug) -> tuple[Mount, ...]:
    key, manager = slug.manifest.get("tool_key", ""), slug.manifest.get("package_manager", "")
    return (dyno_specs.tool_mount(manager, key),) if key else ()


def _dyno(key: str) -> str:
    return f"overlay-{key.rpartition('-')[2]}"


def _watch(slug: Slug, wish: _Wish, key: str, engine: Engine, home: Path, say: Callable[[str], None]) -> Ended | None:
    """Start the dyno unless it has been started. Returns its end, or None while it runs."""
    state = engine.describe(_dyno(key))
    if state is None:
        say("-----> Installing the test dependencies")
        known = slug.manifest["interpreter"]
        state = engine.start(
            dyno_specs.install_spec(
                dyno_id=_dyno(key),
                app=slug.app,
                home=home,
                index=wish.index,
                lower=env_layers(slug),
                tree=slug.artefact if wish.job["local"] else "",
                python=Interpreter(tuple(known["version"]), known["path"], known["prefix"]),
                more=_tool(slug),
                job={**wish.job, "no_build": False, "overlay": True, "tree": True, "lock": "", "root": ""},
            )
        )
    if not state.ended:
        return None
    return ended(
        phase=state.phase,
        exit_code=state.exit_code,
        reason=state.reason,
        detail=state.detail,
        result=masked_result(environments.result(engine, _dyno(key)), wish.mask),
        memory_mb=dyno_specs.MEMORY_MB,
        minutes=dyno_specs.SECONDS / 60,
    )
