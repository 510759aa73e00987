"""The dynos of the check ``scan``: ruff on the pushed and the deployed tree, Django's checks, and optional scanners.

``scan_report`` combines their results.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from greenroom.addons.queries import nowhere
from greenroom.apps.models import App
from greenroom.basics.text import printable
from greenroom.buildpacks.errors import BuildError
from greenroom.buildpacks.rules.app_files import read_settings
from greenroom.buildpacks.rules.dyno_environment import runtime_env
from greenroom.checks import queries
from greenroom.checks.builtin import environment
from greenroom.checks.builtin.results import left_json, shown_output, why_ended
from greenroom.checks.drivers import tools
from greenroom.checks.inside import scanners
from greenroom.checks.models import CheckRun
from greenroom.engine import host_python, names
from greenroom.engine.contract import DynoSpec, DynoState, Engine, Limits, Mount
from greenroom.git.drivers.modules import MissingError
from greenroom.git.queries import Tree, resolve, show, tree, write_tree
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import buildpack_parts

TIMEOUT = 5 * 60.0
MEMORY_MB, SCANNERS_MB = 1024, 2048
OLD, NEW = "/greenroom/old.tar", "/greenroom/new.tar"


def dyno_id(run: CheckRun) -> str:
    """The engine's id of the dyno that runs ruff. It never changes."""
    return f"scan-{run.id.hex}"


def scanners_dyno_id(run: CheckRun) -> str:
    """The engine's id of the dyno that runs the optional scanners."""
    return f"scan-{run.id.hex}-scanners"


def settings_of(*, app: App, home: Path, sha: str) -> dict[str, Any]:
    """``[scan]`` of the commit's greenroom.toml: {scanners, migrations}. The build reports an invalid file, not the
    scan.
    """
    found: dict[str, Any] = {"scanners": [], "migrations": "warn"}
    if resolve(app, home, sha) is None:
        return found
    try:
        return found | read_settings(show(app, home, sha, "greenroom.toml")).get("scan", {})
    except BuildError:
        return found


def wish_of(*, app: App, home: Path, sha: str, deployed_sha: str) -> dict[str, Any]:
    """``settings_of`` the commit; ``weaker`` lists, as texts, the settings that it removes from the deployed commit."""
    wish = settings_of(app=app, home=home, sha=sha)
    before = settings_of(app=app, home=home, sha=deployed_sha) if deployed_sha else wish
    gone = [name for name in before["scanners"] if name not in wish["scanners"]]
    weaker = [f"this push turns off {', '.join(gone)}."] if gone else []
    if before["migrations"] == "error" and wish["migrations"] != "error":
        weaker.append("this push sets migration hazards back to warnings.")
    return {**wish, "weaker": weaker}


def models_dyno_id(run: CheckRun) -> str:
    """The engine's id of the dyno that runs ``makemigrations --check``."""
    return f"scan-{run.id.hex}-models"


def source_file(*, app: App, home: Path, sha: str) -> Path:
    """The commit's tree as a tar file, which is created if it is missing, with its files in Git LFS and the submodules
    that its build has fetched. UserError if a submodule is no longer in the cache.
    """
    return home / "sources" / f"{_key(app, home, sha)}.tar"


def _key(app: App, home: Path, sha: str) -> str:
    if (home / "sources" / f"{sha}.tar").exists():  # only of a commit without such parts
        return sha
    return _written(app, home, tree(app, home, sha))


def _written(app: App, home: Path, found: Tree) -> str:
    if not (home / "sources" / f"{found.key}.tar").exists():
        write_tree(app, home, found)
    return found.key


def _old_key(app: App, home: Path, sha: str) -> str:
    """The key of the deployed tree; without submodules that are no longer in the cache, so that their findings count as
    new.
    """
    try:
        return _key(app, home, sha)
    except MissingError:
        return _written(app, home, tree(app, home, sha).bare)


def _sources(app: App, home: Path, sha: str, deployed_sha: str) -> tuple[tuple[Mount, ...], dict[str, Any]]:
    """The mounts of both archives (pushed and deployed tree), and their paths for the scan's input."""
    sources = [Mount(target=NEW, source=names.source(_key(app, home, sha)))]
    if deployed_sha:
        sources.append(Mount(target=OLD, source=names.source(_old_key(app, home, deployed_sha))))
    return tuple(sources), {
        "new": NEW,
        "old": OLD if deployed_sha else None,
        "work": "/tmp/scan",  # noqa: S108 -- inside the dyno
    }


def _reader(
    *,
    dyno: str,
    app: App,
    job: str,
    process: str,
    mounts: tuple[Mount, ...],
    wish: dict[str, Any],
    egress: bool = False,
    home: Path,
    memory_mb: int = MEMORY_MB,
) -> DynoSpec:
    """A dyno that reads archives. It has no config vars and runs no code of the app."""
    interpreter, extra = host_python.find()
    return DynoSpec(
        id=dyno,
        kind="scan",
        owner=app.id.hex,
        uid=app.number,
        process=process,
        command=(interpreter, "-I", tools.RUNNER, job, tools.OUT),
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"},  # noqa: S108 - inside the dyno
        mounts=(*mounts, *extra, tools.runner_mount(home), tools.out_mount()),
        cwd="/tmp",  # noqa: S108 - inside the dyno
        egress=egress,
        limits=Limits(memory_mb=memory_mb, timeout=TIMEOUT),
        output=True,
        stdin=json.dumps(wish).encode(),
    )


def spec(*, run: CheckRun, app: App, sha: str, deployed_sha: str, home: Path) -> DynoSpec:
    """The spec of ruff's dyno: two archives as input, no network."""
    sources, wish = _sources(app, home, sha, deployed_sha)
    mounts = (*sources, tools.ruff_mount(home), tools.secrets_mount(home))
    wish |= {"ruff": tools.RUFF, "secrets": tools.SECRETS}
    return _reader(dyno=dyno_id(run), app=app, job="scan", process="scan.1", mounts=mounts, wish=wish, home=home)


def scanners_spec(*, run: CheckRun, app: App, sha: str, deployed_sha: str, names: list[str], home: Path) -> DynoSpec:
    """The spec of the optional scanners' dyno: the installed tools; network access only if a scanner needs it."""
    sources, wish = _sources(app, home, sha, deployed_sha)
    found = tools.scanner_mounts(home, names)
    wish["scanners"] = {name: found[name].target if name in found else None for name in names}
    known = [scanners.find(name) for name in found if name in scanners.names()]
    return _reader(
        dyno=scanners_dyno_id(run),
        app=app,
        job="scanners",
        process="scan.3",
        mounts=(*sources, *found.values()),
        wish=wish,
        egress=any(scanner.network for scanner in known),
        home=home,
        memory_mb=SCANNERS_MB,
    )


def models_spec(
    *, run: CheckRun, slug: Slug, mounts: tuple[Mount, ...], deployed_sha: str, strict: bool, home: Path
) -> DynoSpec:
    """The spec of the dyno that runs Django's checks and squawk on the built slug: the test environment, no database.

    strict: hazards of new migrations block.
    """
    old = (Mount(target=OLD, source=names.source(_old_key(run.app, home, deployed_sha))),) if deployed_sha else ()
    wish = {
        "squawk": tools.SQUAWK,
        "old": OLD if deployed_sha else None,
        "root": slug.settings.get("root", ""),
        "strict": strict,
    }
    wish["known"] = _drift(run.app, deployed_sha)
    config = environment.of_tests(
        app_json=slug.app_json,
        is_django=True,
        addons=nowhere(run.app),
        marks={"CI": "true"},
        settings=environment.seen(run.app, home),
        folder=home / slug.folder,
    )
    interpreter, extra = host_python.find()
    return DynoSpec(
        id=models_dyno_id(run),
        kind="scan",
        owner=run.app.id.hex,
        uid=run.app.number,
        process="scan.2",
        command=(interpreter, "-I", tools.RUNNER, "models", tools.OUT),
        env=runtime_env(config=config, process="scan.2", port=0, memory_mb=MEMORY_MB, parts=buildpack_parts(slug)),
        mounts=(*mounts, *old, *extra, tools.runner_mount(home), tools.squawk_mount(home), tools.out_mount()),
        egress=False,
        limits=Limits(memory_mb=MEMORY_MB, timeout=TIMEOUT),
        output=True,
        stdin=json.dumps(wish).encode(),
    )


def _drift(app: App, deployed_sha: str) -> list[str]:
    """The output lines of ``makemigrations --check`` on the deployed commit."""
    run = queries.latest_of(app, deployed_sha, "scan") if deployed_sha else None
    models = (run.data.get("models") or {}) if run else {}
    lines = models.get("drift") or models.get("changes") or []
    return [str(line) for line in lines][:200] if isinstance(lines, list) else []


def result_of(*, dyno: str, state: DynoState, engine: Engine) -> dict[str, Any]:
    """The result file of an ended dyno, or an ``error`` in the same shape if the dyno left none."""
    result = left_json(engine, dyno, "result.json")
    if state.reason in ("timeout", "silence"):
        return {"outcome": "timed_out", "detail": f"it took more than {TIMEOUT / 60:.0f} minutes"}
    known = result is not None and result.get("outcome") in ("success", "failure", "error")
    if result is None or not known or state.phase == "lost" or state.reason == "oom":
        shown = printable(shown_output(engine, dyno))
        return {"outcome": "error", "detail": f"the scanner did not finish: {why_ended(state)}", "tail": shown}
    return result
