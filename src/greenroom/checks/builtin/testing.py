"""The check ``tests``: the spec of its dyno, which runs on the slug to be deployed, and the reading of its result."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from greenroom.addons import actions as addons
from greenroom.addons.rules.diagnosis import remedy
from greenroom.addons.rules.services import LOOKED_AT
from greenroom.apps.models import App
from greenroom.apps.queries import allowed_targets
from greenroom.basics import clock
from greenroom.basics.text import printable
from greenroom.buildpacks.rules.dyno_environment import runtime_env
from greenroom.checks import queries
from greenroom.checks.builtin import environment, quarantine
from greenroom.checks.builtin.results import Outcome, indent, left_json, plural, shown_output, tail, why_ended
from greenroom.checks.drivers import tools
from greenroom.checks.models import CheckRun
from greenroom.checks.rules import travis as travis_rules
from greenroom.checks.rules.travis import jobs as travis_jobs
from greenroom.config_vars.drivers.sealed_maps import for_tests
from greenroom.engine import host_python
from greenroom.engine.contract import Capacity, DynoSpec, DynoState, Engine, Limits, Mount
from greenroom.git.models import Push
from greenroom.slugs.models import Slug
from greenroom.slugs.queries import buildpack_parts

SILENCE, TOTAL = 10 * 60.0, 50 * 60.0
MEMORY_MB, PIDS = 2048, 1024
SHOWN_FAILURES, SHOWN_LINES = 5, 30


def dyno_id(run: CheckRun) -> str:
    """The engine's id of the run's dyno. It never changes."""
    return f"test-{run.id.hex}"


def spec(*, run: CheckRun, slug: Slug, mounts: tuple[Mount, ...], home: Path, capacity: Capacity) -> DynoSpec:
    """The dyno's spec. Creates the temporary add-ons. The slug is an overlay mount, so its files do not change."""
    own = addons.make_doubles(app=run.app, label=dyno_id(run))
    setup, test = environment.scripts(slug.app_json)
    travis = None if test else travis_plan(home=home, slug=slug, branch=run.app.protected_branch)
    marks = environment.ci(
        run_id=str(run.id),
        branch=run.app.protected_branch,
        sha=run.sha,
        number=CheckRun.objects.filter(app=run.app).count(),
    )
    options: dict[str, Any] = {"setup": setup, "test": test}
    if travis:
        options |= _options_of(travis)
        marks |= _marked(travis, run, slug)
    config = _config(run, slug, home=home, addons=own.values, marks=marks)
    interpreter, extra = host_python.find()
    total, silence = limits_of(slug)
    return DynoSpec(
        id=dyno_id(run),
        kind="test",
        owner=run.app.id.hex,
        uid=run.app.number,
        process="test.1",
        command=(interpreter, "-I", tools.RUNNER, "tests", tools.OUT),
        env=runtime_env(config=config, process="test.1", **capacity.of(MEMORY_MB), parts=buildpack_parts(slug)),
        mounts=(*mounts, *own.mounts, *extra, tools.runner_mount(home), tools.out_mount()),
        allowed=allowed_targets(run.app),
        forwards=own.forwards,
        limits=Limits(memory_mb=MEMORY_MB, pids=PIDS, timeout=total, silence=silence),
        output=True,
        stdin=json.dumps(options).encode(),
    )


def _config(run: CheckRun, slug: Slug, *, home: Path, addons: dict[str, str], marks: dict[str, str]) -> dict[str, str]:
    """The config vars of the tests, without DJANGO_SETTINGS_MODULE if the app has its own test settings."""
    folder = home / slug.folder
    config = environment.of_tests(
        app_json=slug.app_json,
        is_django=slug.is_django,
        addons=addons,
        marks=marks,
        given=for_tests(run.app, home),
        settings=environment.seen(run.app, home),
        folder=folder,
    )
    if environment.names_settings(folder) and "DJANGO_SETTINGS_MODULE" not in environment.declared(slug.app_json):
        config.pop("DJANGO_SETTINGS_MODULE", None)
    return config


def limits_of(slug: Slug | None) -> tuple[float, float]:
    """(total limit, limit without output) of the tests in seconds: ``[tests]`` of greenroom.toml, else 50 and 10
    minutes.
    """
    own = (slug.settings.get("tests") or {}) if slug else {}
    return float(own.get("minutes", TOTAL / 60) * 60), float(own.get("silent_minutes", SILENCE / 60) * 60)


def _options_of(travis: travis_rules.Plan) -> dict[str, Any]:
    """The plan as the dyno's input: the head lines of the log, and the jobs unless the file does not apply."""
    head = [printable(row) for row in travis.table()]
    if travis.other:
        return {"head": head}
    jobs = [] if travis.problem else [asdict(job) | {"setup": [line for _, line in job.setup]} for job in travis.jobs]
    return {"head": head, "travis": {"jobs": jobs, "left_out": travis.left_out, "problem": travis.problem}}


def _marked(travis: travis_rules.Plan, run: CheckRun, slug: Slug) -> dict[str, str]:
    """Travis's variables and those of the file."""
    if travis.other:
        return {}
    push = Push.objects.filter(app=run.app, after=run.sha).order_by("-seq").first()
    before, python = push.before if push else "", str(slug.manifest.get("python_version") or "")
    return {
        **travis_rules.marks(branch=run.app.protected_branch, sha=run.sha, before=before, python=python),
        **_numbered(run),
    }


def _numbered(run: CheckRun) -> dict[str, str]:
    """Travis's build number variables, set to the run's number."""
    number = str(run.number)
    return {
        "TRAVIS_BUILD_NUMBER": number,
        "TRAVIS_BUILD_ID": number,
        "TRAVIS_JOB_NUMBER": f"{number}.1",
        "TRAVIS_JOB_ID": number,
    }


def travis_plan(*, home: Path, slug: Slug, branch: str) -> travis_rules.Plan | None:
    """The plan of the slug's .travis.yml for a branch; None without such a file."""
    text = tail(home / slug.folder / ".travis.yml", travis_rules.LIMIT + 1)
    return travis_jobs.read(text, branch, str(slug.manifest.get("python_version") or "")) if text else None


def announced(*, run: CheckRun, engine: Engine) -> str:
    """The command that the dyno has started; empty before that."""
    found = left_json(engine, dyno_id(run), "plan.json")
    return printable(str(found.get("command", "")))[:300] if found else ""


def outcome(*, run: CheckRun, state: DynoState, engine: Engine, deployed_sha: str = "") -> Outcome:
    """The outcome of an ended dyno. A missing result is an error, never a success. deployed_sha: the deployed commit; a
    push must not remove all of its tests.
    """
    total, silence = limits_of(run.slug)
    limit = {"timeout": f"more than {total / 60:.0f} minutes", "silence": f"no output for {silence / 60:.0f} minutes"}
    shown = shown_output(engine, dyno_id(run))
    if state.reason in limit:
        title = f"{limit[state.reason]}; ended"
        return Outcome(
            conclusion="timed_out", title=title, lines=(f" !     Tests: {title}", *indent(shown, SHOWN_LINES))
        )
    result = left_json(engine, dyno_id(run), "result.json")
    if state.reason == "oom" or result is None or state.phase == "lost":
        why = why_ended(state)
        title = f"the tests could not be completed: {why}"
        lines = (f" !     Tests: {title}", *indent(shown, SHOWN_LINES))
        return Outcome(conclusion="error", title=title, brief=why, summary=printable(shown), lines=lines)
    put_aside = (run.slug.settings.get("tests") or {}).get("quarantine") or [] if run.slug else []
    result = quarantine.apply(result, put_aside, clock.now().date())
    found = read(untested(result, tests_of(run.app, deployed_sha)) | {"flaky_before": flaky_before(run, result)})
    return _with_remedy(found, shown_output(engine, dyno_id(run), LOOKED_AT))


def _with_remedy(found: Outcome, output: str) -> Outcome:
    """The outcome with a hint, if the database server lacks a feature that the tests need. The hint begins with the
    cause, which the titles show.
    """
    hint = remedy(output) if found.conclusion in ("failure", "error") else ""
    if not hint:
        return found
    cause = hint.partition(";")[0]
    brief = f"{found.brief or found.title}: {cause}"
    return replace(found, title=f"{found.title}: {cause}", brief=brief, lines=(*found.lines, f" !     hint: {hint}"))


def tests_of(app: App, sha: str) -> int:
    """Number of tests in the newest run on the commit; 0 if unknown."""
    known = queries.latest_of(app, sha, "tests") if sha else None
    number = known.data.get("tests") if known else 0
    return number if isinstance(number, int) else 0


def untested(result: dict[str, Any], before: int) -> dict[str, Any]:
    """The result if no test was found: a success with a note, but a failure if the deployed commit had ``before``
    tests.
    """
    if not result.get("empty") or result.get("outcome") not in ("failure", "error"):
        return result
    if before:
        was = plural(before, "test")
        return {**result, "outcome": "failure", "detail": f"no tests found, but the deployed commit has {was}"}
    return {**result, "outcome": "success", "tests": 0, "failures": []}


def flaky_before(run: CheckRun, result: dict[str, Any]) -> dict[str, int]:
    """Flaky test of the result -> number of the app's last 50 earlier test runs in which it was flaky."""
    names = [str(name) for name in result.get("flaky", [])] if isinstance(result.get("flaky"), list) else []
    if not names:
        return {}
    past = CheckRun.objects.filter(app=run.app, name="tests", status="completed").exclude(pk=run.pk).order_by("-number")
    seen = [set(data.get("flaky") or []) for data in past.values_list("data", flat=True)[:50]]
    return {name: sum(name in flaky for flaky in seen) for name in names}


def read(result: dict[str, Any]) -> Outcome:
    """The dyno's result file as an outcome."""
    conclusion = result.get("outcome")
    if conclusion not in ("success", "failure", "error"):
        title = "the result of the test dyno cannot be read"
        return Outcome(conclusion="error", title=title, lines=(f" !     Tests: {title}",))
    describe = {"success": _success, "failure": _failure, "error": _error}[conclusion]
    return describe(result)


def _data(result: dict[str, Any]) -> dict[str, Any]:
    keys = (
        "command",
        "kind",
        "tests",
        "skipped",
        "seconds",
        "wall",
        "runs",
        "flaky",
        "failures",
        "flaky_output",
        "slowest",
        "quarantined",
        "quarantined_output",
        "ended",
        "flaky_before",
        "jobs",
        "empty",
    )
    return {key: result[key] for key in keys if key in result}


def _count(result: dict[str, Any]) -> str:
    number = result.get("tests")
    return plural(number, "test") if isinstance(number, int) else "the test command"


NOTHING = "no tests: this commit was not tested"


def _nothing(result: dict[str, Any]) -> Outcome:
    """The outcome of a commit without tests, if there never were any."""
    how = "write tests (`python manage.py startapp` creates a tests.py); they are then required"
    lines = (f" !     {NOTHING[0].upper()}{NOTHING[1:]}", f" !     hint: {how}")
    return Outcome(conclusion="success", title=NOTHING, notes=(f"{NOTHING}.",), lines=lines, data=_data(result))


def _jobs(result: dict[str, Any]) -> list[str]:
    """A line for each job of a .travis.yml with several jobs."""
    rows = [row for row in result.get("jobs") or [] if isinstance(row, dict)]
    lines = []
    for row in rows if len(rows) > 1 else []:
        tests = f", {plural(row['tests'], 'test')}" if isinstance(row.get("tests"), int) else ""
        allowed = ", allowed to fail" if row.get("allowed") else ""
        detail = f": {row['detail']}" if row.get("detail") else ""
        lines.append(printable(f"       job {row.get('name')}: {row.get('outcome')}{tests}{allowed}{detail}"))
    return lines


def _success(result: dict[str, Any]) -> Outcome:
    if result.get("empty"):
        return _nothing(result)
    flaky = [printable(str(name)) for name in result.get("flaky", [])]
    seconds = float(result.get("seconds") or result.get("wall") or 0)
    skipped = f", {result['skipped']} skipped" if result.get("skipped") else ""
    title = f"Ran {_count(result)} in {seconds:.1f} s: OK{skipped}"
    notes: list[str] = []
    if flaky:
        title += f", {len(flaky)} flaky"
        before = result.get("flaky_before") or {}
        told = [
            f"{name} ({before[name]} times in the previous 50 runs)" if before.get(name) else name for name in flaky
        ]
        named = ", ".join(told[:3]) + (" ..." if len(flaky) > 3 else "")
        notes.append(f"{len(flaky)} flaky: failed, then passed on the same code: {named}.")
    aside = [printable(note) for note in quarantine.notes(result)]
    if result.get("quarantined"):
        title += f", {len(result['quarantined'])} in quarantine failed"
    notes += aside
    if result.get("tests") is None:
        notes.append("its output contains no number of tests; the result is the exit code alone.")
    lines = [
        *_jobs(result),
        f"       {title}",
        *(f"       Flaky: {name}" for name in flaky[:10]),
        *(f"       {note}" for note in aside),
    ]
    summary = "\n".join([*_jobs(result), *_slowest(result)])
    return Outcome(
        conclusion="success", title=title, notes=tuple(notes), summary=summary, lines=tuple(lines), data=_data(result)
    )


def _slowest(result: dict[str, Any]) -> list[str]:
    """The ten slowest tests, if the runner reports them. Shown in the check run, not in the push output."""
    rows = [row for row in result.get("slowest") or [] if isinstance(row, dict)][:10]
    shown = [f"  {float(row.get('seconds') or 0):8.2f} s  {printable(str(row.get('name')))}" for row in rows]
    return ["Slowest tests:", *shown] if shown else []


def _failure(result: dict[str, Any]) -> Outcome:
    failures = [item for item in result.get("failures", []) if isinstance(item, dict)]
    names = list(dict.fromkeys(printable(str(item.get("name"))) for item in failures))
    brief = printable(str(result.get("detail") or "the test command failed"))
    if names:
        job = (
            str(result.get("detail") or "").partition(": ")[0]
            if str(result.get("detail") or "").startswith("job ")
            else ""
        )
        brief = (
            f"{len(names)} of {result.get('tests') or '?'}, first: {names[0]}{f' ({printable(job)})' if job else ''}"
        )
    title = f"{len(names)} of {plural(result.get('tests') or 0, 'test')} failed, first: {names[0]}" if names else brief
    lines = [f" !     Tests failed: {brief}"]
    for item in failures[:SHOWN_FAILURES]:
        lines += [
            "",
            f"       {printable(str(item.get('kind', 'failure'))).upper()}: {printable(str(item.get('name')))}",
        ]
        lines += indent(str(item.get("output", "")), SHOWN_LINES)
    if len(failures) > SHOWN_FAILURES:
        lines += ["", f"       ... and {len(failures) - SHOWN_FAILURES} more"]
    if not failures:
        lines += indent(str(result.get("tail", "")), SHOWN_LINES)
    lines += [*_jobs(result), *(f"       {printable(note)}" for note in quarantine.notes(result))]
    summary = "\n".join([*_jobs(result), printable(str(result.get("tail", ""))), *_slowest(result)])
    return Outcome(
        conclusion="failure", title=title[:255], brief=brief, summary=summary, lines=tuple(lines), data=_data(result)
    )


def _error(result: dict[str, Any]) -> Outcome:
    detail = printable(str(result.get("detail") or "unknown"))
    shown = str(result.get("tail", ""))
    jobs = _jobs(result)
    lines = (f" !     Tests could not be run: {detail}", *(indent(shown, SHOWN_LINES) if shown.strip() else ()), *jobs)
    summary = "\n".join([*jobs, printable(shown)])
    return Outcome(
        conclusion="error", title=detail[:255], brief=detail, summary=summary, lines=lines, data=_data(result)
    )
