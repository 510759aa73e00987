"""The check ``scan``: ruff over the pushed and the deployed tree, and Django's own look for models without migrations."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from greenroom.apps.models import App
from greenroom.buildpacks.runtime import runtime_env
from greenroom.checks import tools
from greenroom.checks.builtin import environment
from greenroom.checks.builtin.results import Outcome, indent, plural, printable, read_json, tail, why_ended
from greenroom.checks.models import CheckRun
from greenroom.engine.contract import DynoSpec, DynoState, Limits, Mount, output_file
from greenroom.git.queries import archive
from greenroom.slugs.models import Slug

TIMEOUT = 5 * 60.0
MEMORY_MB = 1024
SHOWN = 20
OLD, NEW = "/greenroom/old.tar", "/greenroom/new.tar"


def dyno_id(run: CheckRun) -> str:
    """The engine's id of the dyno that runs ruff, the same for ever."""
    return f"scan-{run.id.hex}"


def models_dyno_id(run: CheckRun) -> str:
    """The engine's id of the dyno that asks Django about migrations."""
    return f"scan-{run.id.hex}-models"


def source(*, app: App, home: Path, sha: str) -> str:
    """The tree of a commit as a tar file, made unless it is there; its path relative to home."""
    name = f"sources/{sha}.tar"
    if not (home / name).exists():
        (home / "sources").mkdir(parents=True, exist_ok=True)
        archive(app, home, sha, home / name)
    return name


def spec(*, run: CheckRun, app: App, sha: str, deployed_sha: str, home: Path) -> DynoSpec:
    """The order for ruff's dyno: two archives to read, no network, no config vars."""
    sources = [Mount(target=NEW, source=source(app=app, home=home, sha=sha))]
    if deployed_sha:
        sources.append(Mount(target=OLD, source=source(app=app, home=home, sha=deployed_sha)))
    interpreter, extra = tools.python()
    wish = {"ruff": tools.RUFF, "new": NEW, "old": OLD if deployed_sha else None, "work": "/tmp/scan"}  # noqa: S108 - inside the dyno
    wish["secrets"] = tools.SECRETS
    return DynoSpec(
        id=dyno_id(run),
        kind="scan",
        owner=app.id.hex,
        uid=app.number,
        process="scan.1",
        command=(interpreter, "-I", tools.RUNNER, "scan", tools.OUT),
        env={"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"},  # noqa: S108 - inside the dyno
        mounts=(*sources, *extra, tools.runner_mount(home), tools.ruff_mount(home), tools.secrets_mount(home), tools.out_mount()),
        cwd="/tmp",  # noqa: S108 - inside the dyno
        egress=False,
        limits=Limits(memory_mb=MEMORY_MB, timeout=TIMEOUT),
        output=True,
        stdin=json.dumps(wish).encode(),
    )


def models_spec(*, run: CheckRun, slug: Slug, mounts: tuple[Mount, ...], home: Path) -> DynoSpec:
    """The order for ``makemigrations --check`` in the built slug: the test environment, and a database that is not there."""
    config = environment.of_tests(
        app_json=slug.app_json, is_django=True, database_url=environment.UNREACHABLE, marks={"CI": "true"}
    )
    interpreter, extra = tools.python()
    return DynoSpec(
        id=models_dyno_id(run),
        kind="scan",
        owner=run.app.id.hex,
        uid=run.app.number,
        process="scan.2",
        command=(interpreter, "-I", tools.RUNNER, "models", tools.OUT),
        env=runtime_env(config=config, process="scan.2", port=0, memory_mb=MEMORY_MB, facts={}),
        mounts=(*mounts, *extra, tools.runner_mount(home), tools.out_mount()),
        egress=False,
        limits=Limits(memory_mb=MEMORY_MB, timeout=TIMEOUT),
        output=True,
        stdin=b"{}",
    )


def result_of(*, dyno: str, state: DynoState, home: Path) -> dict[str, Any]:
    """The result file of an ended dyno, or an ``error`` in its shape: a scanner that crashed has found nothing out."""
    result = read_json(tools.out_folder(home, dyno) / "result.json")
    if state.reason in ("timeout", "silence"):
        return {"outcome": "timed_out", "detail": f"it took more than {TIMEOUT / 60:.0f} minutes"}
    known = result is not None and result.get("outcome") in ("success", "failure", "error")
    if result is None or not known or state.phase == "lost" or state.reason == "oom":
        shown = printable(tail(home / output_file(dyno)))
        return {"outcome": "error", "detail": f"the scanner did not finish: {why_ended(state)}", "tail": shown}
    return result


def combine(lint: dict[str, Any], models: dict[str, Any] | None) -> Outcome:
    """Both results as one outcome. models is None for an app that is not Django's."""
    results = [("ruff", lint), ("makemigrations --check", models or {"outcome": "success"})]
    for conclusion in ("failure", "timed_out", "error"):
        bad = [(name, result) for name, result in results if result["outcome"] == conclusion]
        if bad:
            break
    else:
        conclusion, bad = "success", []
    briefs = [_brief(name, result) for name, result in bad]
    lines = [*_headline(lint), *_finding_lines(lint), *_models_lines(models)]
    brief = "; ".join(briefs)
    return Outcome(
        conclusion=conclusion,
        title=(brief or _headline(lint)[0].removeprefix("-----> Scan: "))[:255],
        brief=brief,
        summary="\n".join(lines),
        notes=tuple(_notes(lint)),
        lines=tuple(lines),
        data=_data(lint, models),
        findings=tuple(item for item in lint.get("findings", []) if isinstance(item, dict)),
    )


def _brief(name: str, result: dict[str, Any]) -> str:
    if result["outcome"] == "failure" and name == "ruff":
        first: dict[str, Any] = next((item for item in result.get("findings", []) if item.get("state") == "new"), {})
        where = f"{first.get('path')}:{first.get('line')} {first.get('rule')} {first.get('message')}"
        return f"{plural(int(result.get('new', 0)), 'new finding')}, first: {printable(where)}"
    return f"{name}: {printable(str(result.get('detail', '')))}"


def _headline(lint: dict[str, Any]) -> list[str]:
    if lint["outcome"] in ("error", "timed_out"):
        return ["-----> Scan: could not be completed", f" !     {printable(str(lint.get('detail', '')))}"]
    known = int(lint.get("total", 0)) - int(lint.get("new", 0))
    if lint.get("baseline"):
        return [f"-----> Scan: {plural(known, 'finding')}, taken as known: this is the first scan"]
    return [f"-----> Scan: {plural(int(lint.get('new', 0)), 'new finding')} ({known} known)"]


def _finding_lines(lint: dict[str, Any]) -> list[str]:
    fresh = [item for item in lint.get("findings", []) if item.get("state") == "new"]
    lines = [
        printable(
            f"       {item.get('path')}:{item.get('line')}:{item.get('column')} {item.get('rule')} {item.get('message')}"
        )
        for item in fresh[:SHOWN]
    ]
    more = [f"       ... and {len(fresh) - SHOWN} more"] if len(fresh) > SHOWN else []
    return [*lines, *more, *(f"       {note}" for note in _notes(lint))]


def _models_lines(models: dict[str, Any] | None) -> list[str]:
    if models is None or models["outcome"] == "success":
        return []
    shown = models.get("changes") or str(models.get("tail", "")).splitlines()
    return [f" !     {printable(str(models.get('detail', '')))}", *indent("\n".join(map(str, shown)), SHOWN)]


def _notes(lint: dict[str, Any]) -> list[str]:
    """What a reader of a green scan should still know."""
    notes = []
    added = int(lint.get("suppressed", 0)) - int(lint.get("suppressed_before", 0))
    if added > 0:
        notes.append(f"this push adds {plural(added, 'suppression')} (noqa).")
    if lint.get("ignore_changed"):
        notes.append("this push changes .checkignore.")
    if lint.get("baseline") and lint.get("total"):
        notes.append(f"{plural(int(lint['total']), 'finding')} of the first scan count as known from now on.")
    if lint.get("left_out"):
        notes.append(f"{plural(int(lint['left_out']), 'file')} of more than 4 MB not looked at.")
    return notes


def _data(lint: dict[str, Any], models: dict[str, Any] | None) -> dict[str, Any]:
    kept = {key: value for key, value in lint.items() if key not in ("findings", "tail")}
    return {"ruff": {**kept, "version": tools.ruff_version()}, "models": models}
